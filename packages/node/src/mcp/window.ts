import type { Agent } from '@sealmesh/agent/client/agent'
import type { AgentsConnection } from '@sealmesh/agent/client/connect-agents'
import type { AgentCalls } from '@sealmesh/mcp/agent-calls'
import { Failure } from '@sealmesh/protocol/errors'
import type { Delivery } from '@sealmesh/protocol/ipc/agent-methods'

type Listener = (delivery: Delivery) => Promise<void>

const PROFILE = { kind: 'llm' as const }

/**
 * One agent in one window of an assistant. Several windows, and the process that some clients start only to ask for the
 * revision, share its memory; its messages go to one at a time, the first, and then to another that wants them.
 */
export class Window implements AgentCalls {
  readonly #connection: AgentsConnection
  readonly #token: string
  readonly #agent: Agent
  readonly #listeners = new Set<Listener>()
  #mail: Agent | null
  #claiming: Promise<boolean> | null = null

  private constructor(connection: AgentsConnection, token: string, agent: Agent, mail: Agent | null) {
    this.#connection = connection
    this.#token = token
    this.#agent = agent
    this.#mail = mail
  }

  /** `wantsMail` false: what nobody can read here is not taken from others, and does not fill an inbox. */
  static async open(connection: AgentsConnection, token: string, wantsMail: boolean): Promise<Window> {
    const mail = wantsMail ? await withMail(connection, token) : null
    const agent = mail ?? (await connection.attach({ token, profile: PROFILE, inbox: 'none' }))
    const window = new Window(connection, token, agent, mail)
    if (wantsMail && mail === null) await window.#waitForMail()
    return window
  }

  get name(): string {
    return this.#agent.name
  }

  get readsMail(): boolean {
    return this.#mail !== null
  }

  readonly call: AgentCalls['call'] = (method, params) => this.#agent.call(method, params)
  readonly watchMemory: AgentCalls['watchMemory'] = (prefix, listener) => this.#agent.watchMemory(prefix, listener)

  readonly claimMail = (): Promise<boolean> => {
    if (this.#mail !== null) return Promise.resolve(true)
    this.#claiming ??= this.#claim().finally(() => (this.#claiming = null))
    return this.#claiming
  }

  readonly onDelivery = (listener: Listener): (() => void) => {
    this.#listeners.add(listener)
    const stop = this.#mail?.onDelivery(listener)
    return () => {
      this.#listeners.delete(listener)
      stop?.()
    }
  }

  /** What was read is acknowledged first. */
  async leave(): Promise<void> {
    await this.#mail?.detach()
  }

  async #claim(): Promise<boolean> {
    const mail = await withMail(this.#connection, this.#token)
    if (mail === null) return false
    this.#mail = mail
    for (const listener of this.#listeners) mail.onDelivery(listener)
    return true
  }

  /** So that a client that subscribed is told of messages from then on. Whoever may not watch still gets them by asking. */
  async #waitForMail(): Promise<void> {
    try {
      await this.#agent.watchAgents(({ event, agent }) => {
        if (event === 'left' && agent.name === this.name) void this.claimMail().catch(() => undefined)
      })
      // It may have left before it was watched.
      await this.claimMail()
    } catch (error) {
      if (!(error instanceof Failure) || error.code !== 'RIGHT_MISSING') throw error
    }
  }
}

/** Null: another program is the agent and reads its messages. */
async function withMail(connection: AgentsConnection, token: string): Promise<Agent | null> {
  try {
    return await connection.attach({ token, profile: PROFILE })
  } catch (error) {
    if (error instanceof Failure && error.code === 'AGENT_ATTACHED') return null
    throw error
  }
}
