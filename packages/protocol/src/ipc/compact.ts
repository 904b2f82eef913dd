import { isName } from '../ids.ts'
import { isMessageId, isRecipient } from '../messages/addresses.ts'
import { HOPS_MAX, PARENTS_MAX } from '../messages/limits.ts'
import type { Message, Priority } from '../messages/message.ts'

/**
 * Heads of the framing `compact`: docs/spec/16-agents.md §1.1. A frame is
 *
 *   u32 bytes that follow | u8 kind | rest       all numbers big-endian
 *
 *   0 json     JSON-RPC text
 *   1 send     u16 bytes of the head | head | payload as JSON text     client to node
 *   2 message  u16 bytes of the head | head | payload as JSON text     node to client
 *   3 sent     u16 bytes of the head | head                            node to client: answers a `send` that went well
 *
 * Heads are byte strings: each character is one byte. Of those an engine cuts texts without copying or decoding, and
 * there is nothing in a head that is not ASCII.
 */
export const FRAME_KINDS = { json: 0, send: 1, message: 2, sent: 3 } as const

/** What `send` asks for, but for the payload. */
export interface SendHead {
  readonly as: number
  /** 0: no answer is wanted. */
  readonly request: number
  readonly to: string
  readonly type: string
  readonly priority: Priority
  readonly id?: string | undefined
  readonly correlation: string | null
  readonly parents: string[]
  readonly hops: number
  readonly expiresMs?: number | undefined
  readonly durable: boolean
}

/** What is the same for all recipients of a message, but for the payload. */
export type MessageHead = Omit<Message, 'payload'>

/** A message that was handed to an agent of this connection. */
export interface Told {
  readonly as: number
  readonly place: number
  readonly message: Message
}

export interface SentHead {
  readonly request: number
  readonly id: string
  readonly delivered: number
  readonly waiting: number
  readonly refused: number
}

const MESSAGE_VERSION: Message['version'] = 1
const U32_MAX = 2 ** 32 - 1
const DURABLE = 1

/**
 * Whether a head can say it, and the node would take it. What it cannot say goes as JSON, and so gets the answer that it
 * would get by lines.
 */
export function isSoundSend(head: SendHead): boolean {
  const { as, request, to, type, priority, id, correlation, parents, hops, expiresMs } = head
  return (
    isWithin(as, 1, U32_MAX) &&
    isWithin(request, 0, U32_MAX) &&
    isWithin(priority, 0, 3) &&
    isWithin(hops, 0, HOPS_MAX) &&
    (expiresMs === undefined || isWithin(expiresMs, 1, U32_MAX)) &&
    parents.length <= PARENTS_MAX &&
    isRecipient(to) &&
    isName(type) &&
    (id === undefined || isMessageId(id)) &&
    (correlation === null || isMessageId(correlation)) &&
    parents.every(isMessageId)
  )
}

/**
 *   u32 handle | u32 request | u32 expires in ms, 0 for never | u8 priority | u8 flags (1 durable) | u8 hops
 *   | u8 texts | each text: u8 bytes, text       to, type, id, correlation, parents; an empty one is none
 */
export function encodeSend(head: SendHead): string {
  const { as, request, to, type, priority, id = '', correlation, parents, hops, expiresMs = 0, durable } = head
  const fixed = u32(as) + u32(request) + u32(expiresMs) + u8(priority, durable ? DURABLE : 0, hops, 4 + parents.length)
  return fixed + text(to) + text(type) + text(id) + text(correlation ?? '') + texts(parents)
}

/** Undefined where it is cut, or longer than it says. What its fields hold is for `isSoundSend` to look at, the priority's type included. */
export function decodeSend(bytes: string): SendHead | undefined {
  const texts = textsFrom(bytes, 15)
  if (texts === undefined || texts.length < 4) return undefined
  return {
    as: u32At(bytes, 0),
    request: u32At(bytes, 4),
    to: texts[0] as string,
    type: texts[1] as string,
    priority: bytes.charCodeAt(12) as Priority,
    id: texts[2] || undefined,
    correlation: texts[3] || null,
    parents: texts.slice(4),
    hops: bytes.charCodeAt(14),
    expiresMs: u32At(bytes, 8) || undefined,
    durable: (bytes.charCodeAt(13) & DURABLE) !== 0,
  }
}

