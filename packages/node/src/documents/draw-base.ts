import {
  asideAfter,
  type BaseTip,
  closeCausally,
  deletedAside,
  type Reach,
  type Remains,
} from '@sealmesh/protocol/crdt/base'
import { equalBytes } from '@sealmesh/protocol/bytes'
import type { Block, DocumentName } from '@sealmesh/protocol/crdt/block'
import { decodeHeader } from '@sealmesh/protocol/crdt/block-codec'
import { type Clock, entriesOf, type VersionVector } from '@sealmesh/protocol/crdt/clock'
import { Document } from '@sealmesh/protocol/crdt/document'
import { type FloorPart, type Floors, partUnder } from '@sealmesh/protocol/crdt/floor'
import { prune, type PrunedBlock } from '@sealmesh/protocol/crdt/pruned'
import type { Row } from '@sealmesh/protocol/crdt/row'
import { makeTexts } from '@sealmesh/protocol/crdt/placed-runs'
import { planRuns, type RunPlan, type TextEnd } from '@sealmesh/protocol/crdt/run-plan'
import { type RunMaker, signRun, type TextRun } from '@sealmesh/protocol/crdt/text-run'
import type { Judge } from '@sealmesh/protocol/crdt/verdict'
import type { BlockHash, DocumentId, IncarnationId } from '@sealmesh/protocol/ids'
import { BASE_ENDS_MAX } from '@sealmesh/protocol/limits'
import type { Sodium } from '@sealmesh/protocol/sodium'
import { longestRowBeside, writtenEnds } from '@sealmesh/protocol/sync/pruned-room'
import type { BaseRecord } from '../store/base-store.ts'
import { type BlockStore, endsOf, type StoredBlock } from '../store/block-store.ts'
import { afterPrefix, blockKey, documentPrefix, dotOfKey } from '../store/keys.ts'
import type { Operation, Store } from '../store/store.ts'
import { decodeStored } from './delta.ts'
import { readDocument, type StoredDocument } from './stored-document.ts'

/** Read before others get a turn. */
const BLOCKS_PER_TURN = 32
/** Decoded or pruned before others get a turn, a block for more than it has: two or three milliseconds. */
const BYTES_PER_TURN = 16_384
const BYTES_OF_A_BLOCK = 512
/** One commit of rows: small beside a batch, since writers share its fsync. */
const COMMIT_BYTES = 131_072
const DELETES_PER_COMMIT = 512
/** How finely the age of blocks is told when the newest bytes are left alone. */
const BUCKET_MS = 1_000

export interface Drawing {
  readonly store: Store
  readonly blocks: BlockStore
  readonly sodium: Sodium
  readonly id: DocumentId
  readonly name: DocumentName
  readonly floors: Floors
  readonly judge: Judge
  /** Says what became of texts below the base. */
  readonly maker: RunMaker
  readonly nowMs: number
  /** The document as it is durable now, to be looked at at once. */
  readonly open: () => Promise<Document>
  /** What every other reader has receipted: nothing beyond it goes. */
  readonly receipts: readonly VersionVector[]
  /** What every other reader and writer has receipted: no tombstone beyond it goes. */
  readonly writerReceipts: readonly VersionVector[]
  /** Blocks younger than this stay, as far as `historyBytes` reaches. */
  readonly historyMs: number
  readonly historyBytes: number
  /** Not worth it for less than this, nor for less than what the last base keeps. */
  readonly floorBytes: number
  /** How much lies above the base, and since when: when a look may be worth it again. */
  readonly looked?: (above: Above) => void
  /** The node stops, or the log that judged has changed. */
  readonly isOver: () => boolean
  /** Lets everybody else do what they have to. */
  readonly turn: () => Promise<void>
  /** What a closed set will name of such a base once it is drawn. */
  readonly willName: (tips: readonly BaseTip[], document: Document) => Promise<VersionVector>
  /** The new base is durable. */
  readonly drawn: (remains: Remains, forgotten: ReadonlyMap<string, BlockHash>) => void
}

/** Up to where a base may be drawn. */
export type BaseLimits = Pick<
  Drawing,
  'receipts' | 'writerReceipts' | 'historyMs' | 'historyBytes' | 'floorBytes' | 'isOver' | 'looked' | 'turn'
>

export interface Above {
  readonly bytes: number
  /** Of its first block; infinite when there is none. */
  readonly oldestMs: number
}

/**
 * Draws a document's base anew (docs/spec/09-bases.md) while it is read and written: nothing of it is held still, and
 * what lies below a base does not change. True when there is a new one.
 */
