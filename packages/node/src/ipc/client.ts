import { connect, type Socket } from 'node:net'
import { Failure } from '@sealmesh/protocol/errors'
import type {
  MethodInput,
  MethodName,
  MethodResult,
  Notification,
  NotificationName,
  WatchEvent,
} from '@sealmesh/protocol/ipc/methods'
import { DOOR_VERSION } from '@sealmesh/protocol/version'
import { errnoOf } from '../keys/disk-failure.ts'
import { LineReader } from './line-reader.ts'
import { failureOf, type RpcError } from './rpc.ts'

/** The longest answer: a whole text or a full listing. */
const ANSWER_BYTES_MAX = 64 * 1_048_576
/** A node that is stopped or hangs still accepts connections: the kernel does. */
const HELLO_WAIT_MS = 10_000

export interface DoorClient {
  /** Throws the `Failure` that the node answered with; NODE_NOT_RUNNING when the connection ends first. */
  call<M extends MethodName>(method: M, params: MethodInput<M>): Promise<MethodResult<M>>
  /** Events of `watch`; gives back what ends the listening. */
  onNotification(listener: (event: WatchEvent) => void): () => void
  /** Everything else that the node says unasked. */
  on<N extends NotificationName>(name: N, listener: (said: Notification<N>) => void): () => void
  /** Resolves when the connection has ended, whoever ended it. */
  readonly closed: Promise<void>
  close(): Promise<void>
}

/** Connects and greets; needs neither zod nor the schemas at run time, so that short commands start fast. */
export async function connectDoor(socketPath: string, options: { helloWaitMs?: number } = {}): Promise<DoorClient> {
  const client = new Client(await dial(socketPath), socketPath)
  const waitMs = options.helloWaitMs ?? HELLO_WAIT_MS
  let timer: NodeJS.Timeout | undefined
  const impatient = new Promise<never>((_, reject) => {
    const failure = new Failure('CORE_BUSY', `The node at ${socketPath} did not greet within ${waitMs / 1_000} s.`, {
      next: 'look at its log, or stop it and start it again: sealmesh up',
    })
    timer = setTimeout(() => reject(failure), waitMs)
  })
  try {
    await Promise.race([client.call('hello', { version: DOOR_VERSION }), impatient])
    return client
  } catch (error) {
    await client.close()
    throw error
  } finally {
    clearTimeout(timer)
  }
}

interface Waiting {
  readonly resolve: (result: never) => void
  readonly reject: (error: Failure) => void
}

class Client implements DoorClient {
  readonly #socket: Socket
  readonly #socketPath: string
  readonly #lines = new LineReader(ANSWER_BYTES_MAX)
  readonly #waiting = new Map<number, Waiting>()
  readonly #listeners = new Set<(event: WatchEvent) => void>()
  readonly #told = new Map<string, Set<(said: never) => void>>()
  readonly closed: Promise<void>
  #out = ''
  #nextId = 1
  #ended: Failure | undefined

  constructor(socket: Socket, socketPath: string) {
    this.#socket = socket
    this.#socketPath = socketPath
    socket.on('data', (chunk) => this.#onData(chunk))
    socket.on('error', () => socket.destroy())
    this.closed = new Promise((resolve) => {
      socket.on('close', () => {
        this.#end('The node closed the connection before it answered: whether it did the last call is not known.')
        resolve()
      })
    })
  }

  call<M extends MethodName>(method: M, params: MethodInput<M>): Promise<MethodResult<M>> {
    return new Promise((resolve, reject) => {
      if (this.#ended !== undefined) {
        reject(this.#ended)
        return
      }
      const id = this.#nextId++
      this.#waiting.set(id, { resolve, reject })
      // Calls made in one go leave in one write.
      if (this.#out === '') queueMicrotask(() => this.#flush())
      this.#out += `{"jsonrpc":"2.0","id":${id},"method":"${method}","params":${JSON.stringify(params)}}\n`
    })
  }

  onNotification(listener: (event: WatchEvent) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  on<N extends NotificationName>(name: N, listener: (said: Notification<N>) => void): () => void {
    const listeners = this.#told.get(name) ?? new Set()
    this.#told.set(name, listeners)
    listeners.add(listener)
    return () => listeners.delete(listener)
  }

  async close(): Promise<void> {
    this.#end('The connection to the node is closed.')
    this.#socket.destroy()
    await this.closed
  }

  #flush(): void {
    const out = this.#out
    this.#out = ''
    if (this.#ended === undefined) this.#socket.write(out)
  }

  #onData(chunk: Buffer): void {
    const { lines, tooLong } = this.#lines.push(chunk)
    for (let line = lines?.next(); line !== undefined; line = lines?.next()) {
      if (typeof line !== 'string' || !this.#onLine(line)) return this.#giveUp()
    }
    if (tooLong) this.#giveUp()
  }

  /** False when it is not what a node says. */
  #onLine(line: string): boolean {
    let message: { id?: unknown; method?: unknown; params?: unknown; result?: unknown; error?: unknown } | null
    try {
      message = JSON.parse(line)
    } catch {
      return false
    }
    if (typeof message !== 'object' || message === null) return false
    if (message.method === 'watch.event') {
      for (const listener of this.#listeners) listener(message.params as WatchEvent)
      return true
    }
    if (typeof message.method === 'string') {
      // What a newer node tells and we have no name for is none of our business.
      for (const listener of this.#told.get(message.method) ?? []) listener(message.params as never)
      return true
    }
    const { id, error } = message
    if (typeof id !== 'number') {
      // An error without an id answers a line that the node could not read; it ends the connection itself.
      if (id === null && isRpcError(error)) this.#ended = failureOf(error)
      return id === null
    }
    const waiting = this.#waiting.get(id)
    this.#waiting.delete(id)
    if (error === undefined) waiting?.resolve(message.result as never)
    else if (isRpcError(error)) waiting?.reject(failureOf(error))
    else return false
    return true
  }

  #giveUp(): void {
    this.#end(`What answers at ${this.#socketPath} does not speak as a node does.`, 'VERSION_MISMATCH')
    this.#socket.destroy()
  }

  #end(message: string, code: 'NODE_NOT_RUNNING' | 'VERSION_MISMATCH' = 'NODE_NOT_RUNNING'): void {
    this.#ended ??= new Failure(code, message)
    for (const waiting of this.#waiting.values()) waiting.reject(this.#ended)
    this.#waiting.clear()
  }
}

const isRpcError = (error: unknown): error is RpcError => {
  if (typeof error !== 'object' || error === null) return false
  const { message, data } = error as Partial<RpcError>
  return typeof message === 'string' && typeof data?.code === 'string' && typeof data.next === 'string'
}

function dial(socketPath: string): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect(socketPath)
    socket.once('error', (error) => {
      switch (errnoOf(error)) {
        case 'EACCES':
        case 'EPERM':
          return reject(
            new Failure('HOME_UNUSABLE', `This user may not use the socket ${socketPath}.`, { cause: error }),
          )
        default:
          return reject(new Failure('NODE_NOT_RUNNING', `No node answers at ${socketPath}.`, { cause: error }))
      }
    })
    socket.once('connect', () => {
      socket.removeAllListeners('error')
      resolve(socket)
    })
  })
}
