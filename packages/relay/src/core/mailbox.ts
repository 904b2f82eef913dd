import type { MailboxId } from '@sealmesh/protocol/ids'
import type { Reason } from '@sealmesh/protocol/wire/reason'
import type { Effect, Operation, RelayEvent } from './event.ts'
import { Fifo } from './fifo.ts'
import { DRAIN_READ_BYTES } from './limits.ts'
import type { Connection, Entry, LoginRecord, Mailbox, RelayState, World } from './state.ts'

/** One node's packets, in order: those on disk, those on their way there, and those that its reader has in hand. */

export const newMailbox = (id: MailboxId, login: LoginRecord): Mailbox => ({
  id,
  login,
  entries: new Fifo(),
  next: 1,
  bytes: 0,
  packets: 0,
  lost: 0,
  expiresMs: Number.POSITIVE_INFINITY,
  reader: null,
  idle: [],
})

/** Hands a packet straight to a reader that has everything before it and room for more; false when it cannot. */
export function forward(
  state: RelayState,
  mailbox: Mailbox,
  packet: Uint8Array,
  expiresMs: number,
  world: World,
  effects: Effect[],
): boolean {
  const { reader } = mailbox
  if (reader?.state !== 'active' || reader.sent !== mailbox.next - 1) return false
  // One packet always fits, or a cap below a packet's size would stop everything.
  if (reader.unackedBytes > 0 && reader.unackedBytes + packet.length > state.limits.unackedBytesMax) return false
  const entry = append(mailbox, packet, expiresMs, false)
  hand(reader, entry, packet, world, effects)
  return true
}

/** Takes a packet for the disk. The caller persists it and answers when it is durable. */
export function keep(
  state: RelayState,
  mailbox: Mailbox,
  packet: Uint8Array,
  expiresMs: number,
  world: World,
  effects: Effect[],
): Entry | Reason {
  if (state.diskTrouble !== null) return state.diskTrouble
  const { mailboxBytesMax, mailboxPacketsMax } = state.limits
  const full =
    mailbox.bytes + packet.length > mailboxBytesMax
      ? 'QUOTA_BYTES'
      : mailbox.packets >= mailboxPacketsMax
        ? 'QUOTA_PACKETS'
        : null
  if (full !== null) {
    lose(mailbox, 1, full, effects)
    return full
  }
  const entry = append(mailbox, packet, expiresMs, true)
  // Its reader need not wait for the fsync: only the sender's answer does.
  pump(mailbox, state, world, effects)
  return entry
}

/** Gives the reader what it has room for: from memory at once, from disk by a read. Invariant 1. */
export function pump(mailbox: Mailbox, state: RelayState, world: World, effects: Effect[]): void {
  const { reader, entries } = mailbox
  if (reader?.state !== 'active') return
  let at = entries.search((entry) => entry.sequence > reader.sent)
  while (reader.reading === null) {
    const entry = entries.at(at)
    if (entry === undefined) return sayDrained(reader, mailbox, effects)
    if (reader.unackedBytes > 0 && reader.unackedBytes + entry.bytes > state.limits.unackedBytesMax) return
    if (entry.packet === null) return readOn(mailbox, reader, at, state, effects)
    hand(reader, entry, entry.packet, world, effects)
    at += 1
  }
}

/** What a read from disk brought. */
export function takeRead(
  mailbox: Mailbox,
  reader: Connection,
  event: Extract<RelayEvent, { type: 'read' }>,
  state: RelayState,
  world: World,
  effects: Effect[],
): void {
  // A reader that was idled meanwhile and is active again begins elsewhere.
  if (reader.reading !== event.read || mailbox.reader !== reader || reader.state !== 'active') return
  reader.reading = null
  const { last, packets } = event
  const found = new Map(packets.map((item) => [item.sequence, item.packet]))
  const missing = new Set<Entry>()
  for (let at = mailbox.entries.search((entry) => entry.sequence > reader.sent); ; at++) {
    const entry = mailbox.entries.at(at)
    if (entry === undefined || entry.sequence > last) break
    const packet = found.get(entry.sequence)
    if (packet === undefined) missing.add(entry)
    else hand(reader, entry, packet, world, effects)
  }
  // The index knew them and the disk does not: damage, which the reader mends from its peers.
  if (missing.size > 0) {
    for (const entry of mailbox.entries.keep((kept) => !missing.has(kept))) forget(mailbox, entry, effects)
    lose(mailbox, missing.size, 'DISK_FAILED', effects)
  }
  reader.sent = Math.max(reader.sent, last)
  pump(mailbox, state, world, effects)
}

