import { readPacketHeader } from '@sealmesh/protocol/envelope/header'
import { PACKET_EXPIRY_MS_MAX } from '@sealmesh/protocol/limits'
import { DELIVERED, type Outcome, STORED } from '@sealmesh/protocol/wire/frame'
import type { Effect } from './event.ts'
import { abandon, forward, keep, putOf } from './mailbox.ts'
import { bye } from './session.ts'
import {
  type Connection,
  type Entry,
  type Mailbox,
  type Pending,
  type RelayState,
  refused,
  type World,
} from './state.ts'

/** From one node to the mailboxes that its packet names. */
export function route(
  state: RelayState,
  connection: Connection,
  packet: Uint8Array,
  world: World,
  effects: Effect[],
): void {
  const header = readPacketHeader(packet)
  if (!header.ok) return bye(state, connection, 'FRAME_MALFORMED', 0, effects)
  const { id, recipients } = header.value
  // A sender whose clock is wrong, or who wants to fill the disk, cannot stay longer than prekeys live.
  const expiresMs = Math.min(header.value.expiresMs, world.nowMs + PACKET_EXPIRY_MS_MAX)
  const outcomes: Outcome[] = []
  let waiting: { at: number; mailbox: Mailbox; entry: Entry }[] | null = null
  for (const recipient of recipients) {
    const mailbox = state.mailboxes.get(recipient.mailbox)
    const barred = barrier(connection, mailbox, recipient.mailbox, expiresMs, world)
    if (barred !== null || mailbox === undefined) {
      outcomes.push(barred ?? refused('RECIPIENT_UNKNOWN'))
      continue
    }
    if (forward(state, mailbox, packet, expiresMs, world, effects)) {
      outcomes.push(DELIVERED)
      continue
    }
    const kept = keep(state, mailbox, packet, expiresMs, world, effects)
    if (typeof kept === 'string') {
      outcomes.push(refused(kept))
      continue
    }
    waiting ??= []
    waiting.push({ at: outcomes.length, mailbox, entry: kept })
    outcomes.push(STORED)
  }
  if (waiting === null) {
    effects.push({ type: 'answer', connection: connection.id, answer: { packet: id, outcomes } })
    return
  }
  // Invariant 3: the answer waits for the disk.
  const receipt = state.nextReceipt++
  state.pending.set(receipt, { type: 'packet', connection, packet: id, bytes: packet.length, outcomes, waiting })
  const operations = waiting.flatMap(({ mailbox, entry }) => putOf(mailbox, entry))
  effects.push({ type: 'persist', operations, receipt })
  connection.unansweredBytes += packet.length
  if (!connection.paused && connection.unansweredBytes > state.limits.unansweredBytesMax) {
    connection.paused = true
    effects.push({ type: 'pause', connection: connection.id })
  }
}

/** Durable: the sender may stop sending it to this relay. */
export function stored(state: RelayState, pending: Extract<Pending, { type: 'packet' }>, effects: Effect[]): void {
  for (const { entry } of pending.waiting) entry.packet = null
  answer(state, pending, effects)
}

/** Not durable: the sender keeps it, unless its reader has it in hand. */
export function notStored(
  state: RelayState,
  pending: Extract<Pending, { type: 'packet' }>,
  reason: 'DISK_FULL' | 'DISK_FAILED',
  effects: Effect[],
): void {
  for (const { at, mailbox, entry } of pending.waiting)
    pending.outcomes[at] = abandon(mailbox, entry) ? DELIVERED : refused(reason)
  answer(state, pending, effects)
}

function answer(state: RelayState, pending: Extract<Pending, { type: 'packet' }>, effects: Effect[]): void {
  const { connection, packet, outcomes, bytes } = pending
  connection.unansweredBytes -= bytes
  if (connection.state === 'leaving') return
  effects.push({ type: 'answer', connection: connection.id, answer: { packet, outcomes } })
  if (!connection.paused || connection.unansweredBytes > state.limits.unansweredBytesMax / 2) return
  connection.paused = false
  effects.push({ type: 'resume', connection: connection.id })
}

function barrier(
  sender: Connection,
  mailbox: Mailbox | undefined,
  named: string,
  expiresMs: number,
  world: World,
): Outcome | null {
  const login = sender.mailbox?.login
  if (sender.state === 'idle') return refused('DUPLICATE_LOGIN')
  if (login?.kind === 'invite' && login.onlyTo !== named) return refused('RECIPIENT_FORBIDDEN')
  // Meshes do not see one another, not even whether a mailbox exists.
  if (mailbox === undefined || mailbox.login.mesh !== login?.mesh) return refused('RECIPIENT_UNKNOWN')
  return expiresMs <= world.nowMs ? refused('PACKET_EXPIRED') : null
}
