import { randomUUID } from 'node:crypto'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { Failure } from '@sealmesh/protocol/errors'
import type {
  AgentMethodInput,
  AgentMethodName,
  AgentMethodResult,
  AgentNotification,
  Delivery,
  Right,
} from '@sealmesh/protocol/ipc/agent-methods'
import { HOPS_MAX } from '@sealmesh/protocol/messages/limits'
import type { Message } from '@sealmesh/protocol/messages/message'
import type { AgentView, Profile } from '@sealmesh/protocol/messages/profile'
import type { AgentPort, Draft, Sent } from '../agent-port.ts'
import { Acknowledger } from './acknowledger.ts'
import { tellAll } from '../wire/tell-all.ts'
import type { Line, Link } from './link.ts'

export interface AttachOptions {
  /** Of `sealmesh agents token NAME`. */
  readonly token: string
  readonly profile?: Partial<Profile>
  /** `push` (the default): deliveries come to `onDelivery`; `pull`: `take` asks for them; `none`: another one reads them. */
  readonly inbox?: 'push' | 'pull' | 'none'
  /** What a listener threw. The delivery counts as done: a handler that always fails must not stop the inbox. */
  readonly onListenerFailure?: (error: unknown, delivery: Delivery) => void
  /**
   * Called when the node, once it is back, does not have it any more as this agent: its token was taken back, or another
   * program is that agent and stays. Other agents of the connection go on.
   */
  readonly onEnd?: (failure: Failure) => void
}

/** What a method takes, but for the handle. */
type Params<M extends AgentMethodName> = Omit<AgentMethodInput<M>, 'as'>
export type AgentChange = Omit<AgentNotification<'agent'>, 'as'>
/** A message that ended on its way. */
export type Undelivered = Omit<AgentNotification<'undelivered'>, 'as'>
export type MemoryChange = Omit<AgentNotification<'memory'>, 'as' | 'prefix'>

/** One agent, attached to the node of this machine. Comes back by itself after the node was away. */
export class Agent implements AgentPort {
  readonly #link: Link
  readonly #options: AttachOptions
  readonly #leave: (agent: Agent) => void
  readonly #deliveries = new Set<(delivery: Delivery) => Promise<void> | void>()
  readonly #agents = new Set<(change: AgentChange) => void>()
  readonly #undelivered = new Set<(news: Undelivered) => void>()
  readonly #memory = new Map<string, Set<(change: MemoryChange) => void>>()
  readonly #topics = new Set<string>()
  #early: { readonly delivery: Delivery; readonly done: () => void }[] = []
  #profile: Partial<Profile>
  #as = 0
  /** While another program is this agent: calls wait for this. */
  #back: Promise<void> | undefined
  /** On which connection its handle is one. */
  #attachedTo: Line | undefined
  #done = new Acknowledger(() => undefined)
  name = ''
  /** Its id in the mesh. */
  agent = ''
  rights: readonly Right[] = []

  constructor(link: Link, options: AttachOptions, leave: (agent: Agent) => void) {
    this.#link = link
    this.#options = options
    this.#profile = options.profile ?? {}
    this.#leave = leave
  }

