import type { Delivery } from '@sealmesh/protocol/ipc/agent-methods'
import { Failure } from '@sealmesh/protocol/errors'
import { EVERYBODY } from '@sealmesh/protocol/messages/addresses'
import { Message } from '@sealmesh/protocol/messages/message'
import { Profile } from '@sealmesh/protocol/messages/profile'
import type { AgentView } from '@sealmesh/protocol/messages/profile'
import { dice } from '@sealmesh/protocol/test-dice'
import type { Dice } from '@sealmesh/protocol/test-dice'
import type { AgentPort, Draft, Sent } from '../agent-port.ts'
import type { PatternDeps } from './deps.ts'
import { Offers } from './offers.ts'
import { Trace } from './trace.ts'

/**
 * Agents on machines of one mesh, in one thread and on virtual time: messages that are lost, come twice, late and in
 * another order, machines that do not reach one another, crashes in the middle of anything. What a node keeps on disk
 * survives: registers, and durable messages until they are acknowledged. All of it follows from the seed.
 */
export interface Weather {
  /** Of messages that are not durable. */
  readonly lost: number
  readonly twice: number
  readonly delayMsMax: number
  readonly writeFails: number
}

export const CALM: Weather = { lost: 0, twice: 0, delayMsMax: 20, writeFails: 0 }
export const ROUGH: Weather = { lost: 0.2, twice: 0.2, delayMsMax: 400, writeFails: 0.02 }

/** One run of an agent's process. Nothing of it happens after a crash. */
export interface Life {
  readonly deps: PatternDeps
}

interface Agent {
  readonly name: string
  node: string
  readonly boot: (life: Life) => Promise<void> | void
  readonly disk: Map<string, string>
  /** Of other agents' registers, as this machine has them. */
  readonly replicas: Map<string, { readonly value: string; readonly version: number }>
  readonly pendingWrites: Set<() => void>
  profile: Profile
  life: Running | null
  downSinceMs: number
}

interface Running {
  readonly listeners: Set<(delivery: Delivery) => Promise<void> | void>
  readonly inHand: Set<() => void>
}

/** One value that a register had. */
export interface Write {
  readonly atMs: number
  readonly umr: string
  readonly value: unknown
}

/** Less than a node takes. */
const PAYLOAD_CHARACTERS_MAX = 65_536
const START_MS = 1_700_000_000_000
/** How long the registry takes to say that somebody has left. */
const REGISTRY_LAG_MS = 3_000

export class TestWorld {
  readonly dice: Dice
  readonly writes: Write[] = []
  readonly traces: Trace[] = []
  weather: Weather
  nowMs = START_MS
  readonly #agents = new Map<string, Agent>()
  readonly #events: { atMs: number; order: number; run: () => void }[] = []
  readonly #lastContact = new Map<string, number>()
  #apart: ReadonlySet<string> = new Set()
  #order = 0
  #ids = 0

  constructor(seed: number, weather: Weather = ROUGH) {
    this.dice = dice(seed)
    this.weather = weather
  }

