import { readFile } from 'node:fs/promises'
import { Failure } from '@sealmesh/protocol/errors'
import type { Delivery } from '@sealmesh/protocol/ipc/agent-methods'
import { Agent, type AttachOptions } from './agent.ts'
import { findAgentsSocket, type Place } from './find-socket.ts'
import { attempts, type Line, Link } from './link.ts'

export interface ConnectOptions extends Place {
  /** How long the node may be away before this gives up: its restart, or its upgrade. */
  readonly patienceMs?: number
  /** `compact` (the default), where the node speaks it; `lines` is what a person can read along. */
  readonly framing?: 'lines' | 'compact'
  /** Called when it gave up, or the connection was closed (then with nothing). */
  readonly onEnd?: (failure: Failure | undefined) => void
}

const PATIENCE_MS = 60_000

/** A connection to the node of this machine that carries any number of agents. Needs no keys and no schemas. */
export class AgentsConnection {
  readonly #agents = new Set<Agent>()
  #byHandle = new Map<number, Agent>()
  #link: Link | undefined
  #line: Line | undefined
  readonly #patienceMs: number
  /** What came for a handle whose name is still on its way: both may lie in one packet. */
  readonly #early = new Map<number, Delivery[]>()

  private constructor(patienceMs: number) {
    this.#patienceMs = patienceMs
  }

  static async open(options: ConnectOptions): Promise<AgentsConnection> {
    const patienceMs = options.patienceMs ?? PATIENCE_MS
    const connection = new AgentsConnection(patienceMs)
    connection.#link = await Link.open({
      find: () => findAgentsSocket(options, process.env),
      greeted: (line) => connection.#greeted(line),
      ended: (failure) => options.onEnd?.(failure),
      patienceMs,
      framing: options.framing ?? 'compact',
    })
    return connection
  }

  /** Of this machine. */
  get nodeName(): string {
    return this.#connected().nodeName
  }

  /** What the node agreed to. */
  get framing(): 'lines' | 'compact' {
    return this.#connected().framing
  }

  /** Throws AGENT_TOKEN_INVALID, AGENT_ATTACHED or AGENT_LIMIT. */
  async attach(options: AttachOptions): Promise<Agent> {
    const link = this.#connected()
    const agent = new Agent(link, options, (gone) => this.#forget(gone))
    await this.#attach(agent, await link.line())
    this.#agents.add(agent)
    return agent
  }

  /** All of its agents leave at once. */
  async close(): Promise<void> {
    await this.#link?.close()
  }

  async #greeted(line: Line): Promise<void> {
    this.#byHandle = new Map()
    this.#early.clear()
    line.on('message', ({ as, ...delivery }) => this.#delivered(as, delivery))
    line.on('agent', ({ as, ...change }) => this.#byHandle.get(as)?.agentChanged(change))
    line.on('undelivered', ({ as, ...news }) => this.#byHandle.get(as)?.wasUndelivered(news))
    line.on('memory', ({ as, ...change }) => this.#byHandle.get(as)?.memoryChanged(change))
    this.#line = line
    for (const agent of [...this.#agents]) {
      if (!this.#agents.has(agent)) continue
      try {
        await this.#attach(agent, line)
      } catch (error) {
        // What concerns one agent is no reason to keep the others waiting.
        if (!(error instanceof Failure) || !['AGENT_TOKEN_INVALID', 'AGENT_ATTACHED'].includes(error.code)) throw error
        agent.waitFor(this.#comeBack(agent, line, error))
      }
    }
  }

  /** Until whoever is that agent on the node has left; the connection of before may be in its books for a moment. */
  async #comeBack(agent: Agent, line: Line, refused: Failure): Promise<void> {
    const isMine = (): boolean => this.#line === line && this.#agents.has(agent)
    let failure = refused
    for await (const _ of attempts(this.#patienceMs)) {
      if (failure.code !== 'AGENT_ATTACHED') break
      // The next connection attaches it anew.
      if (!isMine()) return
      try {
        await this.#attach(agent, line)
        if (this.#agents.has(agent)) return
        // It was told to leave while the node let it in.
        this.#forget(agent)
        await line.call('detach', { as: agent.handle })
        return
      } catch (error) {
        failure = error instanceof Failure ? error : new Failure('INTERNAL', 'Attaching again broke.', { cause: error })
        if (!isMine() || failure.code === 'NODE_NOT_RUNNING') return
      }
    }
    this.#forget(agent)
    throw failure
  }

  async #attach(agent: Agent, line: Line): Promise<void> {
    const as = await agent.attach(line)
    this.#byHandle.set(as, agent)
    for (const delivery of this.#early.get(as) ?? []) agent.delivered(delivery)
    this.#early.delete(as)
  }

  #delivered(as: number, delivery: Delivery): void {
    const agent = this.#byHandle.get(as)
    if (agent !== undefined) return agent.delivered(delivery)
    // The node hands out no more than a few hundred before one is acknowledged.
    const early = this.#early.get(as) ?? []
    this.#early.set(as, early)
    early.push(delivery)
  }

  #forget(agent: Agent): void {
    this.#agents.delete(agent)
    // One that was not let in again has the handle of a connection before, which may be another's by now.
    if (this.#byHandle.get(agent.handle) === agent) this.#byHandle.delete(agent.handle)
  }

  #connected(): Link {
    if (this.#link === undefined) throw new Failure('NODE_NOT_RUNNING', 'The connection to the node is not open.')
    return this.#link
  }
}

/** Throws NODE_NOT_RUNNING, HOME_UNUSABLE or VERSION_MISMATCH. */
export const connectAgents = (options: ConnectOptions = {}): Promise<AgentsConnection> => AgentsConnection.open(options)

export interface ConnectedAgent {
  readonly agent: Agent
  readonly close: () => Promise<void>
}

/**
 * One agent on a connection of its own. The token comes from the options, else from SEALMESH_AGENT_TOKEN, else from the
 * file that SEALMESH_AGENT_TOKEN_FILE names.
 */
export async function connectAgent(options: ConnectOptions & Partial<AttachOptions> = {}): Promise<ConnectedAgent> {
  const token = options.token ?? (await tokenOf(process.env))
  const connection = await connectAgents(options)
  try {
    return { agent: await connection.attach({ ...options, token }), close: () => connection.close() }
  } catch (error) {
    await connection.close()
    throw error
  }
}

async function tokenOf(env: NodeJS.ProcessEnv): Promise<string> {
  const given = env['SEALMESH_AGENT_TOKEN']
  if (given !== undefined && given !== '') return given
  const path = env['SEALMESH_AGENT_TOKEN_FILE']
  if (path === undefined || path === '')
    throw new Failure('AGENT_TOKEN_INVALID', 'Neither SEALMESH_AGENT_TOKEN nor SEALMESH_AGENT_TOKEN_FILE is set.', {
      next: 'sealmesh agents token NAME makes one',
    })
  try {
    return (await readFile(path, 'utf8')).trim()
  } catch (cause) {
    throw new Failure('FILE_NOT_FOUND', `The token file ${path} cannot be read.`, { cause })
  }
}
