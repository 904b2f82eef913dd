import { compareText } from '@sealmesh/protocol/bytes'
import type { Block, BlockHeader } from '@sealmesh/protocol/crdt/block'
import { decodeBlock } from '@sealmesh/protocol/crdt/block-codec'
import { compareDots, type Dot, entriesOf, type VersionVector } from '@sealmesh/protocol/crdt/clock'
import { compareTimes, type HybridTime } from '@sealmesh/protocol/crdt/hybrid-time'
import { Failure } from '@sealmesh/protocol/errors'
import type { BlockHash, DocumentId, IncarnationId } from '@sealmesh/protocol/ids'
import type { Sodium } from '@sealmesh/protocol/sodium'
import { PAYLOAD_BYTES_MAX } from '@sealmesh/protocol/limits'
import type { PrunedItem } from '@sealmesh/protocol/sync/payload'
import { roomBeside } from '@sealmesh/protocol/sync/pruned-room'
import type { BlockStore, StoredBlock } from '../store/block-store.ts'
import type { RecentBlocks } from './recent-blocks.ts'

export interface Delta {
  readonly blocks: Uint8Array[]
  /** In the place of blocks, for a peer that stands below the base. */
  readonly pruned?: PrunedItem
  /** The peer's vector once it has these. */
  readonly reached: VersionVector
  readonly more: boolean
}

/** What it puts into a packet. */
export const bytesOf = ({ blocks, pruned }: Delta): number =>
  [...blocks, ...(pruned?.rows.map(({ bytes }) => bytes) ?? [])].reduce((total, { length }) => total + length, 0) +
  (pruned === undefined ? 0 : PAYLOAD_BYTES_MAX - roomBeside(pruned.ends))

export interface DeltaSource {
  readonly blocks: BlockStore
  readonly document: DocumentId
  /** Last known dots of every incarnation; may run ahead of the disk, behind it only where it is damaged. */
  readonly tips: VersionVector
  readonly forked: readonly IncarnationId[]
  /** The document's base: nobody who stands below it gets this far. */
  readonly base: readonly Dot[]
  readonly recent: RecentBlocks
  readonly sodium: Sodium
}

/**
 * The blocks that a peer with `vector` lacks, from disk alone: what is not durable here is sent to nobody. Whole
 * incarnations one after another, the one with the oldest missing block first, so that a text's beginnings tend to
 * come before what builds on them. At least one block, however small `bytesMax` is.
 */
export async function deltaAfter(source: DeltaSource, vector: VersionVector, bytesMax: number): Promise<Delta> {
  const runs: Run[] = []
  for (const incarnation of new Set(source.tips.map((tip) => tip.incarnation))) {
    const theirs = entriesOf(vector, incarnation)
    const forked = source.forked.includes(incarnation)
    const run = await (forked ? branchedRun(source, incarnation, theirs) : linearRun(source, incarnation, theirs))
    if (run !== undefined) runs.push(run)
  }
  await sortByAge(runs)

  const taken: Uint8Array[] = []
  const reached = [...vector]
  let bytes = 0
  for (const run of runs) {
    for await (const { block, previous } of run.links()) {
      if (taken.length > 0 && bytes + block.bytes.length > bytesMax)
        return { blocks: taken, reached: sorted(reached), more: true }
      taken.push(block.bytes)
      bytes += block.bytes.length
      advance(reached, block, previous)
    }
  }
  return { blocks: taken, reached: sorted(reached), more: false }
}

/**
 * The same for a peer that lacks the last blocks of one incarnation and nothing else, as nearly every push of a write
 * does, from memory: no look at the disk for any of the others. Undefined where that does not do.
 */
export function recentDelta(
  { document, tips, forked, recent, base }: DeltaSource,
  vector: VersionVector,
  bytesMax: number,
): Delta | undefined {
  if (forked.length > 0) return undefined
  let lacking: { readonly tip: Dot; readonly theirs: Dot | undefined; readonly place: number } | undefined
  let place = 0
  for (const tip of tips) {
    if (vector[place] === tip) {
      place++
      continue
    }
    while (place < vector.length && vector[place]!.incarnation < tip.incarnation) place++
    const theirs = vector[place]?.incarnation === tip.incarnation ? vector[place] : undefined
    if (theirs !== undefined && (theirs.hash === tip.hash || theirs.sequence > tip.sequence)) continue
    if (lacking !== undefined) return undefined
    lacking = { tip, theirs, place }
  }
  if (lacking === undefined) return { blocks: [], reached: vector, more: false }
  // Below the base whole blocks are nothing to anybody.
  const end = entriesOf(base, lacking.tip.incarnation)[0]?.sequence ?? 0
  if ((lacking.theirs?.sequence ?? 0) < end) return undefined
  const run = recent.between(document, lacking.theirs ?? null, lacking.tip)
  if (run === undefined) return undefined
  let bytes = 0
  const taken = run.filter((block, at) => (bytes += block.bytes.length) <= bytesMax || at === 0)
  const { incarnation, sequence, hash } = taken.at(-1)!
  const reached = vector.toSpliced(lacking.place, lacking.theirs === undefined ? 0 : 1, { incarnation, sequence, hash })
  return { blocks: taken.map((block) => block.bytes), reached, more: taken.length < run.length }
}

