import { compareText } from '../bytes.ts'
import type { BlockHash, IncarnationId, NodeId } from '../ids.ts'
import {
  type Clock,
  coversDot,
  type Dot,
  EMPTY_CLOCK,
  entriesOf,
  isAncestorBySequence,
  joinClocks,
  type VersionVector,
} from './clock.ts'
import type { FloorPart } from './floor.ts'
import type { Heard } from './heard.ts'
import type { HybridTime } from './hybrid-time.ts'
import type { AsideBlock } from './outcome.ts'
import type { Beyond, Kept, PrunedBlock } from './pruned.ts'
import { Ghost } from './register.ts'
import type { RegisterMap } from './register-map.ts'
import type { TextRun } from './text-run.ts'

/**
 * Where one incarnation stands at a base (docs/spec/09-bases.md §1): the last of its blocks that lies at or below it,
 * and what of the incarnation its next blocks depend on.
 */
export interface BaseTip {
  readonly dot: Dot
  readonly author: NodeId
  /** The next block's time lies after it. */
  readonly time: HybridTime
  /** Of what the author had received, the part that covers tombstones which are left: later blocks replace them. */
  readonly heard: Clock
  /** Where its next text block has to begin, in Yjs's count. */
  readonly textEnd: number
}

/**
 * A document up to its base: which blocks lie at or below it, by the last of each incarnation, and what is left of
 * them. Every one of them counted when the base was drawn, and no incarnation of it had forked.
 */
export interface BaseState {
  /** Sorted by incarnation. */
  readonly tips: readonly BaseTip[]
  readonly blocks: readonly PrunedBlock[]
  readonly runs: readonly TextRun[]
  /** Of one that is still being received: texts are built on each other, and wait for the last of them. */
  readonly isComing?: boolean
}

/** How far an incarnation may be compacted, for all that its own blocks say, and what they say of others'. */
export interface Reach {
  readonly incarnation: IncarnationId
  readonly sequence: number
  /** What its blocks beyond the base before this one say that they had received, where any do, in chain order. */
  readonly heard: readonly { readonly sequence: number; readonly received: Clock; readonly floor?: FloorPart }[]
  /** Where there are any: blocks that count for nothing, one after another, and what is before them may all go. */
  readonly aside?: { readonly after: number; readonly upTo: number } | undefined
}

/**
 * The highest base within these reaches that is causally closed: no block at or below it had received one above it that
 * counts. Then whatever replaces a write that lies below it, and was made in ignorance of what has been forgotten, is
 * here. Blocks that count for nothing stay above it: one word written in a silence holds up nobody's base.
 *
 * Whatever lowers one incarnation lowers those that name it, and nothing is looked at twice: what blocks say is made by
 * others, and each of it costs as much as it is long.
 */
export function closeCausally(reaches: readonly Reach[]): Map<IncarnationId, number> {
  const ends = new Map(reaches.map(({ incarnation, sequence }) => [incarnation, sequence]))
  const asides = new Map(reaches.map(({ incarnation, aside }) => [incarnation, aside]))
  const endOf = (incarnation: IncarnationId): number => ends.get(incarnation) ?? 0
  /** How far blocks may have been received. Falls with the end. */
  const mayBeHeard = (incarnation: IncarnationId): number => {
    const end = endOf(incarnation)
    const aside = asides.get(incarnation)
    return aside !== undefined && end >= aside.after ? Math.max(end, aside.upTo) : end
  }
  const naming = new Map<IncarnationId, Naming[]>()
  for (const { incarnation, heard } of reaches) if (heard.length > 0) naming.set(incarnation, [])
  const links = new Map<Clock, Under[]>()
  const fallen: IncarnationId[] = []
  const fall = ({ by, at }: Pick<Under, 'by' | 'at'>): void => {
    if (endOf(by) < at) return
    ends.set(by, at - 1)
    fallen.push(by)
  }
  /** Who names the link lies above that entry, unless he writes the incarnation out. */
  const strike = (under: Under[], incarnation: IncarnationId): void => {
    const left: Under[] = []
    let upTo = 0
    for (; upTo < under.length && names(under[upTo]!.upTo, incarnation); upTo++) {
      const each = under[upTo]!
      if (entriesOf(each.received, incarnation).length > 0) left.push(each)
      else fall(each)
    }
    if (left.length === upTo) return
    // Not as arguments of a call, of which there may not be so many.
    under.copyWithin(left.length, upTo)
    under.length -= upTo - left.length
    for (const [at, each] of left.entries()) under[at] = each
  }
  for (const { incarnation: by, heard } of reaches) {
    for (const { sequence: at, received, floor } of heard) {
      if (at > endOf(by)) break
      for (const dot of received) {
        if (dot.sequence > mayBeHeard(dot.incarnation)) fall({ by, at })
        else naming.get(dot.incarnation)?.push({ sequence: dot.sequence, by, at })
      }
      for (const part of floor?.parts ?? []) {
        const under = links.get(part) ?? []
        links.set(part, under)
        under.push({ by, at, received, upTo: floor?.upTo ?? null })
      }
    }
  }
  for (const [entries, under] of links) {
    under.sort(byUpTo)
    for (const { incarnation, sequence } of entries) {
      if (sequence > mayBeHeard(incarnation)) strike(under, incarnation)
      else naming.get(incarnation)?.push({ sequence, under })
    }
  }
  for (const of of naming.values()) of.sort((a, b) => a.sequence - b.sequence)
  for (let incarnation = fallen.pop(); incarnation !== undefined; incarnation = fallen.pop()) {
    const of = naming.get(incarnation) ?? []
    while ((of.at(-1)?.sequence ?? 0) > mayBeHeard(incarnation)) {
      const last = of.pop()!
      if ('under' in last) strike(last.under, incarnation)
      else fall(last)
    }
  }
  return ends
}

