import type { VersionVector } from '../crdt/clock.ts'
import type { NodeId } from '../ids.ts'
import type { Durability } from '../membership/record.ts'
import type { Progress } from '../sync/stored.ts'
import { hasReceipted } from './levels.ts'

/** One standby or member at one moment, as the holder sees it. */
export interface Look {
  readonly node: NodeId
  /** A host that reads something of the agent; else it does not belong into the set any more. */
  readonly standsBy: boolean
  readonly layers: readonly string[]
  /** It was heard of lately. */
  readonly isHere: boolean
  /** The agent's documents that it reads; undefined progress: what it has of it is not worked out yet. */
  readonly documents: readonly {
    readonly key: string
    readonly progress: Progress | undefined
  }[]
}

export interface SetView {
  readonly me: NodeId
  readonly members: readonly NodeId[]
  readonly durability: Durability
  readonly looks: readonly Look[]
  /** A member that leaves something unreceipted for so long leaves the set, if the agent may go on without it. */
  readonly leaveMs: number
  readonly nowMs: number
}

/** What lacked at a node when it was looked at: by documents, what was here. */
interface Mark {
  readonly vectors: ReadonlyMap<string, VersionVector>
  readonly atMs: number
}

interface Past {
  leaves: number
  leftAtMs: number
  /** Not taken back before. */
  notBeforeMs: number
}

/** A machine that comes and goes costs two records each time: it is taken back more and more slowly. */
const BACK_AFTER_MS = 2_000
const BACK_AFTER_MS_MAX = 600_000
const FORGIVEN_MS = 3_600_000
/** In an hour, of one agent: each is a record of a log that is bounded. Then the set stays small. */
const JOINS_MAX = 30

/**
 * The sync set of one agent as its holder changes it: by one member at a time. Whoever joins counts from the moment on
 * in which it is found to have all that is here, so that nothing is acknowledged past it while the record is signed;
 * whoever leaves counts until the record, and the register of a leased agent, say so (`counted.ts`).
 */
export class SyncSetWatch {
  readonly #marks = new Map<NodeId, Mark>()
  readonly #joining = new Map<NodeId, Mark>()
  readonly #past = new Map<NodeId, Past>()
  #joinedAtMs: number[] = []

  /** Counted already, though no record names them. */
  get joining(): readonly NodeId[] {
    return [...this.#joining.keys()]
  }

  /** The members of the next record; null while the set stays. Not called while the last record is not relied on yet. */
  next(view: SetView): readonly NodeId[] | null {
    const { members, me, looks, nowMs } = view
    for (const node of this.#joining.keys())
      if (members.includes(node) || !looks.some((look) => look.node === node && look.standsBy))
        this.#joining.delete(node)
    const late = this.#lateness(view)
    const gone = members.find((node) => node !== me && !looks.some((look) => look.node === node && look.standsBy))
    if (gone !== undefined) return members.filter((node) => node !== gone)
    const leaver = slowest(view, late)
    if (leaver !== undefined) {
      this.#leaves(leaver, nowMs)
      return members.filter((node) => node !== leaver)
    }
    for (const look of looks) {
      if (members.includes(look.node) || !look.standsBy || !this.#joins(look, view, late.get(look.node))) continue
      this.#joinedAtMs.push(nowMs)
      return [...members, look.node].toSorted()
    }
    return null
  }

  /** Since when each node lacks what was here then; 0 for one that lacks nothing. */
  #lateness({ looks, nowMs }: SetView): Map<NodeId, number> {
    const late = new Map<NodeId, number>()
    for (const look of looks) {
      let mark = this.#marks.get(look.node)
      if (mark !== undefined && isCovered(mark, look)) mark = undefined
      mark ??= markOf(look, nowMs)
      if (mark.vectors.size === 0) this.#marks.delete(look.node)
      else this.#marks.set(look.node, mark)
      late.set(look.node, mark.vectors.size === 0 ? 0 : nowMs - mark.atMs)
    }
    return late
  }

  #joins(look: Look, { nowMs, leaveMs }: SetView, lateMs = Number.POSITIVE_INFINITY): boolean {
    const begun = this.#joining.get(look.node)
    if (begun === undefined) {
      const isSettled = look.documents.every(({ progress }) => progress !== undefined)
      if (!look.isHere || !isSettled || lateMs >= leaveMs / 2) return false
      if (nowMs < (this.#past.get(look.node)?.notBeforeMs ?? Number.NEGATIVE_INFINITY)) return false
      this.#joinedAtMs = this.#joinedAtMs.filter((atMs) => nowMs - atMs < FORGIVEN_MS)
      if (this.#joinedAtMs.length >= JOINS_MAX) return false
      const mark = markOf(look, nowMs)
      this.#joining.set(look.node, mark)
      return mark.vectors.size === 0
    }
    // All that was acknowledged before it counted; what came later is acknowledged with its word alone.
    if (isCovered(begun, look)) return true
    if (nowMs - begun.atMs >= leaveMs) {
      this.#joining.delete(look.node)
      this.#leaves(look.node, nowMs)
    }
    return false
  }

  #leaves(node: NodeId, nowMs: number): void {
    const before = this.#past.get(node)
    const leaves = before === undefined || nowMs - before.leftAtMs > FORGIVEN_MS ? 1 : before.leaves + 1
    const waitMs = Math.min(BACK_AFTER_MS_MAX, BACK_AFTER_MS * 2 ** (leaves - 1))
    this.#past.set(node, { leaves, leftAtMs: nowMs, notBeforeMs: nowMs + waitMs })
  }
}

/** The first set of a term: that of the term before and its holder; where none was, the standbys that are there. */
export function firstSet(me: NodeId, before: readonly NodeId[] | null, looks: readonly Look[]): NodeId[] {
  const standbys = looks.filter(({ standsBy, isHere, node }) => standsBy && (before?.includes(node) ?? isHere))
  return [...new Set([me, ...standbys.map(({ node }) => node)])].toSorted()
}

/** The member that has lacked something for the longest, if that is too long and the agent may go on without it. */
function slowest({ members, me, durability, looks, leaveMs }: SetView, late: ReadonlyMap<NodeId, number>) {
  const others = looks.filter(({ node }) => node !== me && members.includes(node))
  const [worst] = others
    .filter(({ node }) => (late.get(node) ?? 0) >= leaveMs)
    .toSorted((a, b) => (late.get(b.node) ?? 0) - (late.get(a.node) ?? 0))
  if (worst === undefined) return undefined
  // A strict agent keeps somebody who has all that this one has.
  const isSpared = others.some(
    (other) => other !== worst && worst.layers.every((layer) => other.layers.includes(layer)),
  )
  return durability === 'available' || isSpared ? worst.node : undefined
}

function markOf(look: Look, atMs: number): Mark {
  const vectors = new Map<string, VersionVector>()
  for (const { key, progress } of look.documents)
    if (progress !== undefined && !hasReceipted(progress, progress.mine)) vectors.set(key, progress.mine)
  return { vectors, atMs }
}

/** A document that it reads no longer is nothing that it lacks. */
const isCovered = ({ vectors }: Mark, { documents }: Look): boolean =>
  documents.every(({ key, progress }) => {
    const target = vectors.get(key)
    return target === undefined || hasReceipted(progress, target)
  })
