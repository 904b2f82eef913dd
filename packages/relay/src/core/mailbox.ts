import { PACKET_EXPIRY_MS_MAX } from '@sealmesh/protocol/limits'
import type { Reason } from '@sealmesh/protocol/wire/reason'
import type { DropReason, Effect, Operation, RelayEvent } from './event.ts'
import { DRAIN_READ_BYTES } from './limits.ts'
import { charge, isKept, mayBegin } from './share.ts'
import { lend, type Slab, whole } from './slabs.ts'
import type { Connection, Entry, Login, Mailbox, RelayState, World } from './state.ts'

/** One mailbox's packets, in order: those on disk, those on their way there, and those that its reader has in hand. */

/** The reader that a packet may be handed to straight: it has everything before it, and room for more. */
export function readyReader(state: RelayState, { reader }: Mailbox, packet: Uint8Array): Connection | null {
  if (reader?.state !== 'active' || !reader.isCaughtUp) return null
  // One packet always fits, or a cap below a packet's size would stop everything.
  const hasRoom = reader.unackedBytes === 0 || reader.unackedBytes + packet.length <= state.limits.unackedBytesMax
  return hasRoom ? reader : null
}

/** Hands a packet straight to its reader. The slab holds it, or a copy of it alone, for as long as it is in hand. */
export function forward(
  reader: Connection,
  mailbox: Mailbox,
  from: Login,
  packet: Uint8Array,
  slab: Slab,
  expiresMs: number,
  world: World,
  effects: Effect[],
): void {
  const entry = append(mailbox, from, packet.length, expiresMs)
  holdIn(slab, entry, packet)
  hand(reader, entry, packet, world, effects)
}

/** Takes a packet for the disk. The caller persists it and answers when it is durable. `slab`: a copy, if there is one. */
export function keep(
  state: RelayState,
  mailbox: Mailbox,
  from: Login,
  packet: Uint8Array,
  slab: Slab | null,
  expiresMs: number,
  world: World,
  effects: Effect[],
): Entry | Reason {
  if (state.diskTrouble !== null) return state.diskTrouble
  // Its reader may leave it behind: otherwise opening one would be the way around the bounds.
  if (mailbox.reader !== null && !isKept(mailbox)) {
    if (!mayBegin(state, from, mailbox.mesh.unopened)) return 'QUOTA_MAILBOXES'
    charge(mailbox, from)
  }
  const full = whatIsFull(state, mailbox, packet.length)
  if (full !== null) {
    lose(mailbox, 1, full, world, effects)
    return full
  }
  const entry = append(mailbox, from, packet.length, expiresMs)
  holdIn(slab ?? state.slabs.copy(packet), entry, packet)
  count(entry)
  // Its reader need not wait for the fsync: only the sender's answer does.
  if (mailbox.reader !== null) {
    mailbox.reader.isCaughtUp = false
    pump(mailbox.reader, state, world, effects)
  }
  return entry
}

/** Gives the reader what it has room for: from memory at once, from disk by a read. Invariant 1. */
export function pump(reader: Connection, state: RelayState, world: World, effects: Effect[]): void {
  if (reader.state !== 'active' || reader.isCaughtUp || reader.reading !== null) return
  for (const mailbox of reader.open) {
    const { entries } = mailbox
    for (let at = entries.search((entry) => entry.sequence > mailbox.sent); ; at++) {
      const entry = entries.at(at)
      if (entry === undefined) break
      if (reader.unackedBytes > 0 && reader.unackedBytes + entry.bytes > state.limits.unackedBytesMax) return
      const packet = inMemory(entry)
      if (packet === null) return readOn(mailbox, reader, at, state, effects)
      hand(reader, entry, packet, world, effects)
    }
  }
  reader.isCaughtUp = true
  if (reader.pongOwed > 0) {
    effects.push({ type: 'send', connection: reader.id, frame: { type: 'pong', number: reader.pongOwed } })
    reader.pongOwed = 0
  }
  if (reader.drainedTold || reader.open.length === 0) return
  reader.drainedTold = true
  effects.push({ type: 'send', connection: reader.id, frame: { type: 'drained' } })
  tellLost(reader, effects)
}