/** A block that names a link of closed sets, but for what it writes out. */
interface Under {
  readonly by: IncarnationId
  readonly at: number
  readonly upTo: IncarnationId | null
  readonly received: Clock
}

/** What of an incarnation a block, or a link that blocks name, says to be received. */
type Naming = { readonly sequence: number } & (Pick<Under, 'by' | 'at'> | { readonly under: Under[] })

const names = (upTo: IncarnationId | null, incarnation: IncarnationId): boolean => upTo === null || incarnation <= upTo

/** Those that name most first. */
function byUpTo({ upTo: a }: Under, { upTo: b }: Under): number {
  if (a === b) return 0
  if (a === null) return -1
  return b === null ? 1 : compareText(b, a)
}

/** Of each incarnation, the blocks that follow on those that may go and count for nothing. */
export function asideAfter(
  compactable: ReadonlyMap<IncarnationId, number>,
  aside: readonly AsideBlock[],
): Map<IncarnationId, { readonly after: number; readonly upTo: number }> {
  const sequences = new Map<IncarnationId, Set<number>>()
  for (const { block } of aside) {
    const { incarnation, sequence } = block.header
    sequences.set(incarnation, (sequences.get(incarnation) ?? new Set()).add(sequence))
  }
  const stretches = new Map<IncarnationId, { after: number; upTo: number }>()
  for (const [incarnation, of] of sequences) {
    const after = compactable.get(incarnation)
    if (after === undefined) continue
    let upTo = after
    while (of.has(upTo + 1)) upTo += 1
    stretches.set(incarnation, { after, upTo })
  }
  return stretches
}

/** What blocks that count for nothing delete, by key. Should they come to count, a write that had met one stays. */
export function deletedAside(aside: readonly AsideBlock[]): Map<string, Dot[]> {
  const deleted = new Map<string, Dot[]>()
  for (const { block } of aside) {
    const { incarnation, sequence } = block.header
    for (const write of block.writes)
      if (write.type === 'delete')
        deleted.set(write.key, [...(deleted.get(write.key) ?? []), { incarnation, sequence, hash: block.hash }])
  }
  return deleted
}

/** What a base keeps: of which blocks which writes, with the part of their clocks that lies beyond it. */
export interface Remains {
  readonly tips: readonly BaseTip[]
  readonly kept: ReadonlyMap<BlockHash, Kept>
}

/**
 * `registers` hold what the blocks at and below the base make, and no other; `vector` is the base. Lone tombstones in
 * `forget` go. `aside`: as `deletedAside` gives it; a kept write has met those that its author had received. Undefined
 * when writes displaced one another, which only a hostile writer's do: what is left of those cannot be told from any of
 * them.
 */
export function keptOf(
  registers: RegisterMap,
  vector: VersionVector,
  forget: ReadonlyMap<string, BlockHash>,
  aside: ReadonlyMap<string, readonly Dot[]>,
): { kept: Map<BlockHash, Map<string, Beyond>>; tombstones: Dot[] } | undefined {
  const kept = new Map<BlockHash, Map<string, Beyond>>()
  const tombstones: Dot[] = []
  for (const [key, register] of registers.entries()) {
    if (!Array.isArray(register) && register.value === undefined && forget.get(key) === register.dot.hash) {
      // Else what it replaces, and lies above, would stand again.
      if (register.replaces.every((each) => lies(each, vector))) continue
    }
    for (const write of Array.isArray(register) ? register : [register]) {
      if (write instanceof Ghost) return undefined
      const { dot, replaces, value, applied } = write
      // What lies below the base cannot come again, so only the rest needs to be remembered as replaced.
      const open = replaces.length === 0 ? EMPTY_CLOCK : replaces.filter((each) => !lies(each, vector))
      const deleted = (aside.get(key) ?? []).filter((each) => applied?.covers(each, isAncestorBySequence) === true)
      const met = deleted.reduce<Clock>((clock, each) => joinClocks(clock, [each], isAncestorBySequence), EMPTY_CLOCK)
      const ofBlock = kept.get(dot.hash) ?? new Map<string, Beyond>()
      kept.set(dot.hash, ofBlock.set(key, { open, met }))
      if (value === undefined) tombstones.push(dot)
    }
  }
  return { kept, tombstones }
}

/**
 * Nothing below a base is still to come, so of what an author had received only what tells of a tombstone, or lies beyond
 * the base, can matter to later blocks. A link of closed sets is looked through once for all who name it.
 */
export function heardBeyond(isBelow: (dot: Dot) => boolean, tombstones: readonly Dot[]): (heard: Heard) => Clock {
  const lowest = new Map<IncarnationId, number>()
  for (const { incarnation, sequence } of tombstones)
    lowest.set(incarnation, Math.min(sequence, lowest.get(incarnation) ?? sequence))
  const tells = (dot: Dot): boolean =>
    (lowest.get(dot.incarnation) ?? Number.POSITIVE_INFINITY) <= dot.sequence || !isBelow(dot)
  const known = new Map<Clock, Clock>()
  const ofLink = (entries: Clock): Clock => {
    const telling = known.get(entries) ?? entries.filter(tells)
    known.set(entries, telling)
    return telling
  }
  return (heard) => heard.only(tells, ofLink)
}

/** Bases have no forks: sequences are enough. */
const lies = (dot: Dot, vector: VersionVector): boolean => coversDot(vector, dot, isAncestorBySequence)
