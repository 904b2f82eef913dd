import type { Agent } from '@sealmesh/agent/client/agent'
import { type AgentsConnection, connectAgents } from '@sealmesh/agent/client/connect-agents'
import type { AgentCalls } from '@sealmesh/mcp/agent-calls'
import { Failure } from '@sealmesh/protocol/errors'
import type { Delivery } from '@sealmesh/protocol/ipc/agent-methods'

type Listener = (delivery: Delivery) => Promise<void>

export interface WindowOptions {
  readonly home: string
  readonly token: string
  /** False: what nobody can read here is not taken from others, and does not fill an inbox. */
  readonly wantsMail: boolean
  /** How long the node may be away before what waits for it fails. */
  readonly patienceMs?: number
}

/**
 * One connection's worth. `mail`: who reads the agent's messages here; null while another program does. Attached apart
 * from `agent`, which asks for all else, so that who loses its messages to another program keeps its memory.
 */
interface Seat {
  readonly connection: AgentsConnection
  readonly agent: Agent
  mail: Agent | null
}

const PROFILE = { kind: 'llm' as const }
/** An assistant's session goes on for days, longer than a node may be away. */
const RETRY_MS = 5_000

/**
 * One agent in one window of an assistant. Several windows share its memory; its messages go to one at a time, the first,
 * and then to another that wants them.
 */
export class Window implements AgentCalls {
  readonly #options: WindowOptions
  readonly #listeners = new Set<Listener>()
  readonly #watches: { readonly prefix: string; readonly listener: () => void }[] = []
  #seat: Seat | null = null
  #sitting: Promise<Seat> | null = null
  #claiming: Promise<boolean> | null = null
  #retry: NodeJS.Timeout | undefined
  #closed = false
  name = ''

  private constructor(options: WindowOptions) {
    this.#options = options
  }

  /** Throws NODE_NOT_RUNNING, HOME_UNUSABLE, VERSION_MISMATCH or AGENT_TOKEN_INVALID. */
  static async open(options: WindowOptions): Promise<Window> {
    const window = new Window(options)
    await window.#here()
    return window
  }

  /** Another program is the agent and reads its messages. */
  get isBeside(): boolean {
    return this.#options.wantsMail && (this.#seat?.mail ?? null) === null
  }

  readonly call: AgentCalls['call'] = async (method, params) => (await this.#here()).agent.call(method, params)

  readonly watchMemory: AgentCalls['watchMemory'] = async (prefix, listener) => {
    this.#watches.push({ prefix, listener })
    await (await this.#here()).agent.watchMemory(prefix, listener)
  }

  readonly claimMail = async (): Promise<boolean> => {
    const seat = await this.#here()
    // Nothing would ever come, and nobody would know why.
    if (!seat.agent.rights.includes('receive'))
      throw new Failure('RIGHT_MISSING', 'The token of this agent does not allow it to receive.')
    return seat.mail !== null || this.#claim(seat)
  }

  readonly onDelivery = (listener: Listener): (() => void) => {
    this.#listeners.add(listener)
    const stop = this.#seat?.mail?.onDelivery(listener)
    return () => {
      this.#listeners.delete(listener)
      stop?.()
    }
  }

  /** What was read is acknowledged first. */
  async close(): Promise<void> {
    this.#closed = true
    clearTimeout(this.#retry)
    const seat = this.#seat
    try {
      await seat?.mail?.detach()
    } catch (error) {
      // The node is away, or has taken the token back: it knows that this agent is gone.
      if (!(error instanceof Failure)) throw error
    } finally {
      await seat?.connection.close()
    }
  }

  #here(): Promise<Seat> {
    if (this.#seat !== null) return Promise.resolve(this.#seat)
    this.#sitting ??= this.#sit().finally(() => (this.#sitting = null))
    return this.#sitting
  }

  async #sit(): Promise<Seat> {
    const { home, token, wantsMail, patienceMs } = this.#options
    const onEnd = (failure: Failure | undefined): void => {
      if (failure !== undefined) this.#lost()
    }
    const connection = await connectAgents({ home, onEnd, ...(patienceMs === undefined ? {} : { patienceMs }) })
    try {
      const agent = await connection.attach({ token, profile: PROFILE, inbox: 'none' })
      const seat: Seat = { connection, agent, mail: null }
      this.name = agent.name
      this.#seat = seat
      for (const { prefix, listener } of this.#watches) await agent.watchMemory(prefix, listener)
      if (wantsMail) await this.#waitForMail(seat)
      return seat
    } catch (error) {
      this.#seat = null
      await connection.close()
      throw error
    }
  }

  /** It is tried again by whoever asks next, and now and then, so that a client that subscribed is told of messages. */
  #lost(): void {
    this.#seat = null
    if (this.#closed) return
    clearTimeout(this.#retry)
    this.#retry = setTimeout(() => void this.#here().catch(() => this.#lost()), RETRY_MS).unref()
  }

  #claim(seat: Seat): Promise<boolean> {
    this.#claiming ??= this.#takeMail(seat).finally(() => (this.#claiming = null))
    return this.#claiming
  }

  async #takeMail(seat: Seat): Promise<boolean> {
    const taken = (): void => {
      seat.mail = null
      // That program may have left before it was known that there is one.
      this.#claim(seat).catch(() => undefined)
    }
    const mail = await withMail(seat.connection, this.#options.token, taken)
    if (mail === null) return false
    seat.mail = mail
    for (const listener of this.#listeners) mail.onDelivery(listener)
    return true
  }

  /** So that a client that subscribed is told of messages from then on. Whoever may not watch still gets them by asking. */
  async #waitForMail(seat: Seat): Promise<void> {
    try {
      await seat.agent.watchAgents(({ event, agent }) => {
        if (event === 'left' && agent.name === this.name && seat.mail === null) this.#claim(seat).catch(() => undefined)
      })
    } catch (error) {
      if (!(error instanceof Failure) || error.code !== 'RIGHT_MISSING') throw error
    }
    // It may have left before it was watched.
    await this.#claim(seat)
  }
}

/** Null: another program is the agent and reads its messages. `taken`: one has become it while the node was away. */
async function withMail(connection: AgentsConnection, token: string, taken: () => void): Promise<Agent | null> {
  try {
    return await connection.attach({ token, profile: PROFILE, onEnd: taken })
  } catch (error) {
    if (error instanceof Failure && error.code === 'AGENT_ATTACHED') return null
    throw error
  }
}