  /** `boot` runs at the first start and after each crash. */
  add(name: string, node: string, boot: Agent['boot'], profile: Partial<Profile> = {}): void {
    this.#agents.set(name, {
      name,
      node,
      boot,
      disk: new Map(),
      replicas: new Map(),
      pendingWrites: new Set(),
      profile: Profile.parse(profile),
      life: null,
      downSinceMs: START_MS,
    })
    this.start(name)
  }

  start(name: string): void {
    const agent = this.#agent(name)
    if (agent.life !== null) return
    const life: Running = { listeners: new Set(), inHand: new Set() }
    agent.life = life
    const trace = new Trace()
    this.traces.push(trace)
    const port = this.#portOf(agent, life)
    const deps: PatternDeps = {
      port,
      trace,
      offers: new Offers(port),
      nowMs: () => this.nowMs,
      newId: () => `id${++this.#ids}`,
      after: (ms, run) => {
        let wanted = true
        this.at(ms, () => {
          if (wanted && agent.life === life) run()
        })
        return () => {
          wanted = false
        }
      },
    }
    // A start whose disk fails is tried again, as a supervisor would.
    void Promise.resolve(agent.boot({ deps })).catch(() => this.at(500, () => this.#again(name, life)))
  }

  #again(name: string, life: Running): void {
    if (this.#agent(name).life !== life) return
    this.crash(name)
    this.start(name)
  }

  crash(name: string): void {
    const agent = this.#agent(name)
    const { life } = agent
    if (life === null) return
    for (const other of this.#agents.values()) this.#contact(other, agent)
    agent.life = null
    agent.downSinceMs = this.nowMs
    // A write that was under way is on the disk or is not; nobody was told.
    for (const write of agent.pendingWrites) if (this.dice.random() < 0.5) write()
    agent.pendingWrites.clear()
    for (const redeliver of life.inHand) redeliver()
  }

  /**
   * The agent goes on where another one lives, from what that machine has of its registers: what had not come there
   * counts no more, and what it still sends from its old machine may come late. What it had been handed and was not done
   * with stays behind.
   */
  takeOver(name: string, toMachineOf: string): void {
    this.#agent(name).life?.inHand.clear()
    this.crash(name)
    const [agent, host] = [this.#agent(name), this.#agent(toMachineOf)]
    agent.node = host.node
    agent.disk.clear()
    for (const [umr, { value }] of host.replicas) if (ownerOf(umr) === name) agent.disk.set(umr, value)
    this.start(name)
  }

  /** These machines reach one another, and nobody else. */
  partition(nodes: Iterable<string>): void {
    const all = [...this.#agents.values()]
    for (const a of all) for (const b of all) this.#contact(a, b)
    this.#apart = new Set(nodes)
  }

  heal(): void {
    this.#apart = new Set()
  }

  isUp(name: string): boolean {
    return this.#agent(name).life !== null
  }

  /** What stands in a register on its own machine. */
  onDisk(umr: string): unknown {
    const text = this.#agent(ownerOf(umr)).disk.get(umr)
    return text === undefined ? undefined : JSON.parse(text)
  }

  /** The same as another agent's machine has it. */
  seenBy(name: string, umr: string): unknown {
    const replica = this.#agent(name).replicas.get(umr)
    return replica === undefined ? undefined : JSON.parse(replica.value)
  }

  at(inMs: number, run: () => void): void {
    const event = { atMs: this.nowMs + Math.max(0, inMs), order: this.#order++, run }
    let [low, high] = [0, this.#events.length]
    while (low < high) {
      const middle = (low + high) >> 1
      if ((this.#events[middle] as typeof event).atMs <= event.atMs) low = middle + 1
      else high = middle
    }
    this.#events.splice(low, 0, event)
  }

  /** Crashes and partitions for so long, each over within seconds; afterwards all is up and connected. */
  storm(ms: number): void {
    const { one, pick, random } = this.dice
    const names = [...this.#agents.keys()]
    const nodes = [...new Set([...this.#agents.values()].map(({ node }) => node))]
    for (let atMs = pick(1_000); atMs < ms; atMs += 200 + pick(4_000)) {
      const lasts = 50 + pick(8_000)
      if (random() < 0.6) {
        const name = one(names)
        this.at(atMs, () => this.crash(name))
        this.at(Math.min(atMs + lasts, ms), () => this.start(name))
      } else {
        const side = nodes.filter(() => random() < 0.5)
        this.at(atMs, () => this.partition(side))
        this.at(Math.min(atMs + lasts, ms), () => this.heal())
      }
    }
    this.at(ms, () => {
      this.heal()
      for (const name of names) this.start(name)
      this.weather = { ...this.weather, writeFails: 0 }
    })
  }

  /** Until `done` says so, or for so long. */
  async run(ms: number, done: () => boolean = () => false): Promise<void> {
    const untilMs = this.nowMs + ms
    await drained()
    while (!done()) {
      const event = this.#events[0]
      if (event === undefined || event.atMs > untilMs) break
      this.#events.shift()
      this.nowMs = event.atMs
      event.run()
      await drained()
    }
    if (!done()) this.nowMs = untilMs
  }

  /** What an agent of that name would have been sent, from somebody who need not keep to any pattern. */
  forge(from: string, draft: Draft): Promise<Sent> {
    return this.#send(this.#agent(from), null, draft)
  }

  #portOf(agent: Agent, life: Running): AgentPort {
    const alive = () => agent.life === life
    const later = <T>(ms: number, get: () => T): Promise<T> =>
      new Promise((resolve, reject) => {
        this.at(ms, () => {
          if (!alive()) return
          try {
            resolve(get())
          } catch (cause) {
            reject(cause as Error)
          }
        })
      })
    return {
      name: agent.name,
      send: (draft) => this.#send(agent, life, draft),
      onDelivery: (listener) => {
        life.listeners.add(listener)
        return () => life.listeners.delete(listener)
      },
      agents: (filter) =>
        later(1, () =>
          [...this.#agents.values()]
            .map((other) => this.#viewOf(other, agent))
            .filter((view) => filter?.capability === undefined || view.capabilities.includes(filter.capability)),
        ),
      describe: (profile) => later(1, () => void (agent.profile = { ...agent.profile, ...profile })),
      read: (umr) =>
        later(1 + this.dice.pick(10), () =>
          ownerOf(umr) === agent.name ? agent.disk.get(umr) : agent.replicas.get(umr)?.value,
        ),
      list: (prefix) => later(1, () => [...agent.disk.keys()].filter((umr) => umr.startsWith(prefix)).sort()),
      remove: (umr) => later(1 + this.dice.pick(20), () => void agent.disk.delete(umr)),
      write: (umr, value) => (alive() ? this.#write(agent, life, umr, value) : new Promise(() => {})),
    }
  }

  #write(agent: Agent, life: Running, umr: string, value: string): Promise<void> {
    if (ownerOf(umr) !== agent.name) throw new Failure('NOT_A_WRITER', `${agent.name} may not write ${umr}.`)
    const fails = this.dice.random() < this.weather.writeFails
    if (fails && this.dice.random() < 0.5)
      return Promise.reject(new Failure('DISK_FULL', 'No room is left on the disk.'))
    return new Promise((resolve, reject) => {
      const write = () => {
        agent.disk.set(umr, value)
        const version = this.writes.push({ atMs: this.nowMs, umr, value: JSON.parse(value) })
        for (const other of this.#agents.values()) if (other !== agent) this.#sync(agent, other, umr, value, version)
      }
      agent.pendingWrites.add(write)
      this.at(1 + this.dice.pick(20), () => {
        if (agent.life !== life || !agent.pendingWrites.delete(write)) return
        write()
        // Done, and nobody knows: the connection broke before the answer.
        if (fails) reject(new Failure('NODE_NOT_RUNNING', 'Whether it did the last call is not known.'))
        else resolve()
      })
    })
  }

  #sync(from: Agent, to: Agent, umr: string, value: string, version: number): void {
    this.at(1 + this.dice.pick(this.weather.delayMsMax), () => {
      if (!this.#reach(from, to)) this.at(250, () => this.#sync(from, to, umr, value, version))
      else if (version > (to.replicas.get(umr)?.version ?? 0)) to.replicas.set(umr, { value, version })
    })
  }

  /** `life` null: from outside any process. */
  async #send(agent: Agent, life: Running | null, draft: Draft): Promise<Sent> {
    if (life !== null && agent.life !== life) return new Promise(() => {})
    const hops = draft.causedBy === undefined ? 0 : draft.causedBy.hops + 1
    const payload: unknown = draft.payload === undefined ? null : JSON.parse(JSON.stringify(draft.payload))
    if (JSON.stringify(payload).length > PAYLOAD_CHARACTERS_MAX)
      throw new Failure('VALUE_TOO_LARGE', 'The message is too large.')
    // Throws for too many hops as well.
    const message = Message.parse({
      version: 1,
      id: draft.id ?? `m${++this.#ids}`,
      from: `${agent.name}@${agent.node}`,
      to: draft.to,
      type: draft.type,
      priority: draft.priority ?? 1,
      correlation: draft.correlation ?? null,
      sentAt: new Date(this.nowMs).toISOString(),
      expiresAt: draft.expiresMs === undefined ? null : new Date(this.nowMs + draft.expiresMs).toISOString(),
      hops,
      parents: draft.causedBy === undefined ? [] : [draft.causedBy.id],
      durable: draft.durable ?? false,
      payload,
    })
    const recipients = [...this.#agents.values()].filter(
      ({ name, node }) =>
        (draft.to === EVERYBODY && name !== agent.name) || name === draft.to || `${name}@${node}` === draft.to,
    )
    return new Promise((resolve) => {
      const store = () => {
        for (const to of recipients) this.#carry(agent, to, message)
      }
      if (life !== null) agent.pendingWrites.add(store)
      this.at(1 + this.dice.pick(5), () => {
        if (life !== null && (agent.life !== life || !agent.pendingWrites.delete(store))) return
        store()
        resolve({ id: message.id, delivered: recipients.length, waiting: 0 })
      })
    })
  }

  #carry(from: Agent, to: Agent, message: Message): void {
    const { lost, twice, delayMsMax } = this.weather
    const { random, pick } = this.dice
    const copies = random() < twice ? 2 : 1
    for (let copy = 0; copy < copies; copy++) {
      if (!message.durable && random() < lost) continue
      this.at(1 + pick(delayMsMax), () => this.#deliver(from, to, message))
    }
  }

  #deliver(from: Agent, to: Agent, message: Message): void {
    if (message.expiresAt !== null && this.nowMs >= Date.parse(message.expiresAt)) return
    const { life } = to
    const again = (ms: number) => {
      if (message.durable) this.at(ms, () => this.#deliver(from, to, message))
    }
    if (life === null || !this.#reach(from, to)) return again(100 + this.dice.pick(400))
    const redeliver = () => again(this.dice.pick(200))
    life.inHand.add(redeliver)
    const work = [...life.listeners].map(async (listener) => listener({ place: this.#order, message }))
    // As the client does: a listener that throws has done with it, so that a handler that always fails stops nothing.
    void Promise.allSettled(work).then(() => life.inHand.delete(redeliver))
  }

  #viewOf(agent: Agent, viewer: Agent): AgentView {
    const reached = this.#reach(agent, viewer)
    const gone = agent.life === null && this.nowMs - agent.downSinceMs > REGISTRY_LAG_MS
    const heardMs =
      agent.life !== null && reached
        ? Math.floor(this.nowMs / 1_000) * 1_000
        : (this.#lastContact.get(`${viewer.name} ${agent.name}`) ?? START_MS)
    return {
      ...agent.profile,
      name: agent.name,
      agent: `agent_${agent.name}`,
      nodeName: agent.node,
      here: agent.node === viewer.node,
      // The registry is as right as it can be, which is not always.
      state: gone ? 'away' : reached || this.dice.random() < 0.3 ? 'attached' : 'unreachable',
      pid: null,
      since: new Date(START_MS).toISOString(),
      heardAt: new Date(heardMs).toISOString(),
    }
  }

  #contact(viewer: Agent, agent: Agent): void {
    if (agent.life !== null && this.#reach(viewer, agent))
      this.#lastContact.set(`${viewer.name} ${agent.name}`, this.nowMs)
  }

  #reach(a: Agent, b: Agent): boolean {
    return a.node === b.node || this.#apart.has(a.node) === this.#apart.has(b.node)
  }

  #agent(name: string): Agent {
    const agent = this.#agents.get(name)
    if (agent === undefined) throw new Error(`nobody is called ${name} here`)
    return agent
  }
}

const ownerOf = (umr: string): string => umr.slice(0, umr.indexOf('.'))

/** All promises that can go on have done so. */
const drained = () => new Promise((resolve) => setImmediate(resolve))
