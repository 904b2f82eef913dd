import type { Socket } from 'node:net'
import { byteString, type Frame, frameOf, FrameReader } from '@sealmesh/agent/wire/frames'
import { GARBLED, LineReader, type Lines, TOO_LONG } from '@sealmesh/agent/wire/line-reader'
import { FRAME_KINDS } from '@sealmesh/protocol/ipc/compact'
import type { CompactStream, DoorContext, Parsed, ReadFrame, ReadRequest } from './dispatch.ts'
import type { DoorLimits } from './door-limits.ts'
import { errorLine, errorOf, notificationLine, RPC_CODES, type RpcId, resultLine, rpcError } from './rpc.ts'

/** What a `pino` logger offers. */
export interface DoorLog {
  info(fields: object, text: string): void
  warn(fields: object, text: string): void
  error(fields: object, text: string): void
}

/** How a door understands what is said to it. */
export interface Reading {
  readonly line: ReadRequest
  /** Of a door that speaks `compact`. */
  readonly frame: ReadFrame | undefined
}

/**
 * One client of the door.
 *
 * 1. Answers that are ready in one turn of the loop leave in one write.
 * 2. The socket is read only while fewer than `inFlightMax` requests are worked on and fewer than `queueBytesPause`
 *    bytes wait for the client; lines that were already read wait with it. So requests are held back, not dropped.
 * 3. Behind the answer to the `hello` that asks for it, and behind that `hello`, both sides speak frames.
 * 4. One turn of the loop works on its calls for `turnMs` at most and one call; the rest waits for a later turn.
 * 5. Notifications cannot be held back: past `queueBytesMax` the client is cut.
 */
export class Connection {
  readonly #socket: Socket
  readonly #read: Reading
  readonly #limits: DoorLimits
  readonly #log: DoorLog
  readonly #lines: LineReader
  readonly #gone = new AbortController()
  readonly #context: DoorContext
  /** Once both sides speak frames. */
  #frames: FrameReader | undefined
  #unread: Lines | FrameReader | undefined
  /** A byte string once both sides speak frames. */
  #out = ''
  #turnsCompact = false
  #flushing = false
  #working = false
  #waits = false
  #late = false
  #inFlight = 0
  readonly #awaitRoom: (() => void)[] = []
  #state: 'open' | 'draining' | 'gone' = 'open'