/** What a peer lacks of one incarnation. */
interface Run {
  readonly incarnation: IncarnationId
  /** The first missing block. */
  first(): Promise<First>
  links(): AsyncIterable<Link> | Iterable<Link>
}

interface First {
  readonly time: HybridTime
  /** It names a closed set, and can be used only where most of that is: so it goes last. */
  readonly isOver: boolean
}

const NOTHING_FIRST: First = { time: { wallMs: 0, counter: 0 }, isOver: false }
const firstOf = ({ time, floor }: BlockHeader): First => ({ time, isOver: floor !== null })

interface Link {
  readonly block: StoredBlock
  readonly previous: BlockHash | null
}

/** One run, which is what a push of new writes finds, needs no order and so no look at its times. */
async function sortByAge(runs: Run[]): Promise<void> {
  if (runs.length < 2) return
  const firsts = new Map<Run, First>()
  for (const run of runs) firsts.set(run, await run.first())
  const of = (run: Run): First => firsts.get(run) ?? NOTHING_FIRST
  runs.sort(
    (a, b) =>
      Number(of(a).isOver) - Number(of(b).isOver) ||
      compareTimes(of(a).time, of(b).time) ||
      compareText(a.incarnation, b.incarnation),
  )
}

/** One chain, so sequences are enough. A peer that names only branches unknown to us gets ours whole. */
async function linearRun(
  source: DeltaSource,
  incarnation: IncarnationId,
  theirs: readonly Dot[],
): Promise<Run | undefined> {
  const tip = entriesOf(source.tips, incarnation)[0]
  // At or beyond our tip lies our branch, or a fork that we learn of when they send it.
  if (tip === undefined || theirs.some((dot) => dot.hash === tip.hash || dot.sequence > tip.sequence)) return undefined
  const recent = theirs.length < 2 ? source.recent.between(source.document, theirs[0] ?? null, tip) : undefined
  const known = recent === undefined ? await lastKnown(source, theirs) : theirs[0]
  const rest = () => recent ?? source.blocks.run(source.document, incarnation, (known?.sequence ?? 0) + 1)
  return {
    incarnation,
    async first() {
      for await (const stored of rest()) return firstOf(decodeStored(stored, source.document, source.sodium).header)
      return NOTHING_FIRST
    },
    async *links() {
      let previous = known?.hash ?? null
      for await (const block of rest()) {
        if (block.sequence > tip.sequence) return // Beyond damage: nobody could use it.
        yield { block, previous }
        previous = block.hash
      }
    },
  }
}

async function lastKnown(source: DeltaSource, theirs: readonly Dot[]): Promise<Dot | undefined> {
  let known: Dot | undefined
  for (const dot of theirs) {
    if (dot.sequence <= (known?.sequence ?? 0)) continue
    const atBase = entriesOf(source.base, dot.incarnation).some(({ hash }) => hash === dot.hash)
    if (atBase || (await source.blocks.has(source.document, dot))) known = dot
  }
  return known
}

/** With branches only ancestry says what is covered, so the whole incarnation is read. Forks are accidents: rare. */
async function branchedRun(
  source: DeltaSource,
  incarnation: IncarnationId,
  theirs: readonly Dot[],
): Promise<Run | undefined> {
  const all = new Map<BlockHash, { link: Link; first: First }>()
  for await (const block of source.blocks.run(source.document, incarnation, 1)) {
    const { header } = decodeStored(block, source.document, source.sodium)
    all.set(block.hash, { link: { block, previous: header.previous }, first: firstOf(header) })
  }
  const covered = new Set<BlockHash>()
  for (const dot of theirs) {
    let at: BlockHash | null = dot.hash
    while (at !== null && all.has(at) && !covered.has(at)) {
      covered.add(at)
      at = all.get(at)?.link.previous ?? null
    }
  }
  const missing = [...all.values()].filter(({ link }) => !covered.has(link.block.hash))
  const first = missing[0]
  if (first === undefined) return undefined
  return { incarnation, first: async () => first.first, links: () => missing.map(({ link }) => link) }
}

/** A block takes the place of the entry that it follows; where it branches off it is an entry of its own. */
function advance(reached: Dot[], block: StoredBlock, previous: BlockHash | null): void {
  const { incarnation, sequence, hash } = block
  const at = previous === null ? -1 : reached.findIndex((dot) => dot.hash === previous)
  reached.splice(at < 0 ? reached.length : at, 1, { incarnation, sequence, hash })
}

const sorted = (vector: readonly Dot[]): VersionVector => vector.toSorted(compareDots)

/** A stored block that does not decode, or is not the one that its key names, is damage. */
export function decodeStored(stored: StoredBlock, document: DocumentId, sodium: Sodium): Block {
  const block = decodeBlock(stored.bytes, sodium)
  if (block.ok && block.value.hash === stored.hash) return block.value
  throw new Failure(
    'STORE_DAMAGED',
    `Block ${stored.sequence} of incarnation ${stored.incarnation} in document ${document} cannot be read.`,
  )
}