/** What a read from disk brought. */
export function takeRead(
  reader: Connection,
  event: Extract<RelayEvent, { type: 'read' }>,
  state: RelayState,
  world: World,
  effects: Effect[],
): void {
  // A reader that was idled meanwhile and is active again begins elsewhere.
  if (reader.reading?.read !== event.read || reader.state !== 'active') return
  const { mailbox } = reader.reading
  reader.reading = null
  const { last, packets } = event
  const found = new Map(packets.map((item) => [item.sequence, item.packet]))
  const missing = new Set<Entry>()
  for (let at = mailbox.entries.search((entry) => entry.sequence > mailbox.sent); ; at++) {
    const entry = mailbox.entries.at(at)
    if (entry === undefined || entry.sequence > last) break
    const packet = found.get(entry.sequence)
    if (packet === undefined) missing.add(entry)
    else hand(reader, entry, packet, world, effects)
  }
  // The index knew them and the disk does not: damage, which the reader mends from its peers.
  if (missing.size > 0) {
    for (const entry of mailbox.entries.keep((kept) => !missing.has(kept))) forget(entry, effects)
    lose(mailbox, missing.size, 'DISK_FAILED', world, effects)
  }
  mailbox.sent = Math.max(mailbox.sent, last)
  pump(reader, state, world, effects)
}

/** The reader has everything up to this one of its session safe. Invariant 4. */
export function acknowledge(
  reader: Connection,
  upTo: number,
  state: RelayState,
  world: World,
  effects: Effect[],
): void {
  // Nobody acknowledges what was not handed to it: a wrong number must not empty a mailbox.
  for (let entry = reader.inHand.first; entry !== undefined && entry.handed <= upTo; entry = reader.inHand.first) {
    reader.inHand.shift()
    reader.unackedBytes -= entry.bytes
    reader.progressMs = world.nowMs
    const { entries } = entry.mailbox
    // Otherwise it has expired in the reader's hand.
    if (entries.first !== entry) continue
    entries.shift()
    forget(entry, effects)
    if (entry.slab === null) continue
    state.slabs.release(entry.slab)
    entry.slab = null
    entry.packet = null
  }
  if (reader.lostTold > 0) {
    reader.lostTold = 0
    for (const mailbox of reader.open) {
      if (mailbox.lostTold === 0) continue
      mailbox.lost = Math.max(0, mailbox.lost - mailbox.lostTold)
      mailbox.lostTold = 0
      effects.push(persistLost(mailbox))
    }
    tellLost(reader, effects)
  }
  pump(reader, state, world, effects)
}

/**
 * Puts what a reader had in hand where the next one finds it, as far as there is room: nothing was promised of it but
 * that it was handed over. Invariant 2.
 */
export function spill(mailbox: Mailbox, state: RelayState, world: World, effects: Effect[]): void {
  const { mesh } = mailbox
  const entries: Entry[] = []
  let lost = 0
  let why: Reason | null = null
  // Whatever somebody began it with has been read.
  if (!isKept(mailbox)) charge(mailbox, null)
  for (const entry of mailbox.entries) {
    const { durable, from } = entry
    if (durable) continue
    if (!isKept(mailbox) && why === null) {
      // A mark would be one mailbox more as well.
      if (from === null || !mayBegin(state, from, mesh.unopened - 1)) continue
      charge(mailbox, from)
    }
    const full = whatIsFull(state, mailbox, entry.bytes)
    if (full === null) {
      count(entry)
      entries.push(entry)
    } else {
      lost += 1
      why ??= full
    }
  }
  mailbox.entries.keep((entry) => entry.durable)
  if (why !== null) lose(mailbox, lost, why, world, effects)
  if (entries.length === 0) return
  const receipt = state.nextReceipt++
  state.pending.set(receipt, { type: 'spill', mailbox, entries })
  effects.push({ type: 'persist', operations: entries.flatMap((entry) => putOf(entry)), receipt })
  effects.push({ type: 'note', note: { event: 'spilled', mesh: mesh.id, packets: entries.length } })
}

export function putOf(entry: Entry): Operation[] {
  const { mailbox, sequence, expiresMs } = entry
  if (entry.slab === null) return []
  const packet = entry.packet ?? whole(entry.slab)
  return [{ type: 'packet', mesh: mailbox.mesh.id, mailbox: mailbox.id, sequence, expiresMs, packet }]
}

