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
import type { HybridTime } from './hybrid-time.ts'
import type { Unsettled } from './register.ts'

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
  /** What has come from others since then; everything, in the first block that this process drafts. */
  readonly received: VersionVector
}

/** What this process has said of others' blocks in its own. */
interface Declared {
  /** The arrivals that the last block we drafted and received covers. */
  upTo: number
  drafting: { readonly hash: BlockHash; readonly upTo: number } | undefined
}

/** Clocks of fewer entries than this are filtered every time: it costs less than to know whether it is worth it. */
const FILTER_ALWAYS_MAX = 16

/** All incarnations of a document: what has been received of each, and what of that is settled. */
export class Chains {
  readonly #byIncarnation = new Map<IncarnationId, Chain>()
  /** By incarnation. */
  readonly #sorted: Chain[] = []
  readonly #declared = new Map<IncarnationId, Declared>()
  #vector: VersionVector | undefined = EMPTY_CLOCK
  #arrivals = 0
  #forked = 0

  get vector(): VersionVector {
    this.#vector ??= this.#sorted.flatMap((chain) => tipsOf(chain))
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
    this.#vector = undefined
    this.#arrivals += 1
    chain.grownAt = this.#arrivals
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
   * all that its earlier blocks said. Gives what of it is not settled here, for the block's writes to keep; undefined
   * in the usual case of nothing.
   */
  follow(branch: Branch, received: Clock): Unsettled | undefined {
    const { progress } = branch
    const before = progress.unsettled
    if (before === undefined && received.length === 0) return undefined
    for (const dot of received) this.#hear(progress.heard, dot)
    // A long list shrinks only as others' blocks arrive, so it is looked through once for as many arrivals.
    if (before !== undefined && received.length === 0 && before.open.length > FILTER_ALWAYS_MAX) {
      if (this.#arrivals - branch.filteredAt < before.open.length) return before
    }
    branch.filteredAt = this.#arrivals
    const all = joinClocks(before?.open ?? EMPTY_CLOCK, received, this.isAncestor)
    const open = all.filter((dot) => !this.hasSettled(dot))
    if (open.length === 0) {
      // What an author said only grows, so nothing that it said earlier is open either.
      for (const earlier of branch.unsettled) earlier.open = EMPTY_CLOCK
      branch.unsettled.length = 0
      progress.unsettled = undefined
      return undefined
    }
    if (before !== undefined && received.length === 0 && before.open.length === open.length) return before
    const unsettled = { open }
    branch.unsettled.push(unsettled)
    progress.unsettled = unsettled
    return unsettled
  }

  nextOf(incarnation: IncarnationId): Next {
    const branch = this.#byIncarnation.get(incarnation)?.branches[0]
    const upTo = this.#declared.get(incarnation)?.upTo ?? 0
    const others = this.#sorted.filter((chain) => chain.incarnation !== incarnation && chain.grownAt > upTo)
    return {
      sequence: (branch?.tip.sequence ?? 0) + 1,
      previous: branch?.tip.hash ?? null,
      after: branch?.time,
      received: others.length === 0 ? EMPTY_CLOCK : others.flatMap((chain) => tipsOf(chain)),
    }
  }

  drafted({ header, hash }: Block): void {
    const declared = this.#declared.get(header.incarnation)
    const drafting = { hash, upTo: this.#arrivals }
    if (declared === undefined) this.#declared.set(header.incarnation, { upTo: 0, drafting })
    else declared.drafting = drafting
  }

  /** A block that we did not draft says that somebody else writes under this incarnation: say everything again. */
  #confirm(incarnation: IncarnationId, declared: Declared, hash: BlockHash): void {
    if (declared.drafting?.hash === hash) declared.upTo = declared.drafting.upTo
    else this.#declared.delete(incarnation)
  }

  #hear(heard: Dot[], dot: Dot): void {
    const first = firstOf(heard, dot.incarnation)
    let end = first
    for (; heard[end]?.incarnation === dot.incarnation; end++) if (this.isAncestor(dot, heard[end]!)) return
    const tip = this.#byIncarnation.get(dot.incarnation)?.branches[0]?.tip
    // Nearly always the tip as we have it too: one object for all who name it.
    const shared = tip !== undefined && isSameDot(tip, dot) ? tip : dot
    if (end === first + 1 && this.isAncestor(heard[first]!, dot)) heard[first] = shared
    else {
      const others = heard.slice(first, end).filter((other) => !this.isAncestor(other, dot))
      heard.splice(first, end - first, ...[...others, shared].sort(compareDots))
    }
  }

  #add(chain: Chain): void {
    this.#byIncarnation.set(chain.incarnation, chain)
    let at = this.#sorted.length
    while (at > 0 && compareText(this.#sorted[at - 1]!.incarnation, chain.incarnation) > 0) at--
    this.#sorted.splice(at, 0, chain)
  }
}

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
