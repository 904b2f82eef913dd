import {
  concatBytes,
  decode,
  encode,
  Malformed,
  type Reader,
  readByte,
  readFixed,
  readList,
  readUint,
  type Writer,
  writeByte,
  writeFixed,
  writeList,
  writeUint,
} from '../bytes.ts'
import type { IncarnationId } from '../ids.ts'
import { HASH_BYTES, SIGNATURE_BYTES, type Signature, type SignPublicKey } from '../keys.ts'
import { BLOCK_WRITES_MAX, PRUNED_BYTES_MAX, VECTOR_ENTRIES_MAX } from '../limits.ts'
import { err, ok, type Result } from '../result.ts'
import type { Sodium } from '../sodium.ts'
import { TAGS } from '../tags.ts'
import { PRUNED_VERSION } from '../version.ts'
import type { Block, Write } from './block.ts'
import { hashOf, readHeader } from './block-codec.ts'
import { endsOfWrites, headerLengthOf, isShortestHeader } from './block-walk.ts'
import { type Clock, EMPTY_CLOCK, readClock, writeClock } from './clock.ts'
import { fringeOf, leafOf, type Tree, treeWith } from './merkle.ts'
import { compareKeys, keyOf, readWrite } from './write-codec.ts'

/**
 * What is left of a block once others have replaced some of its writes and everybody has those (docs/spec/09-bases.md
 * §3): enough to prove who wrote the rest.
 *
 *   version 1B | header, as signed | count of the block's writes |
 *   kept: list of (step of the place, the write's bytes, open: the part of its clock that lies beyond the base) |
 *   met: list of (step of the place among those kept, deletions beyond the base that count for nothing, as far as the
 *   write's author had received them) |
 *   fringe: list of 32B, the Merkle hashes of what is gone, from left to right | signature 64B
 *
 * A block of which nothing is left but that it was the last one below a base keeps no write, and its root as fringe.
 */
export interface PrunedBlock extends Block {
  /** One for each write: what it replaces that lies beyond the base. Not signed, nearly always empty. */
  readonly open: readonly Clock[]
  /** One for each write: of tombstones, and of nothing else, it replaces these, too. Not signed, nearly always empty. */
  readonly met: readonly Clock[]
  /** Where its writes stood among those of the block, and the bytes that were signed. */
  readonly kept: readonly { readonly place: number; readonly bytes: Uint8Array }[]
  readonly tree: Tree
  readonly headerBytes: Uint8Array
  readonly count: number
}

/** Writes that stay, by their keys, with what of their clocks and of what their author had received lies beyond the base. */
export type Kept = ReadonlyMap<string, Beyond>

export interface Beyond {
  readonly open: Clock
  readonly met: Clock
}

/** The same block with these writes only, which it must have. Its signature and hash stay what they are. */
export function prune(block: Block | PrunedBlock, kept: Kept, sodium: Sodium): PrunedBlock {
  const whole = 'tree' in block ? block : asPruned(block, sodium)
  const writes: Write[] = []
  const open: Clock[] = []
  const met: Clock[] = []
  const left: { place: number; bytes: Uint8Array }[] = []
  for (const [at, write] of whole.writes.entries()) {
    const beyond = kept.get(keyOf(write))
    if (beyond === undefined) continue
    writes.push(write)
    open.push(beyond.open)
    met.push(beyond.met)
    left.push(whole.kept[at]!)
  }
  const { header, hash, signature, tree, headerBytes, count } = whole
  const places = left.map(({ place }) => place)
  const fringe = fringeOf(tree, places)
  const bytes = encode((w) => {
    writeByte(w, PRUNED_VERSION)
    writeFixed(w, headerBytes)
    writeUint(w, count)
    writeUint(w, left.length)
    let before = 0
    for (const [at, { place, bytes }] of left.entries()) {
      writeUint(w, place - before)
      before = place
      writeFixed(w, bytes)
      writeClock(w, open[at]!)
    }
    writeMet(w, met)
    writeList(w, fringe, (each) => writeFixed(w, each))
    writeFixed(w, signature)
  })
  return { header, hash, signature, writes, open, met, kept: left, tree, headerBytes, count, bytes }
}

/** Untrusted bytes in. Never throws. The signature is `verifyPruned`'s. The result shares memory with `bytes`. */
export function decodePruned(bytes: Uint8Array, sodium: Sodium): Result<PrunedBlock, { code: 'BLOCK_MALFORMED' }> {
  if (bytes.length > PRUNED_BYTES_MAX) return err({ code: 'BLOCK_MALFORMED' })
  const block = decode(bytes, (r) => readPruned(r, bytes, sodium))
  return block.ok ? ok(block.value) : err({ code: 'BLOCK_MALFORMED' })
}

