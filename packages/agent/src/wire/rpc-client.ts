import { connect, type Socket } from 'node:net'
import { Failure, type FailureCode, reactions } from '@sealmesh/protocol/errors'
import { FRAME_KINDS } from '@sealmesh/protocol/ipc/compact'
import { byteString, type Frame, frameOf, FrameReader } from './frames.ts'
import { LineReader, type Lines } from './line-reader.ts'
import { tellAll } from './tell-all.ts'

/** JSON-RPC 2.0 over a local socket of a node, from the side that asks: docs/spec/06-local-socket.md §2. */

/** The longest answer: a whole text or a full listing. */
const ANSWER_BYTES_MAX = 64 * 1_048_576
/** A node that is stopped or hangs still accepts connections: the kernel does. */
export const HELLO_WAIT_MS = 10_000

interface RpcError {
  readonly message: string
  readonly data: { readonly code: string; readonly next: string }
}

/** What a node says, as far as anything is known of it. */
interface Spoken {
  readonly id?: unknown
  readonly method?: unknown
  readonly params?: unknown
  readonly result?: unknown
  readonly error?: unknown
}

interface Waiting {
  readonly resolve: (result: unknown) => void
  readonly reject: (error: Failure) => void
}

/** What a client says and hears in frames of its own, once both sides speak `compact`. */
export interface Packing {
  /** A call as a frame; undefined for one that goes as JSON-RPC. */
  readonly pack: (method: string, id: number, params: object) => string | undefined
  /** What another frame than JSON-RPC says; undefined for what no node says. */
  readonly unpack: (frame: Frame) => Said | undefined
}

/** A notification, or the answer to a call. */
export type Said =
  | { readonly method: string; readonly params: unknown }
  | { readonly id: number; readonly result: unknown }

export class RpcClient {
  readonly #socket: Socket
  readonly #socketPath: string
  readonly #lines = new LineReader(ANSWER_BYTES_MAX)
  readonly #waiting = new Map<number, Waiting>()
  readonly #told = new Map<string, Set<(said: unknown) => void>>()
  /** Resolves when the connection has ended, whoever ended it. */
  readonly closed: Promise<void>
  /** Once the node has agreed to it. */
  #frames: FrameReader | undefined
  readonly #packing: Packing | undefined
  /** A byte string once both sides speak frames. */
  #out = ''
  #nextId = 1
  #ended: Failure | undefined