  /** With every connection anew; only the connection calls it. Throws what the node answers. */
  async attach(line: Line): Promise<number> {
    const { token, inbox = 'push' } = this.#options
    const profile = this.#profile
    const attached = await line.call('attach', { token, profile, inbox, pid: process.pid })
    this.#back = undefined
    this.#attachedTo = line
    const as = attached.as
    this.#as = as
    this.name = attached.name
    this.agent = attached.agent
    this.rights = attached.rights
    // The node hands them out again on this connection.
    this.#early = []
    this.#done = new Acknowledger((place) => line.tell('inbox.ack', { as, place }))
    for (const topic of this.#topics) line.tell('topics.join', { as, topic })
    if (this.#agents.size > 0) line.tell('agents.watch', { as })
    for (const prefix of this.#memory.keys()) line.tell('memory.watch', { as, prefix })
    return as
  }

  /** From the connection: until that is settled it is not attached, and where that fails it never is again. */
  waitFor(back: Promise<void>): void {
    this.#back = back
    const isOver = (): void => {
      if (this.#back === back) this.#back = undefined
    }
    back.then(isOver, (failure: Failure) => this.#options.onEnd?.(failure))
  }

  get handle(): number {
    return this.#as
  }

  /** One call under this agent's handle. Throws the `Failure` that the node answers with. */
  async call<M extends AgentMethodName>(method: M, params: Params<M>): Promise<AgentMethodResult<M>> {
    const line = await this.#link.line()
    if (this.#back !== undefined) {
      await this.#back
      return this.call(method, params)
    }
    // A handle of another connection may be somebody else's on this one.
    if (this.#attachedTo !== line) throw new Failure('NOT_ATTACHED', `${this.name} has left.`)
    return line.call(method, { ...params, as: this.#as } as AgentMethodInput<M>)
  }

  async send(draft: Draft): Promise<Sent> {
    const { causedBy, expiresMs, ...rest } = draft
    const hops = causedBy === undefined ? 0 : causedBy.hops + 1
    if (hops > HOPS_MAX)
      throw new Failure('USAGE', `This answers a chain of ${HOPS_MAX} messages: it goes in a circle.`, {
        next: 'begin a message of its own, without causedBy',
      })
    const message = {
      ...rest,
      // Named here, so that asking again after a broken connection is the same message. Nobody may know the next one: he
      // could answer it before it is sent. Of these Node keeps random bytes at hand.
      id: draft.id ?? randomUUID(),
      payload: (draft.payload ?? null) as Message['payload'],
      ...(causedBy === undefined ? {} : { hops, parents: [causedBy.id] }),
      ...(expiresMs === undefined ? {} : { expiresMs }),
    }
    try {
      return await this.call('send', message)
    } catch (error) {
      if (!(error instanceof Failure) || error.code !== 'NODE_NOT_RUNNING') throw error
      return this.call('send', message)
    }
  }

  /** What came before there was anybody to tell is told to the first. */
  onDelivery(listener: (delivery: Delivery) => Promise<void> | void): () => void {
    this.#deliveries.add(listener)
    for (const { delivery, done } of this.#early.splice(0)) void this.#tell(delivery).then(done)
    return () => this.#deliveries.delete(listener)
  }

  /** Told while this agent is attached; nothing is kept for it meanwhile. */
  onUndelivered(listener: (news: Undelivered) => void): () => void {
    this.#undelivered.add(listener)
    return () => this.#undelivered.delete(listener)
  }

  async agents(filter: { readonly capability?: string; readonly role?: string } = {}): Promise<readonly AgentView[]> {
    return (await this.call('agents.ls', filter)).agents
  }

  /** Who is there now, and whoever comes, changes and leaves. */
  async watchAgents(listener: (change: AgentChange) => void): Promise<readonly AgentView[]> {
    const first = this.#agents.size === 0
    this.#agents.add(listener)
    return first ? (await this.call('agents.watch', {})).agents : this.agents()
  }

  async describe(profile: Partial<Profile>): Promise<void> {
    this.#profile = { ...this.#profile, ...profile }
    await this.call('profile.set', { profile })
  }

  async join(topic: string): Promise<void> {
    await this.call('topics.join', { topic })
    this.#topics.add(topic)
  }

  async leave(topic: string): Promise<void> {
    this.#topics.delete(topic)
    await this.call('topics.leave', { topic })
  }

  /** For agents that pull. */
  async take(params: Params<'inbox.take'> = {}): Promise<AgentMethodResult<'inbox.take'>> {
    return this.call('inbox.take', params)
  }

  async acknowledge(place: number): Promise<void> {
    await this.call('inbox.ack', { place })
  }

  async history(filter: Params<'history'> = {}): Promise<readonly Message[]> {
    return (await this.call('history', filter)).messages
  }

  async read(umr: string): Promise<string | undefined> {
    return (await this.call('memory.get', { umr })).item?.value
  }

  async list(prefix: string): Promise<readonly string[]> {
    return (await this.call('memory.ls', { prefix, limit: LIST_MAX })).items.map((item) => item.umr)
  }

  async write(umr: string, value: string): Promise<void> {
    await this.call('memory.set', { umr, value })
  }

  async remove(umr: string): Promise<void> {
    await this.call('memory.rm', { umr })
  }

  async search(params: Params<'memory.search'>): Promise<AgentMethodResult<'memory.search'>['hits']> {
    return (await this.call('memory.search', params)).hits
  }

  async watchMemory(prefix: string, listener: (change: MemoryChange) => void): Promise<void> {
    const listeners = this.#memory.get(prefix) ?? new Set()
    const first = listeners.size === 0
    this.#memory.set(prefix, listeners.add(listener))
    if (first) await this.call('memory.watch', { prefix })
  }

  async detach(): Promise<void> {
    this.#leave(this)
    // What was done in this turn is acknowledged first.
    await nextTurn()
    this.#done.say()
    const line = await this.#link.line()
    // After a break it may not be attached yet; the connection, told above, does not bring it back.
    if (this.#attachedTo !== line) return
    this.#attachedTo = undefined
    await line.call('detach', { as: this.#as })
  }

  /** From the connection: what came for this handle. */
  delivered({ place, message }: Delivery): void {
    const delivery = { place, message }
    const done = this.#done.came(place)
    // No more than the node hands out before one is acknowledged.
    if (this.#deliveries.size === 0) this.#early.push({ delivery, done })
    else void this.#tell(delivery).then(done)
  }

  /** Resolves when every listener has done with it, also one that failed. */
  async #tell(delivery: Delivery): Promise<void> {
    const all = [...this.#deliveries].map(async (listener) => listener(delivery))
    for (const outcome of await Promise.allSettled(all)) {
      if (outcome.status === 'fulfilled') continue
      try {
        this.#options.onListenerFailure?.(outcome.reason, delivery)
      } catch {
        // What the failure listener itself throws has nobody to go to.
      }
    }
  }

  agentChanged({ event, agent }: AgentChange): void {
    tellAll(this.#agents, { event, agent })
  }

  wasUndelivered(news: Undelivered): void {
    tellAll(this.#undelivered, news)
  }

  memoryChanged({ prefix, umr, type, value, at }: MemoryChange & { readonly prefix: string }): void {
    tellAll(this.#memory.get(prefix) ?? [], { umr, type, value, at })
  }
}

const LIST_MAX = 1_000
