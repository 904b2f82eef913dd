import type { BlockHash, IncarnationId, NodeId } from '../ids.ts'
import type { BaseTip } from './base.ts'
import type { Block, BlockHeader } from './block.ts'
import { type Dot, EMPTY_CLOCK, type IsAncestor, isAncestorBySequence, isSameDot } from './clock.ts'
import type { HybridTime } from './hybrid-time.ts'
import { HASH_BYTES, type Signature } from '../keys.ts'
import { HashRun } from './hash-run.ts'
import { Heard } from './heard.ts'
import type { Unsettled } from './unsettled.ts'
import type { Verdict } from './verdict.ts'

/** Consecutive blocks that name the same log and term and got one verdict: judging the two ends judges all. */
export interface Run {
  readonly verdict: Verdict
  readonly first: Judged
  last: Judged
}

/** What judging a block again needs of it. */
export interface Judged {
  readonly header: BlockHeader
  readonly hash: BlockHash
}

/** What folding a branch's next block depends on. A branch that splits off begins with its parent's, as of there. */
export interface BranchProgress {
  /** Last sequence that was judged, and folded or set aside. */
  settled: number
  /** What the author had received of other incarnations; changed in place. */
  heard: Heard
  /** What of it we have not settled; undefined when that is nothing. */
  unsettled: Unsettled | undefined
  /** Where the author's next text block has to begin, in Yjs's count. */
  textEnd: number
  /** The first block that is held or whose log is unknown; all after it wait with it. */
  heldFrom: Block | undefined
}

/** What a branch begins with: its first block, or the last one below the document's base. */
export interface Start {
  readonly author: NodeId
  readonly dot: Dot
  readonly time: HybridTime
}

/** Its objects, a tip and a run or two. */
const BRANCH_WEIGHT = 1_024

/** One unforked stretch of an incarnation's blocks: the whole incarnation, unless it has forked. */
export class Branch {
  readonly author: NodeId
  readonly incarnation: IncarnationId
  readonly parent: Branch | undefined
  start: number
  readonly hashes = new HashRun()
  readonly runs: Run[] = []
  readonly children: Branch[] = []
  /** Every `unsettled` of this branch that may still have something in it. */
  readonly unsettled: Unsettled[] = []
  /** The document's count of arrivals when `progress.unsettled` was last looked through. */
  filteredAt = 0
  progress: BranchProgress = {
    settled: 0,
    heard: new Heard(EMPTY_CLOCK),
    unsettled: undefined,
    textEnd: 0,
    heldFrom: undefined,
  }
  tip: Dot
  /** Of the last block. */
  time: HybridTime

  constructor(first: Start, parent: Branch | undefined) {
    const { author, dot, time } = first
    this.author = author
    this.incarnation = dot.incarnation
    this.start = dot.sequence
    this.parent = parent
    parent?.children.push(this)
    this.hashes.push(dot.hash)
    this.tip = dot
    this.time = time
  }

  get weight(): number {
    return BRANCH_WEIGHT + this.hashes.length * HASH_BYTES + this.progress.heard.length * 8
  }

  append(block: Block): void {
    this.hashes.push(block.hash)
    // The id that the first block brought, so that all entries share one string.
    this.tip = { incarnation: this.incarnation, sequence: block.header.sequence, hash: block.hash }
    this.time = block.header.time
  }

  /** Extends the last run, or begins one. */
  judged({ header, hash }: Block, verdict: Verdict): void {
    // Without what the author had received, which may be as long as the document has incarnations.
    const judged: Judged = { header: { ...header, floor: null, received: EMPTY_CLOCK }, hash }
    const run = this.runs.at(-1)
    if (run !== undefined && sameVerdict(run.verdict, verdict) && sameBasis(run.last.header, header)) run.last = judged
    else this.runs.push({ verdict, first: judged, last: judged })
  }

  /** A branch that splits off after this block begins as this one stands now. */
  passDown(sequence: number): void {
    for (const child of this.children)
      if (child.start === sequence + 1) child.progress = { ...this.progress, heard: this.progress.heard.copy() }
  }

  holds(sequence: number, hash: BlockHash): boolean {
    return sequence === this.tip.sequence ? this.tip.hash === hash : this.hashes.is(sequence - this.start, hash)
  }

  hashAt(sequence: number): BlockHash {
    return this.hashes.at(sequence - this.start)
  }

  /** The first sequence at which this branch shares its place with another. */
  forkedFrom(roots: number): number {
    if (this.parent !== undefined || roots > 1) return this.start
    return this.children.reduce((least, child) => Math.min(least, child.start), Number.POSITIVE_INFINITY)
  }
}