/** The reader has everything up to `sequence` safe. Invariant 4. */
export function acknowledge(
  mailbox: Mailbox,
  reader: Connection,
  sequence: number,
  state: RelayState,
  world: World,
  effects: Effect[],
): void {
  // Nobody acknowledges what was not handed to it: a wrong number must not empty a mailbox.
  const upTo = Math.min(sequence, reader.sent)
  let entry = mailbox.entries.first
  while (entry !== undefined && entry.sequence <= upTo) {
    mailbox.entries.shift()
    reader.unackedBytes = Math.max(0, reader.unackedBytes - entry.bytes)
    reader.progressMs = world.nowMs
    forget(mailbox, entry, effects)
    entry = mailbox.entries.first
  }
  if (reader.lostTold > 0) {
    mailbox.lost = Math.max(0, mailbox.lost - reader.lostTold)
    reader.lostTold = 0
    effects.push(persistLost(mailbox))
    tellLost(mailbox, effects)
  }
  pump(mailbox, state, world, effects)
}

/** Puts what a reader had in hand where the next one finds it. Invariant 2. */
export function spill(mailbox: Mailbox, state: RelayState, effects: Effect[]): void {
  const entries: Entry[] = []
  for (const entry of mailbox.entries) if (!entry.durable) entries.push(entry)
  if (entries.length === 0) return
  const receipt = state.nextReceipt++
  state.pending.set(receipt, { type: 'spill', mailbox, entries })
  for (const entry of entries) {
    // Beyond the quota if need be: at most one connection's cap, and the sender was told that it arrived.
    entry.durable = true
    mailbox.bytes += entry.bytes
    mailbox.packets += 1
  }
  effects.push({ type: 'persist', operations: entries.flatMap((entry) => putOf(mailbox, entry)), receipt })
  effects.push({ type: 'note', note: { event: 'spilled', mailbox: mailbox.id, packets: entries.length } })
}

export function putOf(mailbox: Mailbox, entry: Entry): Operation[] {
  const { sequence, expiresMs, packet } = entry
  return packet === null ? [] : [{ type: 'packet', mailbox: mailbox.id, sequence, expiresMs, packet }]
}

/**
 * A write failed, so this entry has no place on disk. True when its reader has it in hand nevertheless; otherwise it
 * is gone from the mailbox.
 */
export function abandon(mailbox: Mailbox, entry: Entry): boolean {
  uncount(mailbox, entry)
  entry.durable = false
  if (mailbox.reader !== null && mailbox.reader.sent >= entry.sequence) return true
  mailbox.entries.keep((kept) => kept !== entry)
  return false
}

export function expire(mailbox: Mailbox, nowMs: number, effects: Effect[]): void {
  if (mailbox.expiresMs > nowMs) return
  const { reader } = mailbox
  const removed = mailbox.entries.keep((entry) => entry.expiresMs > nowMs)
  let unseen = 0
  for (const entry of removed) {
    if (reader !== null && entry.sequence <= reader.sent) {
      reader.unackedBytes = Math.max(0, reader.unackedBytes - entry.bytes)
    } else unseen += 1
    forget(mailbox, entry, effects)
  }
  mailbox.expiresMs = Number.POSITIVE_INFINITY
  for (const entry of mailbox.entries) mailbox.expiresMs = Math.min(mailbox.expiresMs, entry.expiresMs)
  if (unseen > 0) lose(mailbox, unseen, 'PACKET_EXPIRED', effects)
}