/** It is on disk: what memory had of it may go. */
export function settleEntry(entry: Entry, { slabs }: RelayState): void {
  entry.from = null
  if (entry.slab === null) return
  slabs.release(entry.slab)
  entry.slab = null
  entry.packet = null
}

/**
 * A write failed, so this entry has no place on disk. True when its reader has it in hand nevertheless; otherwise it
 * is gone from the mailbox.
 */
export function abandon(entry: Entry): boolean {
  const { mailbox } = entry
  uncount(entry)
  if (mailbox.reader !== null && mailbox.sent >= entry.sequence) return true
  mailbox.entries.keep((kept) => kept !== entry)
  return false
}

/** Everything that it holds, out of memory; the operations do the same on disk. */
export function dropAll(mailbox: Mailbox): Operation[] {
  const { mesh, id } = mailbox
  const operations: Operation[] = []
  for (const entry of mailbox.entries.keep(() => false)) {
    if (entry.durable) operations.push({ type: 'dropPacket', mesh: mesh.id, mailbox: id, sequence: entry.sequence })
    uncount(entry)
  }
  if (mailbox.lost > 0) operations.push(lostOf({ ...mailbox, lost: 0 }))
  mailbox.lost = 0
  return operations
}

export function expire(mailbox: Mailbox, world: World, effects: Effect[]): void {
  const { nowMs } = world
  // As old as anything that it could be about: nobody who comes for it lacks what was lost, and not much else.
  if (mailbox.lost > 0 && mailbox.reader === null && nowMs - mailbox.lostMs >= PACKET_EXPIRY_MS_MAX) {
    mailbox.lost = 0
    effects.push(persistLost(mailbox))
  }
  if (mailbox.expiresMs > nowMs) return
  let unseen = 0
  for (const entry of mailbox.entries.keep((kept) => kept.expiresMs > nowMs)) {
    if (mailbox.reader === null || entry.sequence > mailbox.sent) unseen += 1
    forget(entry, effects)
  }
  mailbox.expiresMs = Number.POSITIVE_INFINITY
  for (const entry of mailbox.entries) mailbox.expiresMs = Math.min(mailbox.expiresMs, entry.expiresMs)
  if (unseen > 0) lose(mailbox, unseen, 'PACKET_EXPIRED', world, effects)
}

/** Leaves a mark: the reader then pulls from its peers what never came. */
export function lose(mailbox: Mailbox, packets: number, reason: DropReason, world: World, effects: Effect[]): void {
  const before = mailbox.lost
  mailbox.lost += packets
  // The exact count means little: a flood of refusals writes the mark a few times only.
  if (before === 0 || Math.floor(Math.log2(before)) !== Math.floor(Math.log2(mailbox.lost))) {
    mailbox.lostMs = world.nowMs
    effects.push(persistLost(mailbox))
  }
  effects.push({ type: 'note', note: { event: 'dropped', mesh: mailbox.mesh.id, reason, packets } })
  if (mailbox.reader !== null) tellLost(mailbox.reader, effects)
}

/** Once it has read what is there: until then it lacks that anyway. */
export function tellLost(reader: Connection, effects: Effect[]): void {
  if (reader.state !== 'active' || !reader.drainedTold || reader.lostTold > 0) return
  for (const mailbox of reader.open) {
    mailbox.lostTold = mailbox.lost
    reader.lostTold += mailbox.lost
  }
  if (reader.lostTold > 0)
    effects.push({ type: 'send', connection: reader.id, frame: { type: 'lost', count: reader.lostTold } })
}

const lostOf = ({ mesh, id, lost, lostMs }: Mailbox): Operation => ({
  type: 'lost',
  mesh: mesh.id,
  mailbox: id,
  count: lost,
  atMs: lostMs,
})

const persistLost = (mailbox: Mailbox): Effect => ({ type: 'persist', operations: [lostOf(mailbox)], receipt: null })

