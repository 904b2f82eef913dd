import { compareText } from '../bytes.ts'
import type { BlockHash, IncarnationId, NodeId } from '../ids.ts'
import type { BaseTip } from './base.ts'
import type { Block } from './block.ts'
import { type Branch, Chain, type Placed } from './chain.ts'
import {
  type Clock,
  compareDots,
  type Dot,
  EMPTY_CLOCK,
  firstOf,
  type IsAncestor,
  isAncestorBySequence,
  isSameDot,
  joinClocks,
  type VersionVector,
} from './clock.ts'
import type { FloorPart } from './floor.ts'
import { Heard } from './heard.ts'
import type { HybridTime } from './hybrid-time.ts'
import { isSettled, joinFloors, type OpenFloor, type UnderFloor, Unsettled } from './unsettled.ts'

/** Two or more blocks at one place of an incarnation. The signatures are in the blocks that `sides` names. */
export interface Fork {
  readonly author: NodeId
  readonly incarnation: IncarnationId
  /** Where they part. */
  readonly sequence: number
  /** The first block of each side. */
  readonly sides: readonly Dot[]
}

/** Where an incarnation's next block stands. */
export interface Next {
  readonly sequence: number
  readonly previous: BlockHash | null
  /** Of the block before it: the next one's time lies after it. */
  readonly after: HybridTime | undefined
  /** What has come from others since it was said last; everything, in the first block. */
  readonly received: VersionVector
}

/** What this process has said of others' blocks in its own. */
interface Declared {
  /**
   * Those that have grown since the last block that we drafted and received: a write looks at these, not at all there
   * are. Undefined: all, since nothing was said.
   */
  grown: Set<Chain> | undefined
  /** What had no room in that block. */
  left: readonly Dot[]
  drafting: { readonly hash: BlockHash; readonly upTo: number; readonly left: readonly Dot[] } | undefined
}

/** A link of closed sets as the blocks here that name it need it: looked through once for all of them. */
interface KnownLink {
  open: Clock
  /** The document's count of arrivals then. */
  lookedAt: number
  /** Those of its incarnations that were not here, when so many were. */
  absent: Clock
  countedAt: number
}

interface KnownFloor extends OpenFloor {
  links: readonly KnownLink[]
}

/** Whoever has drawn a base has all that its set names, and sends that first: a packet's worth may still be on its way. */
const FLOOR_ABSENT_MAX = 1_024
/** Clocks of fewer entries than this are filtered every time: it costs less than to know whether it is worth it. */
const FILTER_ALWAYS_MAX = 16

/** All incarnations of a document: what has been received of each, and what of that is settled. */
export class Chains {
  readonly #byIncarnation = new Map<IncarnationId, Chain>()
  /** By incarnation. */
  readonly #sorted: Chain[] = []
  readonly #declared = new Map<IncarnationId, Declared>()
  /** Undefined: to be put together anew. */
  #vector: Dot[] | undefined = []
  /** Somebody holds the vector as it is: what changes it makes another one. */
  #isShown = false
  #arrivals = 0
  readonly #floors = new WeakMap<readonly Clock[], KnownFloor>()
  readonly #links = new WeakMap<Clock, KnownLink>()
  #forked = 0

  get vector(): VersionVector {
    this.#vector ??= this.#sorted.flatMap((chain) => tipsOf(chain))
    this.#isShown = true
    return this.#vector
  }