/** Leaves a mark: the reader then pulls from its peers what never came. */
export function lose(mailbox: Mailbox, packets: number, reason: Reason, effects: Effect[]): void {
  const before = mailbox.lost
  mailbox.lost += packets
  // The exact count means little: a flood of refusals writes the mark a few times only.
  if (before === 0 || Math.floor(Math.log2(before)) !== Math.floor(Math.log2(mailbox.lost)))
    effects.push(persistLost(mailbox))
  effects.push({ type: 'note', note: { event: 'dropped', mailbox: mailbox.id, reason, packets } })
  tellLost(mailbox, effects)
}

function tellLost(mailbox: Mailbox, effects: Effect[]): void {
  const { reader } = mailbox
  if (reader?.state !== 'active' || reader.lostTold > 0 || mailbox.lost === 0) return
  reader.lostTold = mailbox.lost
  effects.push({ type: 'send', connection: reader.id, frame: { type: 'lost', count: mailbox.lost } })
}

const persistLost = (mailbox: Mailbox): Effect => ({
  type: 'persist',
  operations: [{ type: 'lost', mailbox: mailbox.id, count: mailbox.lost }],
  receipt: null,
})

function append(mailbox: Mailbox, packet: Uint8Array, expiresMs: number, durable: boolean): Entry {
  const entry: Entry = { sequence: mailbox.next++, bytes: packet.length, expiresMs, packet, durable }
  mailbox.entries.push(entry)
  mailbox.expiresMs = Math.min(mailbox.expiresMs, expiresMs)
  if (durable) {
    mailbox.bytes += entry.bytes
    mailbox.packets += 1
  }
  return entry
}

function hand(reader: Connection, entry: Entry, packet: Uint8Array, world: World, effects: Effect[]): void {
  if (reader.unackedBytes === 0) reader.progressMs = world.nowMs
  reader.sent = entry.sequence
  reader.unackedBytes += entry.bytes
  effects.push({ type: 'deliver', connection: reader.id, packet: { sequence: entry.sequence, packet } })
}

/** Asks for the run of entries on disk that starts at `at`, as far as a frame and the reader's room go. */
function readOn(mailbox: Mailbox, reader: Connection, at: number, state: RelayState, effects: Effect[]): void {
  const room = Math.min(DRAIN_READ_BYTES, state.limits.unackedBytesMax - reader.unackedBytes)
  let bytes = 0
  let last = 0
  const first = mailbox.entries.at(at)?.sequence ?? 0
  for (let next = at; ; next++) {
    const entry = mailbox.entries.at(next)
    if (entry === undefined || entry.packet !== null || (bytes > 0 && bytes + entry.bytes > room)) break
    bytes += entry.bytes
    last = entry.sequence
  }
  const read = state.nextReceipt++
  reader.reading = read
  effects.push({ type: 'read', read, connection: reader.id, mailbox: mailbox.id, first, last })
}

function sayDrained(reader: Connection, mailbox: Mailbox, effects: Effect[]): void {
  // Everything there was has been handed over, even if sequences at the end went by expiry.
  reader.sent = mailbox.next - 1
  if (reader.drainedTold) return
  reader.drainedTold = true
  effects.push({ type: 'send', connection: reader.id, frame: { type: 'drained' } })
  effects.push({ type: 'note', note: { event: 'drained', mailbox: mailbox.id } })
}

function forget(mailbox: Mailbox, entry: Entry, effects: Effect[]): void {
  if (!entry.durable) return
  uncount(mailbox, entry)
  const operations = [{ type: 'dropPacket' as const, mailbox: mailbox.id, sequence: entry.sequence }]
  effects.push({ type: 'persist', operations, receipt: null })
}

function uncount(mailbox: Mailbox, entry: Entry): void {
  if (!entry.durable) return
  mailbox.bytes -= entry.bytes
  mailbox.packets -= 1
}