/** What judging looks at; the rest of the block is not kept in memory. */
export const headOf = ({ header, hash }: Judged): Block => ({
  header,
  hash,
  writes: [],
  signature: NOTHING as Signature,
  bytes: NOTHING,
})

const NOTHING = new Uint8Array()

export type Placed =
  | { readonly type: 'placed'; readonly branch: Branch }
  | { readonly type: 'duplicate' }
  /** Its predecessor is not here. */
  | { readonly type: 'early' }
  /** It follows a block of another author. */
  | { readonly type: 'refused' }

/** An incarnation's blocks in chain order: a tree of branches, nearly always of one. */
export class Chain {
  readonly incarnation: IncarnationId
  readonly branches: Branch[] = []
  /** All up to this sequence is here and on one branch, and no hash below it is known: the base (09-bases §1). */
  base: number
  /** The document's count of arrivals when this chain last grew. */
  grownAt = 0

  constructor(incarnation: IncarnationId, base?: BaseTip) {
    this.incarnation = incarnation
    this.base = base?.dot.sequence ?? 0
    if (base === undefined) return
    const branch = new Branch(base, undefined)
    branch.progress.settled = base.dot.sequence
    branch.progress.heard = new Heard(base.heard)
    branch.progress.textEnd = base.textEnd
    this.branches.push(branch)
  }

  get forked(): boolean {
    return this.branches.length > 1
  }

  get roots(): number {
    return this.branches.reduce((count, { parent }) => (parent === undefined ? count + 1 : count), 0)
  }

  /** A base has been drawn: of an incarnation that has not forked the hashes below it are let go. */
  stand(sequence: number): void {
    const only = this.branches[0]
    if (this.forked || only === undefined || sequence <= only.start || sequence > only.progress.settled) return
    only.hashes.drop(sequence - only.start)
    only.start = sequence
    this.base = sequence
  }

  place(block: Block): Placed {
    const { sequence, previous, author } = block.header
    const last = this.branches[0]
    if (!this.forked && last !== undefined && last.tip.hash === previous && last.tip.sequence === sequence - 1) {
      if (last.author !== author) return { type: 'refused' }
      last.append(block)
      return { type: 'placed', branch: last }
    }
    if (sequence <= this.base || this.find(sequence, block.hash) !== undefined) return { type: 'duplicate' }
    if (previous === null) return { type: 'placed', branch: this.#branchOff(block, undefined) }
    const before = this.find(sequence - 1, previous)
    if (before === undefined) return { type: 'early' }
    if (before.author !== author) return { type: 'refused' }
    if (before.tip.sequence !== sequence - 1) return { type: 'placed', branch: this.#branchOff(block, before) }
    before.append(block)
    return { type: 'placed', branch: before }
  }

  find(sequence: number, hash: BlockHash): Branch | undefined {
    return this.branches.find((branch) => branch.holds(sequence, hash))
  }

  /** By ancestry of hashes once the incarnation has forked: of a block that is not here, nothing but itself. */
  readonly isAncestor: IsAncestor = (a, b) => {
    if (!this.forked) return isAncestorBySequence(a, b)
    if (a.sequence >= b.sequence) return isSameDot(a, b)
    if (a.sequence < this.base) return b.sequence <= this.base || this.find(b.sequence, b.hash) !== undefined
    let branch = this.find(b.sequence, b.hash)
    while (branch !== undefined && branch.start > a.sequence) branch = branch.parent
    return branch?.holds(a.sequence, a.hash) ?? false
  }

  /** Whether we have judged this block and all before it. */
  hasSettled(dot: Dot): boolean {
    if (!this.forked) return (this.branches[0]?.progress.settled ?? 0) >= dot.sequence
    if (dot.sequence < this.base) return true
    const branch = this.find(dot.sequence, dot.hash)
    return branch !== undefined && branch.progress.settled >= dot.sequence
  }

  #branchOff(block: Block, parent: Branch | undefined): Branch {
    const { author, incarnation, sequence, time } = block.header
    const branch = new Branch({ author, dot: { incarnation, sequence, hash: block.hash }, time }, parent)
    this.branches.push(branch)
    return branch
  }
}

/** Whether judging either asks the log the same question, but for where they stand on their branch. */
const sameBasis = (a: BlockHeader, b: BlockHeader): boolean =>
  a.term?.assign === b.term?.assign &&
  a.term?.number === b.term?.number &&
  a.logHeads.length === b.logHeads.length &&
  a.logHeads.every((head, at) => head === b.logHeads[at])

export function sameVerdict(a: Verdict, b: Verdict): boolean {
  if (a.type === 'late') return b.type === 'late' && a.term === b.term
  if (a.type === 'void') return b.type === 'void' && a.reason === b.reason
  return a.type === b.type
}