  private constructor(socket: Socket, socketPath: string, packing: Packing | undefined) {
    this.#socket = socket
    this.#packing = packing
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

  /** Connects and greets; with `packing` it speaks `compact` where the node agrees to it. Throws NODE_NOT_RUNNING, HOME_UNUSABLE, CORE_BUSY, or what the node answers. */
  static async open<Hello>(
    socketPath: string,
    hello: object,
    helloWaitMs: number = HELLO_WAIT_MS,
    packing?: Packing,
  ): Promise<{ client: RpcClient; hello: Hello }> {
    const client = new RpcClient(await dial(socketPath), socketPath, packing)
    let timer: NodeJS.Timeout | undefined
    const impatient = new Promise<never>((_, reject) => {
      const failure = new Failure(
        'CORE_BUSY',
        `The node at ${socketPath} did not greet within ${helloWaitMs / 1_000} s.`,
        {
          next: 'look at its log, or stop it and start it again: sealmesh up',
        },
      )
      timer = setTimeout(() => reject(failure), helloWaitMs)
    })
    try {
      return { client, hello: (await Promise.race([client.call('hello', hello), impatient])) as Hello }
    } catch (error) {
      await client.close()
      throw error
    } finally {
      clearTimeout(timer)
    }
  }

  /** Throws the `Failure` that the node answered with; NODE_NOT_RUNNING when the connection ends first. */
  call(method: string, params: object): Promise<unknown> {
    return new Promise((resolve, reject) => {
      if (this.#ended !== undefined) {
        reject(this.#ended)
        return
      }
      const id = this.#nextId++
      this.#waiting.set(id, { resolve, reject })
      const packed = this.#frames && this.#packing?.pack(method, id, params)
      if (packed === undefined) this.#sayText(`"id":${id},`, method, params)
      else this.#say(packed)
    })
  }

  /** A call whose answer nobody waits for, nor its failure. */
  tell(method: string, params: object): void {
    if (this.#ended === undefined) this.#sayText('', method, params)
  }

  /** What the node says unasked; gives back what ends the listening. */
  on(name: string, listener: (said: unknown) => void): () => void {
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

  #sayText(id: string, method: string, params: object): void {
    const text = `{"jsonrpc":"2.0",${id}"method":"${method}","params":${JSON.stringify(params)}}`
    this.#say(this.#frames === undefined ? `${text}\n` : frameOf(FRAME_KINDS.json, '', byteString(text)))
  }

  #say(out: string): void {
    // Calls made in one go leave in one write.
    if (this.#out === '') queueMicrotask(() => this.#flush())
    this.#out += out
  }

  #flush(): void {
    const out = this.#out
    this.#out = ''
    if (this.#ended === undefined) this.#socket.write(out, this.#frames === undefined ? 'utf8' : 'latin1')
  }

  #onData(chunk: Buffer): void {
    if (this.#frames !== undefined) {
      this.#frames.push(chunk)
      return this.#takeFrames(this.#frames)
    }
    const { lines, tooLong } = this.#lines.push(chunk)
    for (let line = lines?.next(); lines !== undefined && line !== undefined; line = lines.next()) {
      if (typeof line !== 'string' || !this.#onText(line)) return this.#giveUp()
      if (this.#frames !== undefined) return this.#beginFrames(this.#frames, lines)
    }
    if (tooLong) this.#giveUp()
  }

  /** Behind the answer to `hello`. */
  #beginFrames(frames: FrameReader, lines: Lines): void {
    frames.push(this.#lines.rest(lines))
    this.#takeFrames(frames)
  }

  #takeFrames(frames: FrameReader): void {
    for (let frame = frames.next(); frame !== undefined; frame = frames.next())
      if (typeof frame === 'symbol' || !this.#onFrame(frame)) return this.#giveUp()
  }

  #onFrame(frame: Frame): boolean {
    if (frame.kind === FRAME_KINDS.json) return this.#onText(frame.body)
    const said = this.#packing?.unpack(frame)
    return said !== undefined && this.#onMessage(said)
  }

  /** False when it is not what a node says. */
  #onText(text: string): boolean {
    let message: Spoken | null
    try {
      message = JSON.parse(text)
    } catch {
      return false
    }
    return typeof message === 'object' && message !== null && this.#onMessage(message)
  }

  #onMessage(message: Spoken): boolean {
    if (typeof message.method === 'string') {
      // What a newer node tells and we have no name for is none of our business.
      tellAll(this.#told.get(message.method) ?? [], message.params)
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
    if (error === undefined) {
      if (this.#isAgreed(id, message.result)) this.#frames = new FrameReader(ANSWER_BYTES_MAX)
      waiting?.resolve(message.result)
    } else if (isRpcError(error)) waiting?.reject(failureOf(error))
    else return false
    return true
  }

  /** The first call is `hello`. */
  #isAgreed(id: number, hello: unknown): boolean {
    if (id !== 1 || this.#packing === undefined) return false
    return (hello as { framing?: unknown } | null)?.framing === 'compact'
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

/** What the client throws for an error that the node sent. A newer node may know codes that we do not. */
function failureOf({ message, data: { code, next } }: RpcError): Failure {
  return new Failure(Object.hasOwn(reactions, code) ? (code as FailureCode) : 'INTERNAL', message, { next })
}

function dial(socketPath: string): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect(socketPath)
    socket.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EACCES' || error.code === 'EPERM')
        return reject(new Failure('HOME_UNUSABLE', `This user may not use the socket ${socketPath}.`, { cause: error }))
      reject(new Failure('NODE_NOT_RUNNING', `No node answers at ${socketPath}.`, { cause: error }))
    })
    socket.once('connect', () => {
      socket.removeAllListeners('error')
      resolve(socket)
    })
  })
}