  /** Before anything is placed: all incarnations begin at their tips of a base. */
  stand(tips: readonly BaseTip[]): void {
    for (const tip of tips) this.#add(new Chain(tip.dot.incarnation, tip))
    this.#vector = undefined
    // What others wrote below the base is theirs to hear of, too.
    if (tips.length > 0) this.#arrivals = 1
    for (const chain of this.#sorted) chain.grownAt = this.#arrivals
  }

  /** About how many bytes of memory they take: nearly all are the hashes of blocks. */
  get weight(): number {
    return this.#sorted.reduce((sum, { branches }) => sum + branches.reduce((of, each) => of + each.weight, 0), 0)
  }

  /** A base has been drawn below what is here. */
  trim(tips: readonly BaseTip[]): void {
    for (const { dot } of tips) this.#byIncarnation.get(dot.incarnation)?.stand(dot.sequence)
  }

  /** Incarnations of one branch, and how far their blocks have been judged. */
  *unforked(): Iterable<Branch> {
    for (const chain of this.#sorted) if (!chain.forked) yield chain.branches[0]!
  }

  /** The only branch of an incarnation that has a base. */
  standing(incarnation: IncarnationId): Branch | undefined {
    const chain = this.#byIncarnation.get(incarnation)
    return chain !== undefined && chain.base > 0 ? chain.branches[0] : undefined
  }

  place(block: Block): Exclude<Placed, { type: 'placed' }> | { type: 'placed'; branch: Branch; chain: Chain } {
    const { incarnation } = block.header
    const known = this.#byIncarnation.get(incarnation)
    const chain = known ?? new Chain(incarnation)
    const wasForked = chain.forked
    const placed = chain.place(block)
    if (placed.type !== 'placed') return placed
    if (known === undefined) this.#add(chain)
    if (chain.forked && !wasForked) this.#forked += 1
    this.#advance(chain, known === undefined)
    this.#arrivals += 1
    chain.grownAt = this.#arrivals
    for (const { grown } of this.#declared.values()) grown?.add(chain)
    const declared = this.#declared.get(incarnation)
    if (declared !== undefined) this.#confirm(incarnation, declared, block.hash)
    return { type: 'placed', branch: placed.branch, chain }
  }

  /** Of two dots of one incarnation. */
  readonly isAncestor: IsAncestor = (a, b) => {
    if (this.#forked === 0) return isAncestorBySequence(a, b)
    return (this.#byIncarnation.get(a.incarnation)?.isAncestor ?? isAncestorBySequence)(a, b)
  }

  hasSettled(dot: Dot): boolean {
    return this.#byIncarnation.get(dot.incarnation)?.hasSettled(dot) ?? false
  }

  /** Of an incarnation that has not forked. */
  textEndOf(incarnation: IncarnationId): number {
    return this.#byIncarnation.get(incarnation)?.branches[0]?.progress.textEnd ?? 0
  }

  rootsOf(incarnation: IncarnationId): number {
    return this.#byIncarnation.get(incarnation)?.roots ?? 0
  }

  *branches(): Iterable<Branch> {
    for (const chain of this.#sorted) yield* chain.branches
  }

  forks(): Fork[] {
    return this.#forked === 0 ? [] : this.#sorted.filter((chain) => chain.forked).flatMap((chain) => forksOf(chain))
  }

  /**
   * Takes note of what the author had received when it made the block that `branch` has just settled: `received` and
   * all that its earlier blocks said; `floor` is the part of a closed set that its first block names. Gives what of it
   * is not settled here, for the block's writes to keep; undefined in the usual case of nothing.
   */
  follow(branch: Branch, received: Clock, floor?: FloorPart): Unsettled | undefined {
    const { progress } = branch
    const before = progress.unsettled
    const saysNothing = received.length === 0 && floor === undefined
    if (before === undefined && saysNothing) return undefined
    if (floor !== undefined) progress.heard = new Heard(received.map(this.#shared), floor)
    else progress.heard.hear(received, this.#shared, this.isAncestor)
    // A long list shrinks only as others' blocks arrive, so it is looked through once for as many arrivals.
    if (before !== undefined && saysNothing && before.open.length > FILTER_ALWAYS_MAX) {
      if (this.#arrivals - branch.filteredAt < before.open.length) return before
    }
    branch.filteredAt = this.#arrivals
    const said = joinClocks(before?.open ?? EMPTY_CLOCK, received, this.isAncestor)
    const open = said.filter((dot) => !this.hasSettled(dot))
    const floors = this.#stillOpen(before?.floors ?? [], floor, received)
    if (open.length + floors.length === 0) {
      // What an author said only grows, so nothing that it said earlier is open either.
      for (const earlier of branch.unsettled) earlier.clear()
      branch.unsettled.length = 0
      progress.unsettled = undefined
      return undefined
    }
    if (before !== undefined && saysNothing && before.open.length === open.length) {
      before.floors = floors
      return before
    }
    const unsettled = new Unsettled(open, floors)
    branch.unsettled.push(unsettled)
    progress.unsettled = unsettled
    return unsettled
  }

  /** Whether a closed set names many incarnations that are not here at all: what stands on it can wait for them. */
  isFarFrom(parts: readonly Clock[]): boolean {
    const known = parts.map((entries) => this.#linkOf(entries))
    const here = this.#byIncarnation.size
    // No more can have come than are here more.
    const isFar = (absentIn: (each: KnownLink) => number): boolean =>
      known.reduce((sum, each) => sum + absentIn(each), 0) > FLOOR_ABSENT_MAX
    if (isFar(({ absent, countedAt }) => Math.max(0, absent.length - (here - countedAt)))) return true
    for (const each of known) {
      if (each.countedAt !== here)
        each.absent = each.absent.filter(({ incarnation }) => !this.#byIncarnation.has(incarnation))
      each.countedAt = here
    }
    return isFar(({ absent }) => absent.length)
  }

  nextOf(incarnation: IncarnationId): Next {
    const branch = this.#byIncarnation.get(incarnation)?.branches[0]
    const { grown, left = EMPTY_CLOCK } = this.#declared.get(incarnation) ?? {}
    // Of a run that this process has read back, the blocks say what was said.
    const isUnsaid = (chain: Chain) =>
      branch === undefined || !chain.branches.every(({ tip }) => branch.progress.heard.covers(tip, this.isAncestor))
    const others = (grown === undefined ? this.#sorted.filter(isUnsaid) : [...grown].sort(byIncarnation)).filter(
      (chain) => chain.incarnation !== incarnation,
    )
    const anew = new Set(others.map((chain) => chain.incarnation))
    const again = left.filter((dot) => !anew.has(dot.incarnation))
    const tips = others.length === 0 ? EMPTY_CLOCK : others.flatMap((chain) => tipsOf(chain))
    return {
      sequence: (branch?.tip.sequence ?? 0) + 1,
      previous: branch?.tip.hash ?? null,
      after: branch?.time,
      received: again.length === 0 ? tips : tips.length === 0 ? again : [...tips, ...again].sort(compareDots),
    }
  }

  /** `left`: what the block has not room to say. */
  drafted({ header, hash }: Block, left: readonly Dot[]): void {
    const declared = this.#declared.get(header.incarnation)
    const drafting = { hash, upTo: this.#arrivals, left }
    if (declared === undefined)
      this.#declared.set(header.incarnation, { grown: undefined, left: EMPTY_CLOCK, drafting })
    else declared.drafting = drafting
  }

  /** A block that we did not draft says that somebody else writes under this incarnation: say everything again. */
  #confirm(incarnation: IncarnationId, declared: Declared, hash: BlockHash): void {
    if (declared.drafting?.hash === hash) {
      const { upTo, left } = declared.drafting
      const since = [...(declared.grown ?? this.#sorted)].filter((chain) => chain.grownAt > upTo)
      declared.left = left
      declared.grown = new Set(since)
    } else this.#declared.delete(incarnation)
  }

  /** Keeps the vector: one with as many entries as there are incarnations is not made anew for each block. */
  #advance(chain: Chain, isNew: boolean): void {
    const only = chain.branches[0]
    if (this.#vector === undefined || chain.forked || only === undefined) {
      this.#vector = undefined
      return
    }
    if (this.#isShown) this.#vector = this.#vector.slice()
    this.#isShown = false
    this.#vector.splice(firstOf(this.#vector, chain.incarnation), isNew ? 0 : 1, only.tip)
  }

  /** Nearly always the tip as we have it too: one object for all who name it. */
  readonly #shared = (dot: Dot): Dot => {
    const tip = this.#byIncarnation.get(dot.incarnation)?.branches[0]?.tip
    return tip !== undefined && isSameDot(tip, dot) ? tip : dot
  }

  /** Parts of closed sets of which something is open, one for a set. */
  #stillOpen(before: readonly UnderFloor[], floor: FloorPart | undefined, except: Clock): readonly UnderFloor[] {
    if (before.length === 0 && floor === undefined) return before
    const named = floor && { set: this.#floorOf(floor.parts), upTo: floor.upTo, except }
    const all = named === undefined ? before : joinFloors(before, [named])
    for (const { set } of all) this.#lookThrough(set as KnownFloor)
    return all.every(({ set }) => !isSettled(set)) ? all : all.filter(({ set }) => !isSettled(set))
  }

  /** As above: a link once for as many arrivals as are open of it, however many blocks name it. */
  #lookThrough(set: KnownFloor): void {
    for (const link of set.links) {
      const since = this.#arrivals - link.lookedAt
      if (since < Math.max(link.open.length, FILTER_ALWAYS_MAX)) continue
      link.open = link.open.filter((dot) => !this.hasSettled(dot))
      link.lookedAt = this.#arrivals
    }
    if (set.links.some(({ open }) => open.length === 0)) set.links = set.links.filter(({ open }) => open.length > 0)
  }

  #floorOf(parts: readonly Clock[]): KnownFloor {
    const known = this.#floors.get(parts) ?? { links: parts.map((entries) => this.#linkOf(entries)) }
    this.#floors.set(parts, known)
    return known
  }

  #linkOf(entries: Clock): KnownLink {
    const known = this.#links.get(entries) ?? {
      open: entries,
      lookedAt: Number.NEGATIVE_INFINITY,
      absent: entries,
      countedAt: Number.NEGATIVE_INFINITY,
    }
    this.#links.set(entries, known)
    return known
  }

  #add(chain: Chain): void {
    this.#byIncarnation.set(chain.incarnation, chain)
    let [low, high] = [0, this.#sorted.length]
    while (low < high) {
      const middle = (low + high) >> 1
      if (byIncarnation(this.#sorted[middle]!, chain) < 0) low = middle + 1
      else high = middle
    }
    this.#sorted.splice(low, 0, chain)
  }
}

const byIncarnation = (a: Chain, b: Chain): number => compareText(a.incarnation, b.incarnation)

const tipsOf = (chain: Chain): Dot[] =>
  chain.branches.length === 1 ? [chain.branches[0]!.tip] : chain.branches.map((branch) => branch.tip).sort(compareDots)

function forksOf({ incarnation, branches }: Chain): Fork[] {
  const forks = new Map<string, { author: NodeId; sequence: number; sides: Dot[] }>()
  for (const { author, parent, start: sequence, hashes } of branches) {
    const place = `${parent === undefined ? '' : branches.indexOf(parent)}/${sequence}`
    const fork = forks.get(place) ?? { author, sequence, sides: [] }
    if (fork.sides.length === 0 && parent !== undefined)
      fork.sides.push({ incarnation, sequence, hash: parent.hashAt(sequence) })
    fork.sides.push({ incarnation, sequence, hash: hashes.at(0) })
    forks.set(place, fork)
  }
  return [...forks.values()].filter(({ sides }) => sides.length > 1).map((fork) => ({ incarnation, ...fork }))
}
