import { compareText } from '@sealmesh/protocol/bytes'
import type { Block } from '@sealmesh/protocol/crdt/block'
import { decodeBlock } from '@sealmesh/protocol/crdt/block-codec'
import type { Dot, VersionVector } from '@sealmesh/protocol/crdt/clock'
import { compareTimes, type HybridTime } from '@sealmesh/protocol/crdt/hybrid-time'
import { Failure } from '@sealmesh/protocol/errors'
import type { BlockHash, DocumentId, IncarnationId } from '@sealmesh/protocol/ids'
import type { Sodium } from '@sealmesh/protocol/sodium'
import type { BlockStore, StoredBlock } from '../store/block-store.ts'

export interface Delta {
  readonly blocks: Uint8Array[]
  /** The peer's vector once it has these. */
  readonly reached: VersionVector
  readonly more: boolean
}

export interface DeltaSource {
  readonly blocks: BlockStore
  readonly document: DocumentId
  /** Last known dots of every incarnation; may run ahead of the disk, never behind it. */
  readonly tips: VersionVector
  readonly forked: readonly IncarnationId[]
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
    const theirs = vector.filter((dot) => dot.incarnation === incarnation)
    const forked = source.forked.includes(incarnation)
    const run = await (forked ? branchedRun(source, incarnation, theirs) : linearRun(source, incarnation, theirs))
    if (run !== undefined) runs.push(run)
  }
  runs.sort((a, b) => compareTimes(a.since, b.since) || compareText(a.incarnation, b.incarnation))

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

/** What a peer lacks of one incarnation. */
interface Run {
  readonly incarnation: IncarnationId
  /** Time of the first missing block. */
  readonly since: HybridTime
  links(): AsyncIterable<Link> | Iterable<Link>
}

interface Link {
  readonly block: StoredBlock
  readonly previous: BlockHash | null
}

/** One chain, so sequences are enough. A peer that names only branches unknown to us gets ours whole. */
async function linearRun(
  source: DeltaSource,
  incarnation: IncarnationId,
  theirs: readonly Dot[],
): Promise<Run | undefined> {
  const tip = source.tips.find((dot) => dot.incarnation === incarnation)
  let known: Dot | undefined
  for (const dot of theirs) {
    if (tip === undefined || dot.hash === tip.hash) return undefined
    // Beyond our tip lies more of our branch, or a fork that we learn of when they send it.
    if (dot.sequence > tip.sequence) return undefined
    if (dot.sequence > (known?.sequence ?? 0) && (await source.blocks.has(source.document, dot))) known = dot
  }
  const rest = () => source.blocks.run(source.document, incarnation, (known?.sequence ?? 0) + 1)
  for await (const first of rest()) {
    return {
      incarnation,
      since: decoded(first, source).header.time,
      async *links() {
        let previous = known?.hash ?? null
        for await (const block of rest()) {
          yield { block, previous }
          previous = block.hash
        }
      },
    }
  }
  return undefined
}

/** With branches only ancestry says what is covered, so the whole incarnation is read. Forks are accidents: rare. */
async function branchedRun(
  source: DeltaSource,
  incarnation: IncarnationId,
  theirs: readonly Dot[],
): Promise<Run | undefined> {
  const all = new Map<BlockHash, Link>()
  let first: Block | undefined
  for await (const block of source.blocks.run(source.document, incarnation, 1)) {
    all.set(block.hash, { block, previous: decoded(block, source).header.previous })
  }
  const covered = new Set<BlockHash>()
  for (const dot of theirs) {
    let link = all.get(dot.hash)
    while (link !== undefined && !covered.has(link.block.hash)) {
      covered.add(link.block.hash)
      link = link.previous === null ? undefined : all.get(link.previous)
    }
  }
  const missing = [...all.values()].filter(({ block }) => !covered.has(block.hash))
  if (missing[0] !== undefined) first = decoded(missing[0].block, source)
  return first && { incarnation, since: first.header.time, links: () => missing }
}

/** A block takes the place of the entry that it follows; where it branches off it is an entry of its own. */
function advance(reached: Dot[], block: StoredBlock, previous: BlockHash | null): void {
  const { incarnation, sequence, hash } = block
  const at = previous === null ? -1 : reached.findIndex((dot) => dot.hash === previous)
  reached.splice(at < 0 ? reached.length : at, 1, { incarnation, sequence, hash })
}

const sorted = (vector: readonly Dot[]): VersionVector =>
  vector.toSorted((a, b) => compareText(a.incarnation, b.incarnation) || compareText(a.hash, b.hash))

function decoded(stored: StoredBlock, { sodium, document }: DeltaSource): Block {
  return decodeStored(stored, document, sodium)
}

/** A stored block that does not decode, or is not the one that its key names, is damage. */
export function decodeStored(stored: StoredBlock, document: DocumentId, sodium: Sodium): Block {
  const block = decodeBlock(stored.bytes, sodium)
  if (block.ok && block.value.hash === stored.hash) return block.value
  throw new Failure(
    'STORE_DAMAGED',
    `Block ${stored.sequence} of incarnation ${stored.incarnation} in document ${document} cannot be read.`,
  )
}
