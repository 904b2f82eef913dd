import type { BlockHash, IncarnationId, NodeId } from '../ids.ts'
import { type Clock, coversDot, type Dot, EMPTY_CLOCK, type VersionVector } from './clock.ts'
import type { HybridTime } from './hybrid-time.ts'
import type { Kept, PrunedBlock } from './pruned.ts'
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
  /** `received` of its blocks beyond the base before this one, where there is any, in chain order. */
  readonly heard: readonly { readonly sequence: number; readonly received: Clock }[]
}

/**
 * The highest base within these reaches that is causally closed: no block at or below it had received one above it.
 * Then whatever replaces a write that lies below it, and was made in ignorance of what has been forgotten, is here.
 */
export function closeCausally(reaches: readonly Reach[]): Map<IncarnationId, number> {
  const closed = new Map(reaches.map(({ incarnation, sequence }) => [incarnation, sequence]))
  for (let changed = true; changed; ) {
    changed = false
    for (const { incarnation, heard } of reaches) {
      const end = closed.get(incarnation) ?? 0
      const beyond = heard.find(
        ({ sequence, received }) =>
          sequence <= end && received.some((dot) => dot.sequence > (closed.get(dot.incarnation) ?? 0)),
      )
      if (beyond === undefined) continue
      closed.set(incarnation, beyond.sequence - 1)
      changed = true
    }
  }
  return closed
}

/** What a base keeps: of which blocks which writes, with the part of their clocks that lies beyond it. */
export interface Remains {
  readonly tips: readonly BaseTip[]
  readonly kept: ReadonlyMap<BlockHash, Kept>
}

/**
 * `registers` hold what the blocks at and below the base make, and no other; `vector` is the base. Lone tombstones in
 * `forget` go. Undefined when writes displaced one another, which only a hostile writer's do: what is left of those
 * cannot be told from any of them.
 */
export function keptOf(
  registers: RegisterMap,
  vector: VersionVector,
  forget: ReadonlyMap<string, BlockHash>,
): { kept: Map<BlockHash, Map<string, Clock>>; tombstones: Dot[] } | undefined {
  const kept = new Map<BlockHash, Map<string, Clock>>()
  const tombstones: Dot[] = []
  for (const [key, register] of registers.entries()) {
    if (!Array.isArray(register) && register.value === undefined && forget.get(key) === register.dot.hash) continue
    for (const write of Array.isArray(register) ? register : [register]) {
      if (write instanceof Ghost) return undefined
      const { dot, replaces, value } = write
      // What lies below the base cannot come again, so only the rest needs to be remembered as replaced.
      const open = replaces.length === 0 ? EMPTY_CLOCK : replaces.filter((each) => !lies(each, vector))
      const ofBlock = kept.get(dot.hash) ?? new Map<string, Clock>()
      kept.set(dot.hash, ofBlock.set(key, open))
      if (value === undefined) tombstones.push(dot)
    }
  }
  return { kept, tombstones }
}

/** Bases have no forks: sequences are enough. */
const lies = (dot: Dot, vector: VersionVector): boolean => coversDot(vector, dot, (a, b) => a.sequence <= b.sequence)
