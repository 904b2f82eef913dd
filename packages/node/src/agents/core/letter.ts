import type { Message, Priority } from '@sealmesh/protocol/messages/message'

/** A message as it lies in inboxes: what is decided by, and the whole as JSON text, made once for all who get it. */
export interface Letter {
  readonly id: string
  /** `agent@machine` */
  readonly from: string
  readonly to: string
  readonly type: string
  readonly correlation: string | null
  readonly priority: Priority
  readonly expiresAtMs: number | null
  readonly text: string
  /** About what it costs in memory: two bytes a character at worst, and the fields beside it. */
  readonly bytes: number
}

const FIELDS_BYTES = 320

/** `payload`: JSON text. */
export function letterOf(head: Omit<Message, 'payload'>, payload: string): Letter {
  const text = `${JSON.stringify(head).slice(0, -1)},"payload":${payload}}`
  return {
    id: head.id,
    from: head.from,
    to: head.to,
    type: head.type,
    correlation: head.correlation,
    priority: head.priority,
    expiresAtMs: head.expiresAt === null ? null : Date.parse(head.expiresAt),
    text,
    bytes: 2 * text.length + FIELDS_BYTES,
  }
}

export const messageOf = (letter: Letter): Message => JSON.parse(letter.text) as Message
