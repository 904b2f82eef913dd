import * as decoding from 'lib0/decoding'
import * as encoding from 'lib0/encoding'
import * as string from 'lib0/string'
import { err, ok, type Result } from './result.ts'

/**
 * The byte vocabulary of every format (docs/spec/01-bytes.md): variable-length unsigned integers, fixed runs of
 * bytes, and length-prefixed bytes and UTF-8 strings. Writers cannot fail; readers throw inside `decode` only,
 * which turns every slip into one result.
 */

export type Writer = encoding.Encoder

/** Most of what is encoded fits, and then costs one array: its own. */
const SCRATCH = new Uint8Array(65_536)
const shared = encoding.createEncoder()
let sharedIsTaken = false

export function encode(write: (writer: Writer) => void): Uint8Array {
  if (sharedIsTaken) return encodeWith(encoding.createEncoder(), write)
  sharedIsTaken = true
  try {
    shared.cbuf = SCRATCH
    shared.cpos = 0
    shared.bufs = []
    return encodeWith(shared, write)
  } finally {
    sharedIsTaken = false
  }
}

function encodeWith(writer: Writer, write: (writer: Writer) => void): Uint8Array {
  write(writer)
  return encoding.toUint8Array(writer)
}

export const writeByte = (writer: Writer, value: number): void => encoding.writeUint8(writer, value)
export const writeUint = (writer: Writer, value: number): void => encoding.writeVarUint(writer, value)
/** Bytes whose length the reader knows. */
export const writeFixed = (writer: Writer, bytes: Uint8Array): void => encoding.writeUint8Array(writer, bytes)
export const writeBytes = (writer: Writer, bytes: Uint8Array): void => encoding.writeVarUint8Array(writer, bytes)

/** Up to here a loop is faster than to call the encoder. */
const LOOP_TEXT_MAX = 24
/** Up to here the encoder writes in place; what is longer is rare and may be copied. */
const IN_PLACE_TEXT_MAX = 16_384
const encoder = string.utf8TextEncoder

/** As lib0's `writeVarString`, which costs six times as much for most of our keys and values. */
export function writeText(writer: Writer, text: string): void {
  const { length } = text
  if (length > IN_PLACE_TEXT_MAX) return encoding.writeVarString(writer, text)
  encoding.verifyLen(writer, 3 * length + LENGTH_BYTES_MAX)
  const { cbuf, cpos } = writer
  const at = cpos + lengthBytes(length)
  const bytes =
    length <= LOOP_TEXT_MAX && copyAscii(text, cbuf, at) ? length : encoder.encodeInto(text, cbuf.subarray(at)).written
  const moved = lengthBytes(bytes) - lengthBytes(length)
  if (moved > 0) cbuf.copyWithin(at + moved, at, at + bytes)
  encoding.writeVarUint(writer, bytes)
  writer.cpos += bytes
}

const LENGTH_BYTES_MAX = 3
const lengthBytes = (length: number): number => (length < 0x80 ? 1 : length < 0x4000 ? 2 : LENGTH_BYTES_MAX)

/** False when it is not ASCII: then what was written means nothing. */
function copyAscii(text: string, bytes: Uint8Array, at: number): boolean {
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i)
    if (code > 0x7f) return false
    bytes[at + i] = code
  }
  return true
}

/** A branded id: hexadecimal in memory, half as many raw bytes on the wire. */
export const writeId = (writer: Writer, id: string): void => encoding.writeUint8Array(writer, fromHex(id))

export function writeList<T>(writer: Writer, items: Iterable<T> & { length: number }, write: (item: T) => void): void {
  writeUint(writer, items.length)
  for (const item of items) write(item)
}

/** Thrown by readers and caught by `decode`: never seen outside this file and the callbacks given to it. */
export class Malformed extends Error {}

export interface Reader {
  readonly decoder: decoding.Decoder
}

export interface DecodeError {
  code: 'BYTES_MALFORMED'
}

/** Untrusted bytes in. Never throws; every byte must be read. Results share memory with `bytes`. */
export function decode<T>(bytes: Uint8Array, read: (reader: Reader) => T): Result<T, DecodeError> {
  try {
    const decoder = decoding.createDecoder(bytes)
    const value = read({ decoder })
    if (decoding.hasContent(decoder)) return err({ code: 'BYTES_MALFORMED' })
    return ok(value)
  } catch {
    // lib0 throws its own errors at the end of input and on numbers over 2^53: all of them mean the same.
    return err({ code: 'BYTES_MALFORMED' })
  }
}

