import { isAscii, isUtf8 } from 'node:buffer'
import { FRAME_KINDS } from '@sealmesh/protocol/ipc/compact'
import { GARBLED, TOO_LONG } from './line-reader.ts'

const LENGTH_BYTES = 4
const HEAD_LENGTH_BYTES = 2
const FIRST_CAPACITY = 4_096
const NOTHING: Buffer = Buffer.alloc(0)

/** One frame of docs/spec/16-agents.md §1.1. */
export interface Frame {
  readonly kind: number
  /** A byte string; empty in frames of JSON-RPC. */
  readonly head: string
  readonly body: string
}

/**
 * Cuts a stream of bytes into frames. A length is only ever compared, and never allocated: what has come of a frame lies in
 * one buffer that grows with it.
 */
export class FrameReader {
  readonly #bytesMax: number
  #buffer = NOTHING
  #at = 0
  #end = 0
  #isOurs = true

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax
  }

  /** Reads of `chunk` without copying it: take all that is whole before the next one. */
  push(chunk: Buffer): void {
    const left = this.#end - this.#at
    if (left > 0) return this.#append(chunk)
    this.#buffer = chunk
    this.#at = 0
    this.#end = chunk.length
    this.#isOurs = false
  }

  /** The next frame, or undefined where none is whole. After TOO_LONG nothing can be told apart any more. */
  next(): Frame | typeof GARBLED | typeof TOO_LONG | undefined {
    const left = this.#end - this.#at
    if (left < LENGTH_BYTES) return this.#wait()
    const length = this.#buffer.readUInt32BE(this.#at)
    if (length > this.#bytesMax) return TOO_LONG
    if (left < LENGTH_BYTES + length) return this.#wait()
    const from = this.#at + LENGTH_BYTES
    this.#at = from + length
    return frameIn(this.#buffer, from, this.#at)
  }

  #append(chunk: Buffer): void {
    const needed = this.#end - this.#at + chunk.length
    if (this.#end + chunk.length > this.#buffer.length) this.#moveTo(Math.max(needed, 2 * (this.#end - this.#at)))
    chunk.copy(this.#buffer, this.#end)
    this.#end += chunk.length
  }

  /** What is left must not hold the chunk that it came in, of which it may be a hundredth; nor nothing a large buffer. */
  #wait(): undefined {
    if (!this.#isOurs || this.#at === this.#end) this.#moveTo(this.#end - this.#at)
    return undefined
  }

  #moveTo(capacity: number): void {
    const left = this.#end - this.#at
    const buffer = left === 0 ? NOTHING : Buffer.allocUnsafe(Math.max(FIRST_CAPACITY, capacity))
    this.#buffer.copy(buffer, 0, this.#at, this.#end)
    this.#buffer = buffer
    this.#at = 0
    this.#end = left
    this.#isOurs = true
  }
}

function frameIn(bytes: Buffer, from: number, to: number): Frame | typeof GARBLED {
  const kind = bytes[from]
  if (from === to || kind === undefined) return GARBLED
  if (kind === FRAME_KINDS.json) return framed(kind, '', bytes.subarray(from + 1, to))
  const headFrom = from + 1 + HEAD_LENGTH_BYTES
  if (headFrom > to) return GARBLED
  const headTo = headFrom + bytes.readUInt16BE(from + 1)
  if (headTo > to) return GARBLED
  return framed(kind, bytes.toString('latin1', headFrom, headTo), bytes.subarray(headTo, to))
}

function framed(kind: number, head: string, body: Buffer): Frame | typeof GARBLED {
  if (isAscii(body)) return { kind, head, body: body.toString('latin1') }
  return isUtf8(body) ? { kind, head, body: body.toString('utf8') } : GARBLED
}

/** A frame as a byte string, to be written as `latin1`. `body`: a byte string as well. */
export function frameOf(kind: number, head: string, body: string): string {
  if (kind === FRAME_KINDS.json) return start(1 + body.length, kind) + body
  const bytes = 1 + HEAD_LENGTH_BYTES + head.length + body.length
  return start(bytes, kind) + String.fromCharCode(head.length >>> 8, head.length & 0xff) + head + body
}

const start = (bytes: number, kind: number): string =>
  String.fromCharCode(bytes >>> 24, (bytes >>> 16) & 0xff, (bytes >>> 8) & 0xff, bytes & 0xff, kind)

/** The UTF-8 of a text as a byte string: of most texts that is the text itself. */
export const byteString = (text: string): string =>
  Buffer.byteLength(text) === text.length ? text : Buffer.from(text).toString('latin1')