export async function drawBase(drawing: Drawing): Promise<boolean> {
  const { blocks, store, id, sodium } = drawing
  const stored = await readBelow(drawing)
  if (stored.record !== undefined && stored.record.target.length > 0) return false // It is still being received.
  if (stored.record?.staged !== undefined) return false // Another one is about to take its place.
  const ends = await findEnds(drawing, stored.record)
  if (ends === undefined) return false
  const document = await drawing.open()
  const forgotten = document.forgettable(drawing.writerReceipts)
  const left = await fold(drawing, stored, ends, forgotten, deletedAside(document.aside()))
  if (left === undefined || drawing.isOver()) return false
  const { remains } = left
  const rowBytesMax = longestRowBeside(writtenEnds(remains.tips, await drawing.willName(remains.tips, document)))
  // What cannot be sent would keep out whoever comes later.
  if (rowBytesMax <= 0 || remains.tips.length > BASE_ENDS_MAX) return false
  const generation = await blocks.bases.freshGeneration(id)
  const before = stored.record ?? { generation: 0, tips: [], target: [], rows: 0, bytes: 0 }
  // Should this be cut short, a start finds what is left over by this mark.
  await store.commit([blocks.bases.put(id, { ...before, dirty: true })])
  const rows = await writeRows(drawing, stored, ends, left, { generation, rowBytesMax })
  if (rows === undefined || !(await stillHolds(drawing, ends))) {
    await tidy(drawing)
    return false
  }
  const { tips } = remains
  const record = { generation, dirty: true, tips, target: [], rows: rows.count, bytes: rows.bytes }
  await store.commit([blocks.bases.put(id, record)])
  drawing.drawn(remains, left.forgotten)
  await tidy({ ...drawing, sodium })
  return true
}

/** Deletes what the base makes superfluous, or a drawing that was cut short has left. */
export async function tidy({
  store,
  blocks,
  id,
  turn,
}: Pick<Drawing, 'store' | 'blocks' | 'id' | 'turn' | 'sodium'>): Promise<void> {
  const record = await blocks.bases.read(id)
  // What lies below a base that is on its way goes when that is whole.
  if (record?.dirty !== true || record.target.length > 0 || record.staged !== undefined) return
  for (;;) {
    const keys = await blocks.bases.leftOver(id, record.generation, DELETES_PER_COMMIT)
    if (keys.length === 0) break
    await store.commit(keys.map((key) => ({ type: 'delete', key })))
    await turn()
  }
  const ends = endsOf(record)
  let deletes: Operation[] = []
  const prefix = documentPrefix(id)
  for await (const [key] of store.read({ from: prefix, to: afterPrefix(prefix) })) {
    const dot = dotOfKey(key)
    if (dot.sequence > (ends.get(dot.incarnation) ?? 0)) continue
    deletes.push({ type: 'delete', key: blockKey(id, dot) })
    if (deletes.length < DELETES_PER_COMMIT) continue
    await store.commit(deletes)
    deletes = []
    await turn()
  }
  await store.commit([...deletes, blocks.bases.put(id, { ...record, dirty: false })])
}

/** The last base and what it kept, without the blocks above it. */
async function readBelow({ blocks, id, sodium }: Drawing): Promise<StoredDocument> {
  return readDocument(blocks, id, sodium, 'below')
}

interface Scan {
  readonly heard: { sequence: number; received: Clock; floor?: FloorPart }[]
  /** The first block of each stretch of time, and the bytes before it. */
  readonly stretches: { readonly bucket: number; readonly from: number; readonly bytesBefore: number }[]
  last: number
  bytes: number
}

