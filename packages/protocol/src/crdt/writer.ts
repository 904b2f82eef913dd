import type { BlockHash, IncarnationId, MeshId, NodeId, RecordHash } from '../ids.ts'
import type { Secret } from '../keys.ts'
import type { Sodium } from '../sodium.ts'
import type { Block, TermRef, Write } from './block.ts'
import { signBlock } from './block-codec.ts'
import { type Clock, type Dot, entriesOf, type IsAncestor, joinClocks } from './clock.ts'
import type { Document } from './document.ts'
import { CLOCK_ENTRIES_MAX } from '../limits.ts'
import { atMost, overFloor } from './floor.ts'
import { compareTimes, type HybridClock, type HybridTime, timeAfter } from './hybrid-time.ts'
import type { StoredWrite } from './register.ts'
import { clockOver } from './register-map.ts'

/**
 * What a caller wants written. A set or delete replaces what its caller saw: the winner unless `seen` names blocks,
 * and with 'all' every sibling, which is how a conflict is settled. The node's own earlier writes and all tombstones
 * go with it in any case.
 */
export type Intent =
  | ({ readonly type: 'set'; readonly key: string; readonly value: string } & Over)
  | ({ readonly type: 'delete'; readonly key: string } & Over)
  | { readonly type: 'text'; readonly update: Uint8Array }

interface Over {
  readonly seen?: Seen
  /**
   * Blocks that were set aside and whose words this write carries over by choice. Its clock covers them, so that every
   * replica can tell that they are dealt with, and so that they win nothing should they ever count.
   */
  readonly merges?: readonly { readonly dot: Dot; readonly time: HybridTime }[]
}

/** What one block writes out of what its author had received, 58 KB: beside it the largest value still fits. */
export const RECEIVED_ENTRIES_MAX = 1_024

const NONE: NonNullable<Over['merges']> = []

export type Seen = readonly BlockHash[] | 'all'

export interface BlockAuthor {
  readonly mesh: MeshId
  readonly node: NodeId
  readonly incarnation: IncarnationId
  readonly signKey: Secret<'sign'>
}

export interface WriterWorld {
  readonly clock: HybridClock
  readonly nowMs: number
  readonly logHeads: readonly RecordHash[]
  readonly term: TermRef | null
}

/**
 * The next block of this incarnation, signed. One intent for each key, or a single text. It counts when the document
 * has received it; draft the one after it only then.
 */
export function draftBlock(
  document: Document,
  author: BlockAuthor,
  intents: readonly Intent[],
  world: WriterWorld,
  sodium: Sodium,
): Block {
  const { node, incarnation } = author
  const { sequence, previous, after, received: all } = document.nextOf(incarnation)
  // Later blocks say what is new, which no closed set names.
  const unsaid = sequence === 1 ? overFloor(all, document.floors) : { floor: null, rest: all }
  const { floor, rest: received } = atMost(unsaid, all, document.floors, RECEIVED_ENTRIES_MAX)
  const { isAncestor } = document
  let latest = after
  const writes = intents.map((intent): Write => {
    if (intent.type === 'text') return intent
    const replaced = replacedBy(document.stored(intent.key), intent.seen, node)
    for (const { time } of replaced) latest = laterOf(latest, time)
    let over = clockOver(replaced, incarnation, isAncestor)
    for (const { dot, time } of intent.merges ?? NONE) {
      latest = laterOf(latest, time)
      if (dot.incarnation !== incarnation) over = joinClocks(over, [dot], isAncestor)
    }
    const replaces = withinLimit(over, [...(intent.merges ?? NONE), ...replaced], isAncestor)
    return intent.type === 'set'
      ? { type: 'set', key: intent.key, value: intent.value.toWellFormed(), replaces }
      : { type: 'delete', key: intent.key, replaces }
  })
  const { mesh, signKey } = author
  const { logHeads, term } = world
  const time = timeBeyond(latest, world)
  const header = { mesh, document: document.name, author: node, incarnation, sequence, previous, time }
  const block = signBlock({ ...header, logHeads, floor, received, term, writes }, signKey, sodium)
  document.drafted(block, received === unsaid.rest ? [] : leftOf(floor === null ? all : unsaid.rest, received))
  return block
}

/**
 * Of a clock that is too long, what it is made over comes first. What that had replaced stays replaced for all that:
 * whoever folds the write takes over its clock. Else whoever names 1,024 blocks in a write could never be overwritten.
 */
function withinLimit(clock: Clock, over: readonly { readonly dot: Dot }[], isAncestor: IsAncestor): Clock {
  if (clock.length <= CLOCK_ENTRIES_MAX) return clock
  const first = new Set<Dot>()
  for (const { dot } of over)
    for (const entry of entriesOf(clock, dot.incarnation)) if (isAncestor(dot, entry)) first.add(entry)
  for (const entry of clock) first.add(entry)
  const kept = new Set([...first].slice(0, CLOCK_ENTRIES_MAX))
  return clock.filter((entry) => kept.has(entry))
}

/** What later blocks have to say. */
function leftOf(all: Clock, said: Clock): Dot[] {
  const known = new Set(said)
  return all.filter((dot) => !known.has(dot))
}

function replacedBy(stored: readonly StoredWrite[], seen: Seen | undefined, node: NodeId): readonly StoredWrite[] {
  // A lone write is by far the usual case, and costs no second array.
  if (stored.length === 1 && isReplaced(stored[0]!, 0, seen, node)) return stored
  return stored.filter((write, at) => isReplaced(write, at, seen, node))
}

function isReplaced(write: StoredWrite, at: number, seen: Seen | undefined, node: NodeId): boolean {
  if (write.value === undefined || write.author === node || seen === 'all') return true
  return seen === undefined ? at === 0 : seen.includes(write.dot.hash)
}

const laterOf = (a: HybridTime | undefined, b: HybridTime): HybridTime =>
  a === undefined || compareTimes(b, a) > 0 ? b : a

function timeBeyond(latest: HybridTime | undefined, { clock, nowMs }: WriterWorld): HybridTime {
  if (latest !== undefined) clock.observe(latest, nowMs)
  const time = clock.tick(nowMs)
  // The clock does not follow one that is minutes ahead, but a write may never look older than what it replaces.
  return latest === undefined || compareTimes(time, latest) > 0 ? time : timeAfter(latest)
}