/** Whether the node that owns `signKey` wrote what is left of it. */
export const verifyPruned = (block: PrunedBlock, signKey: SignPublicKey, sodium: Sodium): boolean =>
  sodium.verify(block.signature, concatBytes(TAGS.block, block.headerBytes, block.header.writesRoot), signKey)

function readPruned(r: Reader, bytes: Uint8Array, sodium: Sodium): PrunedBlock {
  if (readByte(r) !== PRUNED_VERSION) throw new Malformed()
  const start = r.decoder.pos
  const { table, ...rest } = readHeader(r)
  const headerBytes = bytes.subarray(start, r.decoder.pos)
  // A number in a longer form would give one block two names.
  if (!isShortestHeader(headerBytes)) throw new Malformed()
  const count = readUint(r, BLOCK_WRITES_MAX)
  const keptCount = readUint(r, count)
  const used = new Uint8Array(table.length)
  const writes: Write[] = []
  const open: Clock[] = []
  const kept: { place: number; bytes: Uint8Array }[] = []
  const leaves = new Map<number, Uint8Array>()
  for (let at = 0; at < keptCount; at++) {
    const step = readUint(r, count)
    const before = kept.at(-1)
    if (before !== undefined && step === 0) throw new Malformed()
    const place = (before?.place ?? 0) + step
    if (place >= count) throw new Malformed()
    const from = r.decoder.pos
    const write = readWrite(r, table, used)
    const last = writes.at(-1)
    // What a text block wrote is left in a text run.
    if (write.type === 'text') throw new Malformed()
    if (last !== undefined && compareKeys(keyOf(last), keyOf(write)) >= 0) throw new Malformed()
    const written = bytes.subarray(from, r.decoder.pos)
    writes.push(write)
    kept.push({ place, bytes: written })
    leaves.set(place, leafOf(written, sodium))
    open.push(readOthers(r, rest.incarnation))
  }
  const met = readMet(r, keptCount, rest.incarnation)
  const fringe = readList(r, count, () => readFixed(r, HASH_BYTES))
  const tree = count === 0 ? undefined : treeWith(count, leaves, fringe, sodium)
  if (tree === undefined) throw new Malformed()
  const signature = readFixed(r, SIGNATURE_BYTES) as Signature
  const header = { ...rest, writesRoot: tree.hash }
  const hash = hashOf(headerBytes, tree.hash, sodium)
  return { header, hash, signature, writes, open, met, kept, tree, headerBytes, count, bytes }
}

function writeMet(w: Writer, met: readonly Clock[]): void {
  writeUint(w, met.filter((clock) => clock.length > 0).length)
  let before = 0
  for (const [at, clock] of met.entries()) {
    if (clock.length === 0) continue
    writeUint(w, at - before)
    before = at
    writeClock(w, clock)
  }
}

function readMet(r: Reader, kept: number, own: IncarnationId): Clock[] {
  const met: Clock[] = Array.from({ length: kept }, () => EMPTY_CLOCK)
  let at = 0
  for (let left = readUint(r, kept), first = true; left > 0; left--, first = false) {
    const step = readUint(r, kept)
    at += step
    if (at >= kept || (step === 0 && !first)) throw new Malformed()
    const clock = readOthers(r, own)
    if (clock.length === 0) throw new Malformed()
    met[at] = clock
  }
  return met
}

/** Of an incarnation's own blocks nothing has to be said. */
function readOthers(r: Reader, own: IncarnationId): Clock {
  const clock = readClock(r, VECTOR_ENTRIES_MAX)
  if (clock.some(({ incarnation }) => incarnation === own)) throw new Malformed()
  return clock
}

function asPruned(block: Block, sodium: Sodium): PrunedBlock {
  const { bytes, writes } = block
  const ends = endsOfWrites(bytes)
  const kept = writes.map((_, place) => ({ place, bytes: bytes.subarray(ends[place], ends[place + 1]) }))
  const leaves = new Map(kept.map(({ place, bytes: written }) => [place, leafOf(written, sodium)]))
  const tree = treeWith(writes.length, leaves, [], sodium)
  if (tree === undefined) throw new Malformed() // Not reached: nothing of it is gone.
  const headerBytes = bytes.subarray(0, headerLengthOf(bytes))
  const [open, met] = [writes.map(() => []), writes.map(() => [])]
  return { ...block, open, met, kept, tree, headerBytes, count: writes.length }
}