/** How far the base may go, or undefined when it is not worth it. */
async function findEnds(
  drawing: Drawing,
  record: BaseRecord | undefined,
): Promise<ReadonlyMap<IncarnationId, number> | undefined> {
  const document = await drawing.open()
  const compactable = document.compactable()
  const aside = asideAfter(compactable, document.aside())
  const before = endsOf(record)
  const scans = new Map<IncarnationId, Scan>()
  const bytesAt = new Map<number, number>()
  let read = 0
  for await (const { incarnation, sequence, bytes } of drawing.blocks.iterate(drawing.id, record)) {
    if (sequence <= (before.get(incarnation) ?? 0)) continue
    if (++read % (8 * BLOCKS_PER_TURN) === 0) await drawing.turn()
    const header = decodeHeader(bytes)
    if (!header.ok) return undefined // Damage is found by whoever loads it.
    const scan = scans.get(incarnation) ?? { heard: [], stretches: [], last: 0, bytes: 0 }
    scans.set(incarnation, scan)
    const { time, received, floor } = header.value
    if (floor !== null) {
      const under = partUnder(floor, drawing.floors)
      if (under === undefined) return undefined
      scan.heard.push({ sequence, received, floor: under })
    } else if (received.length > 0) scan.heard.push({ sequence, received })
    const bucket = Math.floor(time.wallMs / BUCKET_MS)
    if (bucket > (scan.stretches.at(-1)?.bucket ?? Number.NEGATIVE_INFINITY))
      scan.stretches.push({ bucket, from: sequence, bytesBefore: scan.bytes })
    scan.last = sequence
    scan.bytes += bytes.length
    bytesAt.set(bucket, (bytesAt.get(bucket) ?? 0) + bytes.length)
  }
  const above = { bytes: 0, oldestMs: Number.POSITIVE_INFINITY }
  for (const [bucket, bytes] of bytesAt) {
    above.bytes += bytes
    above.oldestMs = Math.min(above.oldestMs, bucket * BUCKET_MS)
  }
  drawing.looked?.(above)
  const kept = firstBucketKept(drawing, bytesAt)
  const reaches: Reach[] = []
  for (const [incarnation, settled] of compactable) {
    const { heard, stretches, last } = scans.get(incarnation) ?? { heard: [], stretches: [], last: 0 }
    const young = stretches.find(({ bucket }) => bucket >= kept)?.from ?? Number.POSITIVE_INFINITY
    const receipted = drawing.receipts.map((vector) => entriesOf(vector, incarnation)[0]?.sequence ?? 0)
    const old = before.get(incarnation) ?? 0
    const sequence = Math.max(old, Math.min(settled, Math.max(old, last), young - 1, ...receipted))
    reaches.push({ incarnation, sequence, heard, aside: aside.get(incarnation) })
  }
  const ends = closeCausally(reaches)
  let gained = 0
  for (const [incarnation, end] of ends) {
    const scan = scans.get(incarnation)
    if (scan === undefined || end <= (before.get(incarnation) ?? 0)) continue
    gained += end >= scan.last ? scan.bytes : (scan.stretches.findLast(({ from }) => from <= end)?.bytesBefore ?? 0)
  }
  return gained > 0 && gained >= Math.max(drawing.floorBytes, record?.bytes ?? 0) ? ends : undefined
}

/** Blocks from there on are history that stays: young, and among the newest bytes. */
function firstBucketKept({ nowMs, historyMs, historyBytes }: Drawing, bytesAt: ReadonlyMap<number, number>): number {
  let first = Number.POSITIVE_INFINITY
  let bytes = 0
  for (const [bucket, more] of [...bytesAt].sort(([a], [b]) => b - a)) {
    bytes += more
    if (bytes > historyBytes || (bucket + 1) * BUCKET_MS < nowMs - historyMs) return first
    first = bucket
  }
  return first
}

/** Folds what lies at and below the ends, and nothing else. */
async function fold(
  drawing: Drawing,
  { record, base }: StoredDocument,
  ends: ReadonlyMap<IncarnationId, number>,
  forgotten: ReadonlyMap<string, BlockHash>,
  aside: ReturnType<typeof deletedAside>,
): Promise<Left | undefined> {
  const { name, judge, nowMs, sodium, isOver, floors } = drawing
  const document = Document.rebuild(name, [], judge, nowMs, sodium, base, floors)
  const textEnds = new Map<IncarnationId, TextEnd[]>()
  for await (const block of between(drawing, record, ends)) {
    if (isOver()) return undefined
    const { type, rebuild } = document.receive(block, judge, nowMs)
    if (rebuild || (type !== 'folded' && type !== 'held')) return undefined
    if (block.writes[0]?.type !== 'text') continue
    const { incarnation, sequence } = block.header
    const of = textEnds.get(incarnation) ?? []
    textEnds.set(incarnation, of)
    of.push({ sequence, clock: document.textEndOf(incarnation) })
  }
  const reached = new Map(document.vector.map((dot) => [dot.incarnation, dot.sequence]))
  for (const [incarnation, end] of ends) if ((reached.get(incarnation) ?? 0) !== end) return undefined
  const remains = document.remains(forgotten, aside)
  const runs = remains && (await planTexts(drawing, document, base.runs, textEnds))
  if (remains === undefined || runs === undefined) return undefined
  // Some of them stay: what they replace lies above, and would be read again without them.
  const gone = new Map([...forgotten].filter(([key, hash]) => remains.kept.get(hash)?.has(key) !== true))
  return { remains, runs, forgotten: gone }
}

/** What the new base keeps: of registers by block, of texts by incarnation and the block that each run ends at. */
interface Left {
  readonly remains: Remains
  readonly runs: ReadonlyMap<IncarnationId, ReadonlyMap<number, RunPlan>>
  /** Tombstones that it lets go of. */
  readonly forgotten: ReadonlyMap<string, BlockHash>
}

