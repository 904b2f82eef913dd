import { PACKET_ID_AT, PACKET_ID_BYTES, readPacketRoute } from '@sealmesh/protocol/envelope/header'
import type { MailboxId } from '@sealmesh/protocol/ids'
import { PACKET_EXPIRY_MS_MAX } from '@sealmesh/protocol/limits'
import { DELIVERED, type Outcome, STORED } from '@sealmesh/protocol/wire/frame'
import type { Reason } from '@sealmesh/protocol/wire/reason'
import type { Effect } from './event.ts'
import { abandon, forward, keep, putOf, readyReader, settleEntry } from './mailbox.ts'
import { mailboxFor, tidy } from './mailboxes.ts'
import { countAnswered, countKept, countUnanswered } from './reading.ts'
import { isRepeat, remember, repeatName } from './repeats.ts'
import { bye } from './session.ts'
import { sight } from './sightings.ts'
import { isFilledBy, type Slab } from './slabs.ts'
import { type Connection, type Entry, type Login, type Pending, type RelayState, refused, type World } from './state.ts'

/** From one node to the mailboxes that its packet names. `from` is where the packet's frame stands, if that is a slab. */
export function route(
  state: RelayState,
  connection: Connection,
  login: Login,
  packet: Uint8Array,
  from: Slab | undefined,
  world: World,
  effects: Effect[],
): void {
  const route = readPacketRoute(packet, state.nameAt)
  if (!route.ok) return bye(state, connection, 'FRAME_MALFORMED', 0, effects)
  const { mailboxes } = route.value
  sight(login.mesh.seen, packet.length, world.nowMs)
  // A sender whose clock is wrong, or who wants to fill the disk, cannot stay longer than prekeys live.
  const expiresMs = Math.min(route.value.expiresMs, world.nowMs + PACKET_EXPIRY_MS_MAX)
  const outcomes: Outcome[] = []
  let slab = from !== undefined && isFilledBy(from, packet) ? from : null
  let waiting: { at: number; entry: Entry }[] | null = null
  let repeat: string | null = null
  for (const named of mailboxes) {
    const mailbox = barrier(connection, login, named, expiresMs, world) ?? mailboxFor(state, login, named)
    if (typeof mailbox === 'string') {
      outcomes.push(refused(mailbox))
      continue
    }
    const reader = readyReader(state, mailbox, packet)
    if (reader !== null) {
      slab ??= state.slabs.copy(packet)
      forward(reader, mailbox, login, packet, slab, expiresMs, world, effects)
      outcomes.push(DELIVERED)
      continue
    }
    if (state.repeats !== null) {
      repeat ??= repeatName(login.mesh.id, packet, world.sodium)
      if (isRepeat(state.repeats, repeat, outcomes.length, world)) {
        tidy(mailbox)
        outcomes.push(STORED)
        continue
      }
    }
    const kept = keep(state, mailbox, login, packet, slab, expiresMs, world, effects)
    if (typeof kept === 'string') {
      tidy(mailbox)
      outcomes.push(refused(kept))
      continue
    }
    slab ??= kept.slab
    countKept(login, packet.length)
    waiting ??= []
    waiting.push({ at: outcomes.length, entry: kept })
    outcomes.push(STORED)
  }
  if (waiting === null) {
    effects.push({
      type: 'answer',
      connection: connection.id,
      answer: { packet, outcomes },
      sinceMs: world.steadyMs,
    })
    return
  }
  // Invariant 3: the answer waits for the disk.
  const receipt = state.nextReceipt++
  const what = { head: headOf(packet), bytes: packet.length, repeat, outcomes, waiting }
  state.pending.set(receipt, { type: 'packet', connection, sinceMs: world.steadyMs, ...what })
  const operations = waiting.flatMap(({ entry }) => putOf(entry))
  effects.push({ type: 'persist', operations, receipt })
  countUnanswered(state, connection, packet.length, effects)
}

/** Durable: the sender may stop sending it to this relay. */
export function stored(
  state: RelayState,
  pending: Extract<Pending, { type: 'packet' }>,
  { nowMs }: World,
  effects: Effect[],
): void {
  const { repeat, waiting } = pending
  for (const { at, entry } of waiting) {
    settleEntry(entry, state)
    if (state.repeats !== null && repeat !== null) remember(state.repeats, repeat, at, nowMs)
  }
  answer(state, pending, effects)
}

/** Not durable: the sender keeps it, unless its reader has it in hand. */
export function notStored(
  state: RelayState,
  pending: Extract<Pending, { type: 'packet' }>,
  reason: 'DISK_FULL' | 'DISK_FAILED',
  effects: Effect[],
): void {
  for (const { at, entry } of pending.waiting) {
    pending.outcomes[at] = abandon(entry) ? DELIVERED : refused(reason)
    tidy(entry.mailbox)
  }
  answer(state, pending, effects)
}

function answer(state: RelayState, pending: Extract<Pending, { type: 'packet' }>, effects: Effect[]): void {
  const { connection, head, bytes, outcomes, sinceMs } = pending
  if (connection.state !== 'leaving')
    effects.push({ type: 'answer', connection: connection.id, answer: { packet: head, outcomes }, sinceMs })
  countAnswered(state, connection, bytes, effects)
}

/** A copy: the frame's memory belongs to the socket, and the slab's to the next packet. */
const headOf = (packet: Uint8Array): Uint8Array => new Uint8Array(packet.subarray(0, PACKET_ID_AT + PACKET_ID_BYTES))

function barrier(
  sender: Connection,
  { record }: Login,
  named: MailboxId,
  expiresMs: number,
  world: World,
): Reason | null {
  if (sender.state === 'idle') return 'DUPLICATE_LOGIN'
  if (record.kind === 'invite' && record.onlyTo !== named) return 'RECIPIENT_FORBIDDEN'
  return expiresMs <= world.nowMs ? 'PACKET_EXPIRED' : null
}
