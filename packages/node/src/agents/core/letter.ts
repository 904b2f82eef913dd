import type { MessageHead } from '@sealmesh/protocol/ipc/compact'
import { EVERYBODY } from '@sealmesh/protocol/messages/addresses'
import type { Message, Priority } from '@sealmesh/protocol/messages/message'

/** A message as it lies in inboxes: what is decided by, and the whole as JSON text, made once for all who get it. */
export interface Letter {
  readonly id: string
  /** `agent@machine` */
  readonly from: string
  readonly priority: Priority
  readonly expiresAtMs: number | null
  readonly durable: boolean
  /** For everybody, or for a topic. */
  readonly isForMany: boolean
  readonly text: string
  readonly head: MessageHead
  /** What becomes of it is noted: of what is not durable, only so much. */
  readonly isTraced: boolean
  /** Where the payload begins in the text, which one more character ends. */
  readonly payloadAt: number
  /** About what it costs in memory: two bytes a character at worst, and the fields beside it. */
  readonly bytes: number
}

const FIELDS_BYTES = 480

/**
 * `payload`: JSON text. The other fields are put together by hand, since every message passes here: their schemas allow
 * no character in them that JSON would escape.
 */
export function letterOf(head: MessageHead, payload: string, isTraced = true): Letter {
  const { id, from, to, type, priority, correlation, sentAt, expiresAt, hops, parents, durable } = head
  const text = `{"version":${head.version},"id":"${id}","from":"${from}","to":"${to}","type":"${type}","priority":${priority},"correlation":${quoted(correlation)},"sentAt":"${sentAt}","expiresAt":${quoted(expiresAt)},"hops":${hops},"parents":${parents.length === 0 ? '[]' : JSON.stringify(parents)},"durable":${durable},"payload":${payload}}`
  const expiresAtMs = expiresAt === null ? null : Date.parse(expiresAt)
  const isForMany = to === EVERYBODY || to.startsWith('#')
  const payloadAt = text.length - payload.length - 1
  const bytes = 2 * text.length + FIELDS_BYTES
  return { id, from, priority, expiresAtMs, durable, isForMany, text, head, isTraced, payloadAt, bytes }
}

export const isOver = ({ expiresAtMs }: Letter, nowMs: number): boolean => expiresAtMs !== null && expiresAtMs <= nowMs

export const isFrom = ({ from }: Letter, machine: string): boolean =>
  from.endsWith(machine) && from[from.length - machine.length - 1] === '@'

const quoted = (text: string | null): string => (text === null ? 'null' : `"${text}"`)

/** Of one that may be large, without reading what it says: nothing before its hops holds a quote. */
export const addressOf = ({ text }: Letter): Pick<Message, 'to' | 'sentAt'> =>
  JSON.parse(`${text.slice(0, text.indexOf(',"hops":'))}}`) as Message

export const messageOf = (letter: Letter): Message => JSON.parse(letter.text) as Message