/** Behind the handle and the place: `encodeDeliveryStart`. Only what the schema of a message allows. */
export function encodeDelivery(head: MessageHead): string {
  const { version, id, from, to, type, priority, correlation, sentAt, expiresAt, hops, parents, durable } = head
  const fixed = u8(version, priority, durable ? DURABLE : 0, hops, 7 + parents.length)
  const named = text(id) + text(from) + text(to) + text(type) + text(correlation ?? '') + text(sentAt)
  return fixed + named + text(expiresAt ?? '') + texts(parents)
}

export const encodeDeliveryStart = (as: number, place: number): string =>
  u32(as) + u32(Math.floor(place / 2 ** 32)) + u32(place % 2 ** 32)

/**
 *   u32 handle | u64 place | u8 version | u8 priority | u8 flags (1 durable) | u8 hops
 *   | u8 texts | each text: u8 bytes, text       id, from, to, type, correlation, sentAt, expiresAt, parents
 */
export function decodeDelivery(bytes: string, payload: Message['payload']): Told | undefined {
  const texts = textsFrom(bytes, 16)
  const version = bytes.charCodeAt(12)
  const priority = bytes.charCodeAt(13)
  if (texts === undefined || texts.length < 7 || version !== MESSAGE_VERSION || priority > 3) return undefined
  const message: Message = {
    version: MESSAGE_VERSION,
    id: texts[0] as string,
    from: texts[1] as string,
    to: texts[2] as string,
    type: texts[3] as string,
    priority: priority as Priority,
    correlation: texts[4] || null,
    sentAt: texts[5] as string,
    expiresAt: texts[6] || null,
    hops: bytes.charCodeAt(15),
    parents: texts.slice(7),
    durable: (bytes.charCodeAt(14) & DURABLE) !== 0,
    payload,
  }
  return { as: u32At(bytes, 0), place: u32At(bytes, 4) * 2 ** 32 + u32At(bytes, 8), message }
}

/** u32 request | u32 delivered | u32 waiting | u32 refused | id */
export const encodeSent = ({ request, id, delivered, waiting, refused }: SentHead): string =>
  u32(request) + u32(delivered) + u32(waiting) + u32(refused) + id

export function decodeSent(bytes: string): SentHead | undefined {
  const id = bytes.slice(16)
  if (!isMessageId(id)) return undefined
  return {
    request: u32At(bytes, 0),
    id,
    delivered: u32At(bytes, 4),
    waiting: u32At(bytes, 8),
    refused: u32At(bytes, 12),
  }
}

/** `at`: where their number stands. They end where the head does. */
function textsFrom(bytes: string, at: number): string[] | undefined {
  const count = bytes.charCodeAt(at)
  const texts: string[] = []
  let from = at + 1
  for (let i = 0; i < count; i++) {
    // Past the end this is no number, and the comparison below fails.
    const to = from + 1 + bytes.charCodeAt(from)
    if (!(to <= bytes.length)) return undefined
    texts.push(bytes.slice(from + 1, to))
    from = to
  }
  return from === bytes.length ? texts : undefined
}

const isWithin = (value: number, least: number, most: number): boolean =>
  Number.isInteger(value) && value >= least && value <= most

const u8 = String.fromCharCode
const u32 = (value: number): string =>
  String.fromCharCode(value >>> 24, (value >>> 16) & 0xff, (value >>> 8) & 0xff, value & 0xff)
const u32At = (bytes: string, at: number): number =>
  ((bytes.charCodeAt(at) << 24) |
    (bytes.charCodeAt(at + 1) << 16) |
    (bytes.charCodeAt(at + 2) << 8) |
    bytes.charCodeAt(at + 3)) >>>
  0
const text = (value: string): string => String.fromCharCode(value.length) + value
const texts = (values: readonly string[]): string => (values.length === 0 ? '' : values.map(text).join(''))
