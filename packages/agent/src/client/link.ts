import { setTimeout as pause } from 'node:timers/promises'
import { Failure } from '@sealmesh/protocol/errors'
import type {
  AgentMethodInput,
  AgentMethodName,
  AgentMethodResult,
  AgentNotification,
  AgentNotificationName,
} from '@sealmesh/protocol/ipc/agent-methods'
import { AGENT_DOOR_VERSION } from '@sealmesh/protocol/version'
import { HELLO_WAIT_MS, RpcClient } from '../wire/rpc-client.ts'
import { agentPacking } from './packing.ts'

export interface LinkOptions {
  readonly find: () => Promise<string>
  /** Called with each new connection before anybody else may use it: agents attach again here. */
  readonly greeted: (line: Line) => Promise<void>
  /** Why it gave up; undefined when it was closed. */
  readonly ended: (failure: Failure | undefined) => void
  /** How long a node may be away. */
  readonly patienceMs: number
  readonly framing: 'lines' | 'compact'
}

/** One connection, typed by the table of methods. */
export interface Line {
  call<M extends AgentMethodName>(method: M, params: AgentMethodInput<M>): Promise<AgentMethodResult<M>>
  tell<M extends AgentMethodName>(method: M, params: AgentMethodInput<M>): void
  on<N extends AgentNotificationName>(name: N, listener: (said: AgentNotification<N>) => void): void
}

const FIRST_WAIT_MS = 50
const LAST_WAIT_MS = 2_000

/** A connection that comes back. Calls wait while there is none; those that were under way are answered by a failure. */
export class Link {
  readonly #options: LinkOptions
  #client: RpcClient | undefined
  #line: Promise<Line>
  #closed = false
  nodeName = ''
  /** What the node agreed to. */
  framing: 'lines' | 'compact' = 'lines'

  private constructor(options: LinkOptions, line: Promise<Line>) {
    this.#options = options
    this.#line = line
  }

  /** Throws what keeps it from the first connection. */
  static async open(options: LinkOptions): Promise<Link> {
    const link = new Link(options, new Promise<never>(() => undefined))
    link.#line = link.#dial()
    await link.#line
    return link
  }

  /** The connection that there is, or the next one. Throws NODE_NOT_RUNNING when the node stayed away. */
  line(): Promise<Line> {
    return this.#line
  }

  async close(): Promise<void> {
    this.#closed = true
    await this.#client?.close()
  }

  async #dial(): Promise<Line> {
    const { find, framing } = this.#options
    const hello = { version: AGENT_DOOR_VERSION, framing }
    const packing = framing === 'compact' ? agentPacking : undefined
    const opened = await RpcClient.open<AgentMethodResult<'hello'>>(await find(), hello, HELLO_WAIT_MS, packing)
    const { client } = opened
    this.nodeName = opened.hello.nodeName
    this.framing = opened.hello.framing
    this.#client = client
    const line: Line = {
      call: <M extends AgentMethodName>(method: M, params: AgentMethodInput<M>) =>
        client.call(method, params) as Promise<AgentMethodResult<M>>,
      tell: (method, params) => client.tell(method, params),
      on: <N extends AgentNotificationName>(name: N, listener: (said: AgentNotification<N>) => void) =>
        void client.on(name, (said) => listener(said as AgentNotification<N>)),
    }
    try {
      if (this.#closed) throw new Failure('NODE_NOT_RUNNING', 'The connection to the node is closed.')
      await this.#options.greeted(line)
    } catch (error) {
      await client.close()
      throw error
    }
    void client.closed.then(() => this.#lost())
    return line
  }

  #lost(): void {
    if (this.#closed) return this.#options.ended(undefined)
    this.#line = this.#again()
    this.#line.catch((error: unknown) => {
      const failure =
        error instanceof Failure ? error : new Failure('INTERNAL', 'Connecting again broke.', { cause: error })
      this.#options.ended(this.#closed ? undefined : failure)
    })
  }

  async #again(): Promise<Line> {
    let last: unknown
    for await (const _ of attempts(this.#options.patienceMs)) {
      try {
        return await this.#dial()
      } catch (error) {
        last = error
        if (this.#closed || !mayPass(error)) break
      }
    }
    throw last
  }
}

/** One after each pause, longer each time, for as long as patience lasts, and once at the least. */
export async function* attempts(patienceMs: number): AsyncGenerator<void> {
  const giveUpAtMs = performance.now() + patienceMs
  let waitMs = FIRST_WAIT_MS
  do {
    // Not all agents of a machine at the same moment.
    await pause(waitMs * (0.5 + Math.random()))
    yield
    waitMs = Math.min(2 * waitMs, LAST_WAIT_MS)
  } while (performance.now() <= giveUpAtMs)
}

/** A node that starts again does not answer at first. */
const mayPass = (error: unknown): boolean =>
  error instanceof Failure && ['NODE_NOT_RUNNING', 'CORE_BUSY'].includes(error.code)