export const readByte = (reader: Reader): number => {
  if (!decoding.hasContent(reader.decoder)) throw new Malformed()
  return decoding.readUint8(reader.decoder)
}

export function readUint(reader: Reader, max: number = Number.MAX_SAFE_INTEGER): number {
  const value = decoding.readVarUint(reader.decoder)
  if (value > max) throw new Malformed()
  return value
}

export function readFixed(reader: Reader, length: number): Uint8Array {
  if (bytesLeft(reader) < length) throw new Malformed()
  return decoding.readUint8Array(reader.decoder, length)
}

export function readBytes(reader: Reader, max: number): Uint8Array {
  return readFixed(reader, readUint(reader, Math.min(max, bytesLeft(reader))))
}

export function readText(reader: Reader, maxBytes: number): string {
  // lib0's decoder is fatal and keeps byte order marks: no two byte strings give one text. `bytes.test.ts` holds it to that.
  return string.decodeUtf8(readBytes(reader, maxBytes))
}

/** An id of `length` raw bytes as lower-case hexadecimal; the caller brands it. */
export const readId = <Id extends string>(reader: Reader, length: number): Id => toHex(readFixed(reader, length)) as Id

/** Reads a count, checks it against `max` before anything is allocated, then that many items. */
export function readList<T>(reader: Reader, max: number, read: (reader: Reader) => T): T[] {
  const count = readUint(reader, max)
  const items: T[] = []
  for (let i = 0; i < count; i++) items.push(read(reader))
  return items
}

export const bytesRead = (reader: Reader): number => reader.decoder.pos
export const bytesLeft = (reader: Reader): number => reader.decoder.arr.length - reader.decoder.pos

export const utf8 = (text: string): Uint8Array => string.encodeUtf8(text)
export const fromUtf8 = (bytes: Uint8Array): string => string.decodeUtf8(bytes)

const HEX_DIGITS = Array.from('0123456789abcdef', (digit) => digit.charCodeAt(0))
/** Ids and hashes have a few lengths: one list of codes for each is used again and again. */
const HEX_AT_ONCE = 64
const hexCodes: number[][] = []

/**
 * In one piece: a string that grows byte by byte is a rope of small objects that keeps eleven times the memory of its
 * characters, for as long as nobody compares it.
 */
export function toHex(bytes: Uint8Array): string {
  if (bytes.length <= HEX_AT_ONCE) return hexOf(bytes)
  let hex = ''
  for (let from = 0; from < bytes.length; from += HEX_AT_ONCE) hex += hexOf(bytes.subarray(from, from + HEX_AT_ONCE))
  return hex
}

function hexOf(bytes: Uint8Array): string {
  let codes = hexCodes[bytes.length]
  if (codes === undefined) {
    codes = Array.from({ length: 2 * bytes.length }, () => 0)
    hexCodes[bytes.length] = codes
  }
  for (let i = 0; i < bytes.length; i++) {
    const byte = bytes[i]!
    codes[2 * i] = HEX_DIGITS[byte >> 4]!
    codes[2 * i + 1] = HEX_DIGITS[byte & 15]!
  }
  return String.fromCharCode(...codes)
}

/** Only for strings that are known to be hexadecimal: ids and keys from our own parse functions. */
export function fromHex(hex: string): Uint8Array {
  const bytes = new Uint8Array(hex.length >> 1)
  for (let i = 0; i < bytes.length; i++)
    bytes[i] = (nibble(hex.charCodeAt(2 * i)) << 4) | nibble(hex.charCodeAt(2 * i + 1))
  return bytes
}

const nibble = (code: number): number => (code <= 57 ? code - 48 : (code | 32) - 87)

export const isHex = (text: string, bytes: number): boolean => text.length === 2 * bytes && /^[0-9a-f]*$/.test(text)

export function concatBytes(...parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((total, part) => total + part.length, 0))
  let at = 0
  for (const part of parts) {
    whole.set(part, at)
    at += part.length
  }
  return whole
}

/** Not for secrets: it stops at the first difference. */
export function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false
  return true
}

/** The order that every sorted list of a signed format uses: by unsigned bytes, which for hex ids is string order. */
export const compareText = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0)