async function planTexts(
  { turn, isOver }: Drawing,
  { yDoc }: Document,
  before: readonly TextRun[],
  since: ReadonlyMap<IncarnationId, readonly TextEnd[]>,
): Promise<Left['runs'] | undefined> {
  const old = new Map<IncarnationId, TextRun[]>()
  for (const run of before) {
    const { incarnation } = run.end.header
    old.set(incarnation, [...(old.get(incarnation) ?? []), run])
  }
  const runs = new Map<IncarnationId, Map<number, RunPlan>>()
  for (const incarnation of new Set([...old.keys(), ...since.keys()])) {
    const of = new Map<number, RunPlan>()
    runs.set(incarnation, of)
    for (const plan of planRuns(yDoc, incarnation, old.get(incarnation) ?? [], since.get(incarnation) ?? [])) {
      if (plan === 'too long' || isOver()) return undefined
      of.set(plan.sequence, plan)
      await turn()
    }
  }
  // Nothing that was typed makes them differ; what a peer made up and no check has met must not change a text here.
  const updates = [...runs.values()].flatMap((of) => [...of.values()].map(({ update }) => update))
  return makeTexts(updates, yDoc) ? runs : undefined
}

async function writeRows(
  drawing: Drawing,
  { record, base }: StoredDocument,
  ends: ReadonlyMap<IncarnationId, number>,
  { remains: { kept }, runs }: Left,
  { generation, rowBytesMax }: { readonly generation: number; readonly rowBytesMax: number },
): Promise<{ count: number; bytes: number } | undefined> {
  const { store, blocks, id, sodium, maker, isOver, turn } = drawing
  const written = { count: 0, bytes: 0 }
  let operations: Operation[] = []
  let bytes = 0
  const found = new Set<BlockHash>()
  let runsLeft = [...runs.values()].reduce((sum, { size }) => sum + size, 0)
  const rowOf = (block: Block | PrunedBlock, before: TextRun | undefined): Row | undefined => {
    const plan = runs.get(block.header.incarnation)?.get(block.header.sequence)
    const left = kept.get(block.hash)
    if (left !== undefined) found.add(block.hash)
    if (plan === undefined) return left && prune(block, left, sodium)
    // Who said it first goes on saying it.
    const isSame = before !== undefined && before.from === plan.from && equalBytes(before.update, plan.update)
    const run = isSame ? before : signRun({ ...plan, end: block }, maker, sodium)
    if (run !== undefined) runsLeft -= 1
    return run
  }
  /** False: it can be no row. Clocks that reach beyond the base, which no honest ones do, are written out in each. */
  const add = async (block: Block | PrunedBlock, before?: TextRun): Promise<boolean> => {
    const row = rowOf(block, before)
    if (row === undefined) return true
    if (row.bytes.length > rowBytesMax) return false
    operations.push(blocks.bases.putRow(id, generation, row))
    written.count += 1
    written.bytes += row.bytes.length
    bytes += row.bytes.length
    if (bytes < COMMIT_BYTES) return true
    await store.commit(operations)
    operations = []
    bytes = 0
    await turn()
    return true
  }
  for (const block of base.blocks) if (!(await add(block))) return undefined
  for (const run of base.runs) if (!(await add(run.end, run))) return undefined
  for await (const block of between(drawing, record, ends)) {
    if (isOver() || !(await add(block))) return undefined
  }
  if (operations.length > 0) await store.commit(operations)
  // Every write and every text that counts has a row now, or the old base stays.
  return found.size === kept.size && runsLeft === 0 ? written : undefined
}

/** Blocks above the old base, up to the ends. */
async function* between(
  { blocks, id, sodium, turn }: Drawing,
  record: BaseRecord | undefined,
  ends: ReadonlyMap<IncarnationId, number>,
): AsyncGenerator<Block> {
  const before = endsOf(record)
  let bytes = 0
  for await (const stored of blocks.iterate(id, record)) {
    if (!isBetween(stored, before, ends)) continue
    bytes += BYTES_OF_A_BLOCK + stored.bytes.length
    if (bytes >= BYTES_PER_TURN) {
      bytes = 0
      await turn()
    }
    yield decodeStored(stored, id, sodium)
  }
}

const isBetween = (
  { incarnation, sequence }: StoredBlock,
  before: ReadonlyMap<IncarnationId, number>,
  ends: ReadonlyMap<IncarnationId, number>,
): boolean => sequence > (before.get(incarnation) ?? 0) && sequence <= (ends.get(incarnation) ?? 0)

/** No fork has shown, and no verdict has changed, while the rows were written. */
async function stillHolds(drawing: Drawing, ends: ReadonlyMap<IncarnationId, number>): Promise<boolean> {
  const compactable = (await drawing.open()).compactable()
  if (drawing.isOver()) return false
  for (const [incarnation, end] of ends) if ((compactable.get(incarnation) ?? 0) < end) return false
  return true
}
