import { TestMesh } from '@sealmesh/node/documents/fixture'
import type { Document } from '@sealmesh/protocol/crdt/document'
import { compareText, toHex } from '@sealmesh/protocol/bytes'
import { SALT_BYTES } from '@sealmesh/protocol/crdt/incarnation'
import { OwnMailboxes } from '@sealmesh/protocol/envelope/daily-mailboxes'
import { AEAD_TAG_BYTES, type KeyPair, type LoginPublicKey } from '@sealmesh/protocol/keys'
import type { AgentId, NodeId, RelayId } from '@sealmesh/protocol/ids'
import { PREKEY_LIFE_MS } from '@sealmesh/protocol/limits'
import { readersOf } from '@sealmesh/protocol/membership/access'
import { keyOf } from '@sealmesh/protocol/sync/peer-sync'
import type { Sodium } from '@sealmesh/protocol/sodium'
import { dice, type Dice } from '@sealmesh/protocol/test-dice'
import { Checks } from './checks.ts'
import { Faults } from './faults.ts'
import { BEGUN_WALL_MS, Machine } from './machine.ts'
import { type Cables, Direction } from './network.ts'
import { installNonces, uninstallNonces } from './nonces.ts'
import { type Parameters, parametersOf } from './parameters.ts'
import { People } from './people.ts'
import { type Identity, Player, type PlayerDeps } from './player.ts'
import { RelayHost } from './relay-host.ts'
import type { SimulatedNode } from './simulated-node.ts'
import { Timeline } from './timeline.ts'
import type { Totals } from './totals.ts'
import { TraceHash } from './trace-hash.ts'
import { CANARY, Work } from './work.ts'

/** Rounds of heartbeats, links that wait their longest, machines whose clocks disagree. */
const MENDED_MS_MAX = 700_000
const LOOKED_EVERY_MS = 5_000
/** Nobody knows at once that a disk was put back: two heartbeats tell. */
const SETTLED_MS = 20_000
const GRANTED = ['session', 'semantic']

/** What a mutant changes of the world instead of the code. */
export interface WorldOptions {
  readonly disksAnswerEarly?: boolean
  readonly relayAnswersEarly?: boolean
  readonly sameIncarnation?: boolean
  readonly batchesTear?: boolean
  readonly sealsNothing?: boolean
  readonly parameters?: Partial<Parameters>
}

export interface SeedResult {
  readonly seed: number
  readonly violations: readonly string[]
  readonly events: number
  readonly trace: string
  readonly totals: Totals
}

export async function runSeed(seed: number, sodium: Sodium, options: WorldOptions = {}): Promise<SeedResult> {
  const unhandled: unknown[] = []
  const time = new Timeline((_, reason) => unhandled.push(reason))
  time.install()
  installNonces(dice(seed + 1_000_003))
  try {
    const result = await new World(seed, sodium, time, options).go()
    const ended = unhandled.map((reason) => `a program would have ended: ${String(reason)}`)
    return { ...result, violations: [...result.violations, ...ended] }
  } finally {
    uninstallNonces()
    time.uninstall()
  }
}

/** One seed: some machines, a relay, cables, and everything that goes wrong with them for a minute or two. */
class World {
  readonly #seed: number
  readonly #time: Timeline
  readonly #dice: Dice
  readonly #parameters: Parameters
  readonly #relay: RelayHost
  readonly #players: Player[]
  readonly #playerDeps: PlayerDeps
  readonly #checks: Checks
  readonly #work: Work
  readonly #people: People
  readonly #agent: AgentId
  readonly #trace = new TraceHash()
  #isOver = false
  #isCalm = false

