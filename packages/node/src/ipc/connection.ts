import type { Socket } from 'node:net'
import { GARBLED, LineReader, type Lines, TOO_LONG } from '@sealmesh/agent/wire/line-reader'
import type { DoorContext, Parsed, ReadRequest } from './dispatch.ts'
import type { DoorLimits } from './door-limits.ts'
import { errorLine, errorOf, notificationLine, RPC_CODES, type RpcId, resultLine, rpcError } from './rpc.ts'

/** What a `pino` logger offers. */
export interface DoorLog {
  info(fields: object, text: string): void
  warn(fields: object, text: string): void
  error(fields: object, text: string): void
}

/**
 * One client of the door.
 *
 * 1. Answers that are ready in one turn of the loop leave in one write.
 * 2. The socket is read only while fewer than `inFlightMax` requests are worked on and fewer than `queueBytesPause`
 *    bytes wait for the client; lines that were already read wait with it. So requests are held back, not dropped.
 * 3. Notifications cannot be held back: past `queueBytesMax` the client is cut.
 */
export class Connection {
  readonly #socket: Socket
  readonly #read: ReadRequest
  readonly #limits: DoorLimits
  readonly #log: DoorLog
  readonly #lines: LineReader
  readonly #gone = new AbortController()
  readonly #context: DoorContext
  #unread: Lines | undefined
  #out = ''
  #flushing = false
  #working = false
  #waits = false
  #late = false
  #inFlight = 0
  readonly #awaitRoom: (() => void)[] = []
  #state: 'open' | 'draining' | 'gone' = 'open'

  constructor(socket: Socket, read: ReadRequest, limits: DoorLimits, log: DoorLog) {
    this.#socket = socket
    this.#read = read
    this.#limits = limits
    this.#log = log
    this.#lines = new LineReader(limits.lineBytesMax)
    this.#context = {
      notify: (event) => this.#tell('watch.event', JSON.stringify(event)),
      stream: {
        tell: (name, params) => this.#tell(name, JSON.stringify(params)),
        tellText: (name, params) => this.#tell(name, params),
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
    const { lines, tooLong } = this.#lines.push(chunk)
    this.#unread = lines
    this.#work()
    if (tooLong) this.#refuseLongLine()
  }

  /** Takes lines until they are used up or the client has enough in flight, and sends what is ready. */
  #work(): void {
    // What the kernel takes at once makes room without an event to tell of it, so look again after sending.
    do {
      this.#takeLines()
      this.#flush()
    } while (this.#unread !== undefined && !this.#isFull())
    this.#offerRoom()
    if (this.#state === 'open') this.#readOrWait()
    else this.#endIfDrained()
  }

  #takeLines(): void {
    this.#working = true
    while (this.#unread !== undefined && !this.#isFull()) {
      const line = this.#unread.next()
      if (line === undefined) this.#unread = undefined
      else if (line === TOO_LONG) this.#refuseLongLine()
      else if (line === GARBLED)
        this.#send(errorLine(null, rpcError(RPC_CODES.PARSE, 'USAGE', 'The line is not UTF-8.')))
      // Blank lines are what people type.
      else if (line !== '' && line !== '\r') this.#answer(this.#read(line))
    }
    this.#working = false
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
    const { id, params, call } = request
    let outcome: unknown
    try {
      outcome = call(params, this.#context)
    } catch (error) {
      return this.#sendFailure(id, error)
    }
    if (!(outcome instanceof Promise)) return this.#sendResult(id, outcome)
    this.#inFlight++
    outcome.then(
      (result: unknown) => {
        this.#inFlight--
        this.#sendResult(id, result)
      },
      (error: unknown) => {
        this.#inFlight--
        this.#sendFailure(id, error)
      },
    )
  }

  #sendResult(id: RpcId | undefined, result: unknown): void {
    // A request without an id wants no answer.
    if (id === undefined) return this.#scheduleFlush()
    this.#send(resultLine(id, result))
  }

  #sendFailure(id: RpcId | undefined, thrown: unknown): void {
    const error = errorOf(thrown)
    if (error.data.code === 'INTERNAL') this.#log.error(withoutWords(thrown), 'a method of the local socket failed')
    if (id === undefined) return this.#scheduleFlush()
    this.#send(errorLine(id, error))
  }

  #tell(name: string, params: string): void {
    if (this.#state !== 'open' || this.#gone.signal.aborted) return
    if (this.#queuedBytes() > this.#limits.queueBytesMax) return this.#cut('it does not read what it watches')
    this.#send(notificationLine(name, params))
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
    if (this.#state === 'gone') return
    this.#out += line
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
    this.#socket.write(out)
  }

  #refuseLongLine(): void {
    if (this.#state !== 'open') return
    const message = `A line has over ${this.#limits.lineBytesMax} bytes.`
    this.#send(errorLine(null, rpcError(RPC_CODES.REQUEST, 'VALUE_TOO_LARGE', message)))
    this.#unread = undefined
    this.#log.warn({}, 'a local client sent a line over the limit, and was cut')
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

  #isFull(): boolean {
    return this.#inFlight >= this.#limits.inFlightMax || this.#queuedBytes() > this.#limits.queueBytesPause
  }

  #queuedBytes(): number {
    return this.#socket.writableLength + this.#out.length
  }
}

/** Where it broke, without the message, which may quote what an agent wrote. */
function withoutWords(thrown: unknown): { error: string; at: string[] } {
  if (!(thrown instanceof Error)) return { error: typeof thrown, at: [] }
  const at = (thrown.stack ?? '').split('\n').filter((line) => /^\s+at /.test(line))
  return { error: thrown.name, at: at.slice(0, 8).map((line) => line.trim()) }
}