/** At a start, in the order of their sequences. */
export function foundPacket(mailbox: Mailbox, sequence: number, expiresMs: number, bytes: number): void {
  const entry: Entry = {
    mailbox,
    from: null,
    sequence,
    bytes,
    expiresMs,
    packet: null,
    slab: null,
    durable: false,
    handed: 0,
  }
  mailbox.entries.push(entry)
  mailbox.next = sequence + 1
  mailbox.expiresMs = Math.min(mailbox.expiresMs, expiresMs)
  count(entry)
}

function append(mailbox: Mailbox, from: Login, bytes: number, expiresMs: number): Entry {
  const entry: Entry = {
    mailbox,
    from,
    sequence: mailbox.next++,
    bytes,
    expiresMs,
    packet: null,
    slab: null,
    durable: false,
    handed: 0,
  }
  mailbox.entries.push(entry)
  mailbox.expiresMs = Math.min(mailbox.expiresMs, expiresMs)
  return entry
}

/** The packet stands in the slab itself, or has been copied to it. */
function holdIn(slab: Slab, entry: Entry, packet: Uint8Array): void {
  slab.holders += 1
  entry.slab = slab
  if (packet.buffer === slab.memory.buffer) entry.packet = packet
}

/** What is lent of a slab is not used again: whoever gets it may need it after its reader has acknowledged it. */
function inMemory({ packet, slab }: Entry): Uint8Array | null {
  if (slab === null) return null
  const all = lend(slab)
  return packet ?? all
}

function hand(reader: Connection, entry: Entry, packet: Uint8Array, world: World, effects: Effect[]): void {
  if (reader.unackedBytes === 0) reader.progressMs = world.nowMs
  entry.mailbox.sent = entry.sequence
  reader.handed += 1
  entry.handed = reader.handed
  reader.inHand.push(entry)
  reader.unackedBytes += entry.bytes
  effects.push({ type: 'deliver', connection: reader.id, packet: { sequence: entry.handed, packet } })
}

/** Asks for the run of entries on disk that starts at `at`, as far as a frame and the reader's room go. */
function readOn(mailbox: Mailbox, reader: Connection, at: number, state: RelayState, effects: Effect[]): void {
  const room = Math.min(DRAIN_READ_BYTES, state.limits.unackedBytesMax - reader.unackedBytes)
  let bytes = 0
  let last = 0
  const first = mailbox.entries.at(at)?.sequence ?? 0
  for (let next = at; ; next++) {
    const entry = mailbox.entries.at(next)
    if (entry === undefined || entry.slab !== null || (bytes > 0 && bytes + entry.bytes > room)) break
    bytes += entry.bytes
    last = entry.sequence
  }
  const read = state.nextReceipt++
  reader.reading = { read, mailbox }
  const { mesh, id } = mailbox
  effects.push({ type: 'read', read, connection: reader.id, mesh: mesh.id, mailbox: id, first, last })
}

function forget(entry: Entry, effects: Effect[]): void {
  if (!entry.durable) return
  uncount(entry)
  const { mesh, id } = entry.mailbox
  const operations = [{ type: 'dropPacket' as const, mesh: mesh.id, mailbox: id, sequence: entry.sequence }]
  effects.push({ type: 'persist', operations, receipt: null })
}

/** What there is no more room for. */
function whatIsFull({ limits }: RelayState, mailbox: Mailbox, bytes: number): Reason | null {
  const { mesh } = mailbox
  const isOver = (bytesMax: number, held: number): boolean => held + bytes > bytesMax
  if (isOver(limits.mailboxBytesMax, mailbox.bytes) || isOver(limits.meshBytesMax, mesh.bytes)) return 'QUOTA_BYTES'
  const isFull = mailbox.packets >= limits.mailboxPacketsMax || mesh.packets >= limits.meshPacketsMax
  return isFull ? 'QUOTA_PACKETS' : null
}

/** It has, or will have, a place on disk. */
function count(entry: Entry): void {
  entry.durable = true
  for (const sum of [entry.mailbox, entry.mailbox.mesh]) {
    sum.bytes += entry.bytes
    sum.packets += 1
  }
}

function uncount(entry: Entry): void {
  if (!entry.durable) return
  entry.durable = false
  for (const sum of [entry.mailbox, entry.mailbox.mesh]) {
    sum.bytes -= entry.bytes
    sum.packets -= 1
  }
}