  constructor(seed: number, given: Sodium, time: Timeline, options: WorldOptions) {
    this.#seed = seed
    this.#time = time
    this.#checks = new Checks(() => time.nowMs)
    this.#dice = dice(seed)
    const parameters = (this.#parameters = parametersOf(seed, options.parameters))
    const { random, pick } = this.#dice
    const sodium = options.sealsNothing === true ? sealingNothing(given) : given
    const mesh = new TestMesh(sodium)
    this.#agent = mesh.agent
    const upTo = (ms: number) => () => ms * random()
    this.#relay = new RelayHost({
      sodium,
      time,
      mesh: mesh.id,
      syncMs: upTo(parameters.relaySyncMs),
      skewMs: (random() - 0.5) * parameters.skewMs,
      answersEarly: options.relayAnswersEarly ?? false,
    })
    const identities = identitiesOf(mesh, sodium, parameters, this.#dice, this.#relay.id)
    const salts = new Map<Identity, Uint8Array>()
    this.#playerDeps = {
      sodium,
      time,
      dice: this.#dice,
      mesh,
      relay: this.#relay,
      syncMs: upTo(parameters.syncMs),
      disksAnswerEarly: options.disksAnswerEarly ?? false,
      batchesTear: options.batchesTear ?? false,
      saltOf: (identity) => {
        const salt = options.sameIncarnation === true ? salts.get(identity) : undefined
        const made = salt ?? Uint8Array.from({ length: SALT_BYTES }, () => pick(256))
        salts.set(identity, made)
        return made
      },
      onCommit: (player, commit) => {
        if (player.node !== undefined) this.#checks.committed(player, player.node.log.mesh, commit)
        for (const { hash } of commit.blocks) this.#trace.add(hash, time.nowMs)
      },
      onStarted: (player, node) => this.#work.begin(player, node),
      onNews: (player, news) => this.#trace.add(`${player.name} ${news.type}`, time.nowMs),
      onError: (player, text, error) => this.#logged(player, text, error),
      note: (what, value) => this.#trace.add(what, time.nowMs + value),
      look: (bytes) => this.#look(bytes),
    }
    this.#work = new Work({
      agent: mesh.agent,
      dice: this.#dice,
      parameters,
      checks: this.#checks,
      note: this.#playerDeps.note,
      isOver: () => this.#isOver,
    })
    this.#people = new People({ agent: mesh.agent, dice: this.#dice, parameters, checks: this.#checks })
    this.#players = identities.map(
      (identity, at) => new Player(this.#playerDeps, identity, this.#machine(), this.#cables(at === 0)),
    )
  }

  async go(): Promise<SeedResult> {
    const { parameters, players, relay, work, checks, time } = {
      parameters: this.#parameters,
      players: this.#players,
      relay: this.#relay,
      work: this.#work,
      checks: this.#checks,
      time: this.#time,
    }
    for (const player of players) player.start()
    await time.runUntil(2_000)
    const faults = new Faults({
      time,
      dice: this.#dice,
      parameters,
      players,
      relay,
      people: this.#people,
      checks,
      cloneOf: ({ identity, image }) => {
        const clone = new Player(this.#playerDeps, identity, this.#machine(), this.#cables(), image.copy())
        return clone
      },
      note: this.#playerDeps.note,
    })
    await time.runUntil(parameters.faultsMs)
    this.#isOver = true
    this.#isCalm = true
    faults.putRight()
    await this.#judge(await this.#mend(faults))
    const { acts, count, terms } = checks
    return {
      seed: this.#seed,
      violations: [...checks.violations],
      events: time.events,
      trace: this.#trace.digest,
      totals: {
        ...faults.counts,
        simulatedMs: time.nowMs,
        violations: checks.violations.size,
        writes: work.writes,
        local: checks.acknowledged.length,
        ...count,
        takeovers: terms - 1,
        handovers: this.#people.handovers,
        acts: acts.count,
        witnessed: acts.witnessed,
        overlaps: acts.overlaps,
      },
    }
  }

  #machine(): Machine {
    const { random } = this.#dice
    const { drift, skewMs } = this.#parameters
    const rate = 1 + (random() * 2 - 1) * drift
    return new Machine(this.#time, rate, (random() * 2 - 1) * skewMs, random() * 1_000_000)
  }

  #cables(isHomes = false): Cables {
    const { delayMs, homeUpMs, homeDownMs, loss } = this.#parameters
    const deps = { time: this.#time, dice: this.#dice, loss: () => (this.#isCalm ? 0 : loss) }
    const direction = (laterMs: number) => {
      const [least, most] = delayMs
      return new Direction({ ...deps, delayMs: isHomes ? [least + laterMs, most + laterMs] : delayMs })
    }
    return { up: direction(homeUpMs), down: direction(homeDownMs) }
  }

  #look(bytes: Uint8Array): void {
    if (Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).includes(CANARY))
      this.#checks.violated('plaintext left a machine')
  }

  #logged(player: Player, text: string, error: unknown): void {
    const code = (error as { code?: string } | undefined)?.code
    if (code === 'DISK_FULL' || code === 'DISK_FAILED') return
    this.#checks.violated(`${player.name} logged: ${text} ${String(error)}`)
  }

  /** Of the mesh still: what the last of them all can say of the others. */
  get #members(): Player[] {
    const revoked = new Set(
      this.#players.flatMap(({ node }) =>
        [...(node?.log.mesh.nodes.values() ?? [])].filter((each) => each.revocations.length > 0).map(({ id }) => id),
      ),
    )
    return this.#players.filter(({ identity }) => !revoked.has(identity.self.id))
  }

  /** What was still stuck when the time for it was over; looking at documents takes time, in which a node may write. */
  async #mend(faults: Faults): Promise<readonly string[]> {
    const untilMs = this.#time.nowMs + MENDED_MS_MAX
    let wellSinceMs = Number.POSITIVE_INFINITY
    for (;;) {
      await this.#time.runUntil(this.#time.nowMs + LOOKED_EVERY_MS)
      const stuck = this.#stuck()
      const isWell = stuck.length === 0 && !(await this.#isHeld())
      wellSinceMs = isWell ? Math.min(wellSinceMs, this.#time.nowMs) : Number.POSITIVE_INFINITY
      if (this.#time.nowMs >= untilMs || this.#time.nowMs - wellSinceMs >= SETTLED_MS) return stuck
      for (const player of this.#members) player.soon(0, (node) => this.#people.confirm(player, node))
      this.#removeAgain(faults.revoked)
    }
  }

  /** The admin's disk was put back to before it had removed the machine: only the relay still knows, and refuses it. */
  #removeAgain(removed: NodeId | undefined): void {
    const machine = this.#members.find(({ identity }) => identity.self.id === removed)
    if (removed === undefined || machine?.node?.linkState !== 'refused') return
    this.#players[0]?.soon(0, (node) => this.#people.revoke(node, removed))
  }

  #stuck(): string[] {
    const stuck: string[] = []
    const members = this.#members
    const ids = new Set(members.map(({ identity }) => identity.self.id))
    const heads = new Set<string>()
    for (const { name, node } of members) {
      if (node === undefined) {
        stuck.push(`${name} is not up`)
        continue
      }
      heads.add(node.log.mesh.heads.join())
      if (node.linkState !== 'live') stuck.push(`${name} has no relay: ${node.linkState}`)
      for (const { node: peer, view } of node.sync.peers())
        if (ids.has(peer) && (view.toSend > 0 || view.toReceive !== 0))
          stuck.push(`${name} is not in step: ${view.toSend} to send, ${view.toReceive} to receive`)
      for (const { withheld } of node.withholdings.all()) stuck.push(`${name} still misses ${withheld.what}`)
    }
    if (heads.size > 1) stuck.push('the logs differ')
    const acting = members.filter(({ node }) => node?.failover.mustHold(this.#agent).ok === true)
    if (acting.length !== 1)
      stuck.push(`${acting.length} nodes may act: ${members.map((each) => this.#why(each)).join(', ')}`)
    return stuck
  }

  #why({ name, node }: Player): string {
    if (node === undefined) return `${name} is down`
    const judged = node.failover.mustHold(this.#agent)
    if (judged.ok) return `${name} may`
    const outlook = node.failover.standby.outlookOf(this.#agent)
    return `${name} ${judged.error} ${outlook.type} ${outlook.type === 'blocked' ? outlook.why.type : ''}`
  }

  /** Something counts only when its time has come. */
  async #isHeld(): Promise<boolean> {
    for (const { node } of this.#members)
      for (const document of (node && (await this.#documentsOf(node)))?.values() ?? [])
        if (document.held > 0) return true
    return false
  }

  async #judge(stuck: readonly string[]): Promise<void> {
    for (const what of stuck) this.#checks.violated(what)
    const states = new Map<string, Map<string, string>>()
    for (const player of this.#members) {
      const { node } = player
      if (node === undefined) continue
      const documents = await this.#documentsOf(node)
      await this.#finished(this.#checks.held(player, node, documents))
      for (const [key, document] of documents) {
        const { agent, layer } = document.name
        if (!readersOf(node.log.mesh, agent, layer).includes(node.id)) continue
        const state = sayOf(document)
        const said = states.get(key) ?? new Map<string, string>()
        states.set(key, said.set(player.name, state))
      }
    }
    for (const [key, said] of states)
      if (new Set(said.values()).size > 1)
        this.#checks.violated(`${key.slice(65)} is not the same everywhere: ${[...said.keys()].join(', ')}`)
    for (const [key, said] of states) for (const [name, state] of said) this.#trace.add(key + name + state, 0)
    for (const packet of this.#relay.packets()) this.#look(packet)
  }

  async #documentsOf(node: SimulatedNode): Promise<Map<string, Document>> {
    const documents = new Map<string, Document>()
    for (const name of node.documents.names())
      documents.set(keyOf(name), await this.#finished(node.documents.open(name)))
    return documents
  }

  /** Lets time go on until it is done. */
  async #finished<T>(work: Promise<T>): Promise<T> {
    let isDone = false
    const done = work.finally(() => (isDone = true))
    done.catch(() => undefined)
    while (!isDone) await this.#time.runUntil(this.#time.nowMs + 1)
    return done
  }
}

function identitiesOf(
  mesh: TestMesh,
  sodium: Sodium,
  { nodes: count, mode, durability }: Parameters,
  { pick }: Dice,
  relay: RelayId,
): Identity[] {
  const { home, office, laptop, agent } = mesh
  const named: [string, typeof home, number][] = [
    ['home', home, 12],
    ['office', office, 22],
    ['laptop', laptop, 32],
  ]
  const nodes = named.slice(0, count)
  if (count > 2) mesh.host(nodes.map(([, self]) => self))
  // A member that is never heard would keep a restored home from ever knowing that it has all back.
  else mesh.append({ type: 'revoke', node: laptop.id, reason: 'has no machine in this world', cuts: [] }, 'root')
  for (const layer of GRANTED)
    mesh.append({ type: 'grant', agent, layer, to: { type: 'standby' }, access: 'write' }, 'agent')
  mesh.append({ type: 'relay', relays: [{ address: 'wss://relay.test', relay }] }, 'root')
  mesh.append({ type: 'witness', relays: [relay], profile: 'fast' }, 'root')
  if (mode !== 'manual' || durability !== 'available')
    mesh.append({ type: 'failover', agent, mode, durability }, 'agent')
  return nodes.map(([name, self, loginSeed]) => {
    const seed = new Uint8Array(32).fill(loginSeed)
    const login = sodium.signKeys('login', seed) as unknown as KeyPair<LoginPublicKey, 'login'>
    const mailboxes = new OwnMailboxes(login.secretKey, sodium)
    const pair = sodium.sealKeys(Uint8Array.from({ length: 32 }, () => pick(256)))
    const life = { notBeforeMs: BEGUN_WALL_MS, expiresMs: BEGUN_WALL_MS + PREKEY_LIFE_MS }
    const announced = { publicKey: pair.publicKey, ...life, mailboxes: mailboxes.announced(life) }
    mesh.append({ type: 'prekey', node: self.id, ...announced }, self)
    return { name, self, login, mailboxes, prekeys: [pair] }
  })
}

const sayOf = (document: Document): string =>
  `${toHex(document.digest())} ${document.vector
    .map(({ incarnation, sequence, hash }) => `${incarnation}.${sequence}.${hash}`)
    .toSorted(compareText)
    .join()}`

const sealingNothing = (sodium: Sodium): Sodium => ({
  ...sodium,
  encrypt: (plain) => Buffer.concat([plain, new Uint8Array(AEAD_TAG_BYTES)]),
  decrypt: (cipher) => cipher.slice(0, -AEAD_TAG_BYTES),
})