  /** `onKnown`: whether this client has proven who it is, whenever that changes. */
  constructor(
    socket: Socket,
    read: Reading,
    limits: DoorLimits,
    log: DoorLog,
    onKnown: (isKnown: boolean) => void = () => undefined,
  ) {
    this.#socket = socket
    this.#read = read
    this.#limits = limits
    this.#log = log
    this.#lines = new LineReader(limits.lineBytesMax)
    this.#context = {
      notify: (event) => this.#tell('watch.event', JSON.stringify(event)),
      stream: {
        ...(read.frame === undefined ? {} : { compact: this.#compact() }),
        tell: (name, params) => this.#tell(name, JSON.stringify(params)),
        tellText: (name, params) => this.#tell(name, params),
        known: onKnown,
        end: () => void setImmediate(() => this.dismiss()),
        hasRoom: () => this.#hasRoom(),
        room: () => new Promise((resolve) => void setImmediate(() => this.#waitForRoom(resolve))),
      },
      signal: this.#gone.signal,
    }
    socket.on('data', (chunk) => this.#onData(chunk))
    socket.on('drain', () => this.#work())
    socket.on('timeout', () => this.#cut('it took nothing of what waits for it'))
    // A client that ends its half (`echo … | nc -U`) still gets its answers.
    socket.on('end', () => this.drain())
    socket.on('error', () => socket.destroy())
    socket.on('close', () => this.#onClose())
  }

  /** Takes no more requests, answers those that are being worked on, then ends. */
  drain(): void {
    if (this.#state !== 'open') return
    this.#work()
    this.#state = 'draining'
    this.#endIfDrained()
  }

  /** Ends watching, which has no end of its own; then as `drain`. */
  dismiss(): void {
    this.#gone.abort()
    this.#unread = undefined
    this.drain()
  }

  destroy(): void {
    this.#socket.destroy()
  }

  #onData(chunk: Buffer): void {
    if (this.#state !== 'open') return
    if (this.#frames !== undefined) {
      this.#frames.push(chunk)
      this.#unread = this.#frames
      return this.#work()
    }
    const { lines, tooLong } = this.#lines.push(chunk)
    this.#unread = lines
    this.#work()
    if (tooLong) this.#refuseTooLong()
  }

  #compact(): CompactStream {
    return {
      begin: () => void (this.#turnsCompact = this.#frames === undefined),
      isOn: () => this.#turnsCompact || this.#frames !== undefined,
      tell: (frame) => this.#tellAs(() => this.#put(frame)),
    }
  }

  /** Invariant 3. */
  #beginFrames(lines: Lines): void {
    this.#turnsCompact = false
    this.#flush()
    this.#frames = new FrameReader(this.#limits.lineBytesMax)
    this.#frames.push(this.#lines.rest(lines))
    this.#unread = this.#frames
  }

  /** Takes lines until they are used up or the client has enough in flight, and sends what is ready. */
  #work(): void {
    const endMs = performance.now() + this.#limits.turnMs
    // What the kernel takes at once makes room without an event to tell of it, so look again after sending.
    do {
      this.#takeLines(endMs)
      this.#flush()
    } while (this.#mayGoOn() && performance.now() < endMs)
    // Invariant 4.
    if (this.#mayGoOn()) this.#scheduleFlush()
    this.#offerRoom()
    if (this.#state === 'open') this.#readOrWait()
    else this.#endIfDrained()
  }

  #takeLines(endMs: number): void {
    this.#working = true
    do {
      const unread = this.#unread
      if (unread === undefined || this.#isFull()) break
      const said = unread.next()
      if (said === undefined) this.#unread = undefined
      else if (said === TOO_LONG) this.#refuseTooLong()
      else if (said === GARBLED) this.#send(errorLine(null, rpcError(RPC_CODES.PARSE, 'USAGE', GARBLED_WORDS)))
      else if (typeof said !== 'string') this.#answer(this.#readFrame(said))
      // Blank lines are what people type.
      else if (said !== '' && said !== '\r') this.#answer(this.#read.line(said))
      if (this.#turnsCompact) this.#beginFrames(unread as Lines)
    } while (performance.now() < endMs)
    this.#working = false
  }

  #readFrame(frame: Frame): Parsed {
    if (frame.kind === FRAME_KINDS.json || this.#read.frame === undefined) return this.#read.line(frame.body)
    return this.#read.frame(frame)
  }

  #readOrWait(): void {
    const waits = this.#unread !== undefined || this.#isFull()
    if (waits !== this.#waits) {
      this.#waits = waits
      if (waits) this.#socket.pause()
      else this.#socket.resume()
    }
    // Only a client that has something to take can be late in taking it.
    const late = this.#queuedBytes() > this.#limits.queueBytesPause
    if (late !== this.#late) {
      this.#late = late
      this.#socket.setTimeout(late ? this.#limits.stallMs : 0)
    }
  }

  #answer(request: Parsed): void {
    if (request.type === 'refuse') return this.#send(errorLine(request.id, request.error))
    const { id, params, call, frame } = request
    let outcome: unknown
    try {
      outcome = call(params, this.#context)
    } catch (error) {
      return this.#sendFailure(id, error)
    }
    if (!(outcome instanceof Promise)) return this.#sendResult(id, outcome, frame)
    this.#inFlight++
    outcome.then(
      (result: unknown) => {
        this.#inFlight--
        this.#sendResult(id, result, frame)
      },
      (error: unknown) => {
        this.#inFlight--
        this.#sendFailure(id, error)
      },
    )
  }

  #sendResult(id: RpcId | undefined, result: unknown, frame?: (result: unknown) => string): void {
    // A request without an id wants no answer.
    if (id === undefined) return this.#scheduleFlush()
    if (frame === undefined) this.#send(resultLine(id, result))
    else this.#put(frame(result))
  }

  #sendFailure(id: RpcId | undefined, thrown: unknown): void {
    const error = errorOf(thrown)
    if (error.data.code === 'INTERNAL') this.#log.error(withoutWords(thrown), 'a method of the local socket failed')
    if (id === undefined) return this.#scheduleFlush()
    this.#send(errorLine(id, error))
  }

  #tell(name: string, params: string): void {
    this.#tellAs(() => this.#send(notificationLine(name, params)))
  }

  #tellAs(say: () => void): void {
    if (this.#state !== 'open' || this.#gone.signal.aborted) return
    if (this.#queuedBytes() > this.#limits.queueBytesMax) return this.#cut('it does not read what it watches')
    say()
  }

  #hasRoom(): boolean {
    return this.#queuedBytes() <= this.#limits.queueBytesPause
  }

  #waitForRoom(resolve: () => void): void {
    if (this.#hasRoom() || this.#state === 'gone') resolve()
    else this.#awaitRoom.push(resolve)
  }

  #offerRoom(): void {
    if (this.#awaitRoom.length === 0 || !this.#hasRoom()) return
    for (const resolve of this.#awaitRoom.splice(0)) resolve()
  }

  #send(line: string): void {
    this.#put(this.#frames === undefined ? line : frameOf(FRAME_KINDS.json, '', byteString(line)))
  }

  #put(out: string): void {
    if (this.#state === 'gone') return
    this.#out += out
    this.#scheduleFlush()
  }

  #scheduleFlush(): void {
    if (this.#flushing || this.#working || this.#state === 'gone') return
    this.#flushing = true
    setImmediate(() => {
      this.#flushing = false
      // Also goes on with lines that waited for a place in flight, and flushes.
      this.#work()
    })
  }

  #flush(): void {
    if (this.#out === '' || this.#state === 'gone') return
    const out = this.#out
    this.#out = ''
    this.#socket.write(out, this.#frames === undefined ? 'utf8' : 'latin1')
  }

  #refuseTooLong(): void {
    if (this.#state !== 'open') return
    const message = `A ${this.#frames === undefined ? 'line' : 'frame'} has over ${this.#limits.lineBytesMax} bytes.`
    this.#send(errorLine(null, rpcError(RPC_CODES.REQUEST, 'VALUE_TOO_LARGE', message)))
    this.#unread = undefined
    this.#log.warn({}, 'a local client sent more at a time than it may, and was cut')
    // What follows cannot be told apart any more. Reading on and dropping it lets the client see why.
    this.#state = 'draining'
    this.#socket.resume()
    const socket = this.#socket
    setTimeout(() => socket.destroy(), this.#limits.drainMs).unref()
    this.#endIfDrained()
  }

  #cut(why: string): void {
    if (this.#state === 'gone') return
    this.#log.warn({ queuedBytes: this.#queuedBytes() }, `a local client was cut: ${why}`)
    this.#onClose()
    this.#socket.destroy()
  }

  #endIfDrained(): void {
    if (this.#state !== 'draining' || this.#inFlight > 0 || this.#unread !== undefined) return
    this.#flush()
    this.#socket.setTimeout(this.#limits.stallMs)
    this.#socket.end()
    // A paused socket would never see the client end its half.
    this.#socket.resume()
  }

  #onClose(): void {
    this.#state = 'gone'
    this.#unread = undefined
    this.#out = ''
    this.#gone.abort()
    for (const resolve of this.#awaitRoom.splice(0)) resolve()
  }

  #mayGoOn(): boolean {
    return this.#unread !== undefined && !this.#isFull()
  }

  #isFull(): boolean {
    return this.#inFlight >= this.#limits.inFlightMax || this.#queuedBytes() > this.#limits.queueBytesPause
  }

  #queuedBytes(): number {
    return this.#socket.writableLength + this.#out.length
  }
}

const GARBLED_WORDS = 'The line is not UTF-8, or the frame is none.'

/** Where it broke, without the message, which may quote what an agent wrote. */
function withoutWords(thrown: unknown): { error: string; at: string[] } {
  if (!(thrown instanceof Error)) return { error: typeof thrown, at: [] }
  const at = (thrown.stack ?? '').split('\n').filter((line) => /^\s+at /.test(line))
  return { error: thrown.name, at: at.slice(0, 8).map((line) => line.trim()) }
}
