import type * as Y from 'yjs'
import type { BlockHash, IncarnationId } from '../ids.ts'
import type { Sodium } from '../sodium.ts'
import { type BaseState, type BaseTip, heardBeyond, keptOf, type Remains } from './base.ts'
import { causalOrder } from './causal-order.ts'
import { type Branch, type Chain, headOf, type Judged, sameVerdict } from './chain.ts'
import { Chains } from './chains.ts'
import { coversDot, type Dot, EMPTY_CLOCK, type IsAncestor, type VersionVector } from './clock.ts'
import { type Block, type DocumentName, dotOf, isDue, isText } from './block.ts'
import { digestOfContent } from './digest.ts'
import { EarlyBlocks } from './early-blocks.ts'
import { type Floors, NO_FLOORS, partUnder, sharingDots, unfitFloor } from './floor.ts'
import { NOTHING_HEARD } from './heard.ts'
import type { PrunedBlock } from './pruned.ts'
import { type AsideBlock, type Change, changeOf, type Counts, type ReceiveOutcome } from './outcome.ts'
import { type Entry, isConflicted, StoredWrite, winnerOf } from './register.ts'
import { Unsettled } from './unsettled.ts'
import { RegisterMap } from './register-map.ts'
import { lastOf } from './steps.ts'
import { type TextRun, wordsOf } from './text-run.ts'
import { type RestoredTexts, Texts, type TextSettled } from './texts.ts'
import type { Covers, Judge, Verdict } from './verdict.ts'

export type { Fork } from './chains.ts'
export type { AsideBlock, Change, Counts, ReceiveOutcome } from './outcome.ts'
export type { Entry } from './register.ts'

/**
 * One document in memory: registers and texts folded from its blocks (docs/spec/03-blocks.md §7, §8).
 * 1. The state is a function of (blocks received, judge, time): the same whatever their order and grouping.
 * 2. What cannot be applied block by block asks for a rebuild instead: a fork, a verdict that changes, a held block
 *    that is due.
 * 3. Within an incarnation blocks count in chain order; between incarnations registers need no order.
 */
export class Document {
  readonly name: DocumentName
  /** Its closed sets. A block under one that is not known has to wait. */
  readonly floors: Floors
  readonly #sodium: Sodium
  readonly #chains = new Chains()
  readonly #early = new EarlyBlocks()
  readonly #registers = new RegisterMap(this.#chains.isAncestor)
  readonly #texts = new Texts()
  readonly #aside: AsideBlock[] = []
  readonly #covers: Covers = (vector, block) => coversDot(vector, dotOf(block), this.#chains.isAncestor)
  #received = 0
  #folded = 0
  #late = 0
  /** Invariant 2: only a rebuild makes it right again. */
  #stale = false
  #damaged = false
  /** The one that every verdict so far comes from, while it is a single one. */
  #judge: Judge | undefined
  #digest: Uint8Array | undefined
  /** The update of an edit that is in the text already, and whose block is still to be received. */
  #edited: Uint8Array | undefined

  constructor(name: DocumentName, sodium: Sodium, floors: Floors = NO_FLOORS) {
    this.name = name
    this.floors = floors
    this.#sodium = sodium
  }

  /**
   * Pure: the same blocks, judge and time give the same document, and so does a base in the place of those at and
   * below it (docs/spec/09-bases.md §2).
   */
  static rebuild(...what: Parameters<typeof Document.rebuilding>): Document {
    return lastOf(Document.rebuilding(...what))
  }

  /** The same in steps of at most `REBUILT_PER_STEP` blocks, whoever takes them: the judge is that of the first. */
  static *rebuilding(
    name: DocumentName,
    blocks: Iterable<Block>,
    judge: Judge,
    nowMs: number,
    sodium: Sodium,
    base: BaseState = NO_BASE,
    floors: Floors = NO_FLOORS,
  ): Generator<void, Document> {
    const document = new Document(name, sodium, floors)
    document.#judge = judge
    document.#chains.stand(sharingDots(base.tips, floors))
    const runs = new Map(base.runs.map((run) => [run.end.hash, run]))
    const below = causalOrder([...base.blocks, ...base.runs.map(({ end }) => end)])
    for (const { dot } of base.tips) document.#received += dot.sequence
    // All of them counted. Those that are left are judged and counted again.
    document.#folded = document.#received - below.length
    // First all chains, so that forks are known before the first clock is compared.
    const arrived: { block: Block; branch: Branch }[] = []
    for (const [at, block] of causalOrder(blocks).entries()) {
      document.#place(block, (each, branch) => arrived.push({ block: each, branch }))
      if (at % REBUILT_PER_STEP === 0) yield
    }
    document.#texts.claimAll(
      base.runs,
      arrived.map(({ block }) => block),
    )
    document.#texts.yDoc.transact(() => {
      const texts: RestoredTexts = { runs: [], out: [] }
      for (const block of below) document.#restore(block, runs.get(block.hash), judge, texts)
      if (base.isComing !== true) document.#restoreTexts(texts)
    })
    for (let at = 0; at < arrived.length; at += REBUILT_PER_STEP) {
      yield
      document.#texts.yDoc.transact(() => {
        for (const { block, branch } of arrived.slice(at, at + REBUILT_PER_STEP))
          document.#settle(block, branch, judge, nowMs, [])
      })
    }
    document.#stale = false
    return document
  }

  /** Any block, in any order, any number of times. The caller has verified its signature. */
  receive(block: Block, judge: Judge, nowMs: number): ReceiveOutcome {
    if (judge !== this.#judge) this.#judge = this.#received === 0 ? judge : undefined
    const changes: Change[] = []
    const arrived: Block[] = []
    let type = 'held' as ReceiveOutcome['type']
    const placed = this.#place(block, (each, branch, chain) => {
      arrived.push(each)
      // Ancestry decides in a forked incarnation, and what it says changes with every block.
      if (chain.forked) this.#stale = true
      else if (each === block) type = this.#settle(each, branch, judge, nowMs, changes)
      else this.#settle(each, branch, judge, nowMs, changes)
    })
    if (arrived.length > 0) this.#digest = undefined
    if (this.#edited !== undefined && isText(block, this.#edited)) {
      if (type !== 'folded') this.#stale = true
      this.#edited = undefined
    }
    return { type: placed === 'placed' ? type : placed, rebuild: this.#stale, changes, arrived }
  }

  /** Whether a changed log alters any verdict, or a held block is due: then the caller rebuilds. */
  needsRebuild(judge: Judge, nowMs: number): boolean {
    if (this.#stale) return true
    for (const { progress } of this.#chains.branches()) {
      const held = progress.heldFrom
      if (held !== undefined && isDue(held, nowMs) && judge(held, this.#covers).type !== 'unknown') return true
    }
    if (judge === this.#judge) return false
    for (const { runs } of this.#chains.branches()) {
      for (const { verdict, first, last } of runs) {
        if (!sameVerdict(judge(headOf(first), this.#covers), verdict)) return true
        if (last !== first && !sameVerdict(judge(headOf(last), this.#covers), verdict)) return true
      }
    }
    this.#judge = judge
    return false
  }

  /** Whether a block names a closed set most of which has not come yet: it can be had again once that is here. */
  isFarFrom({ header: { floor } }: Block): boolean {
    const parts = floor === null ? undefined : this.floors.parts(floor.digest)
    return parts !== undefined && this.#chains.isFarFrom(parts)
  }

  /** The winner, tombstones included; undefined when nothing was ever written. */
  read(key: string): Entry | undefined {
    return this.#registers.read(key)
  }

  /** Every write that no other one replaces, the winner first. */
  siblings(key: string): Entry[] {
    return this.stored(key)
  }

  /** The same with their clocks: for `draftBlock`. */
  stored(key: string): StoredWrite[] {
    return this.#registers.writes(key)
  }

  /** Of registers whose winner is a value. */
  *keys(): Iterable<string> {
    for (const [key, register] of this.#registers.entries()) if (winnerOf(register)?.value !== undefined) yield key
  }

  /** Registers that hold several values: without looking at any. */
  get conflicts(): number {
    return this.#registers.conflicted
  }

  *conflicted(): Iterable<string> {
    for (const [key, register] of this.#registers.entries()) if (isConflicted(register)) yield key
  }

  textNames(): string[] {
    return this.#texts.names()
  }

  text(name: string): string | undefined {
    return this.#texts.read(name)
  }

  /** Where the incarnation's next text block has to begin, in Yjs's count. */
  textEndOf(incarnation: IncarnationId): number {
    return this.#chains.textEndOf(incarnation)
  }

  /** What it was rebuilt from does not fit together. */
  get isDamaged(): boolean {
    return this.#damaged
  }

  /** To read and observe. Only `editText` may change it. */
  get yDoc(): Y.Doc {
    return this.#texts.yDoc
  }

  /** What has been received in chain order: folded, set aside or held. */
  get vector(): VersionVector {
    return this.#chains.vector
  }

  aside(): AsideBlock[] {
    return [...this.#aside]
  }

  /** Blocks received that count later; cheaper than `counts`. */
  get held(): number {
    return this.#received - this.#folded - this.#aside.length
  }

  /** Blocks that came before what they follow: not received yet. */
  get early(): number {
    return this.#early.count
  }

  /** The first block of each branch that counts later. What a text waits for is not among them. */
  heldFrom(): Judged[] {
    return [...this.#chains.branches()].flatMap(({ progress }) => progress.heldFrom ?? [])
  }

  forks(): ReturnType<Chains['forks']> {
    return this.#chains.forks()
  }

  digest(): Uint8Array {
    this.#digest ??= digestOfContent(this.#registers, this.#texts, this.#sodium)
    return this.#digest
  }

  counts(): Counts {
    const { live: registers, conflicted: conflicts } = this.#registers
    const aside = this.#aside.length - this.#late
    const held = this.#received - this.#folded - this.#aside.length
    const texts = this.#texts.names().length
    const [received, folded, late] = [this.#received, this.#folded, this.#late]
    return { received, folded, late, aside, held, registers, texts, conflicts }
  }

  /** About how many bytes of memory it takes. */
  get weight(): number {
    return this.#registers.weight + this.#chains.weight + this.#texts.weight
  }

  /** How far each incarnation may be compacted: all of it counts, nothing of it waits, and it has not forked. */
  compactable(): Map<IncarnationId, number> {
    const ends = new Map<IncarnationId, number>()
    for (const { incarnation, progress } of this.#chains.unforked()) ends.set(incarnation, progress.settled)
    for (const { header } of [...this.#texts.waiting(), ...this.#aside.map(({ block }) => block)]) {
      const end = ends.get(header.incarnation)
      if (end !== undefined && end >= header.sequence) ends.set(header.incarnation, header.sequence - 1)
    }
    return ends
  }

  /**
   * Tombstones that stand alone and that all `receipts` cover, by key, once everything that these cover is settled
   * here (DESIGN.md §7). `receipts`: the last one of every other reader and writer.
   */
  forgettable(receipts: readonly VersionVector[]): Map<string, BlockHash> {
    const { isAncestor } = this.#chains
    if (!receipts.every((vector) => vector.every((dot) => this.#chains.hasSettled(dot)))) return new Map()
    // What counts for nothing may yet come to count, and a tombstone would stand beside it.
    const aside = new Set(this.#aside.flatMap(({ block }) => block.writes.map((each) => 'key' in each && each.key)))
    return this.#registers.lone(
      ({ dot }, key) => !aside.has(key) && receipts.every((vector) => coversDot(vector, dot, isAncestor)),
    )
  }

  /** Of a document that holds the blocks at and below a base and no others: what the base has to keep. See `keptOf`. */
  remains(forget: ReadonlyMap<string, BlockHash>, aside: ReadonlyMap<string, readonly Dot[]>): Remains | undefined {
    const isWhole = this.#folded === this.#received && this.forks().length === 0
    if (this.#stale || this.#damaged || !isWhole) return undefined
    const left = keptOf(this.#registers, this.vector, forget, aside)
    if (left === undefined) return undefined
    const heard = heardBeyond((dot) => this.#chains.hasSettled(dot), left.tombstones)
    const tips = [...this.#chains.unforked()].map(({ tip, author, time, progress }): BaseTip => {
      return { dot: tip, author, time, heard: heard(progress.heard), textEnd: progress.textEnd }
    })
    for (const { dot } of tips) if (!left.kept.has(dot.hash)) left.kept.set(dot.hash, new Map())
    return { tips, kept: left.kept }
  }

  /** A base has been drawn and is durable: what is known of blocks below it is let go. */
  stand(tips: readonly BaseTip[], forgotten: ReadonlyMap<string, BlockHash>): void {
    this.#chains.trim(tips)
    for (const [key, hash] of forgotten) {
      const register = this.#registers.get(key)
      if (register !== undefined && !Array.isArray(register) && register.dot.hash === hash) this.#registers.forget(key)
    }
  }

  /** Of two dots of one incarnation: by sequence, or by hashes where it has forked. */
  get isAncestor(): IsAncestor {
    return this.#chains.isAncestor
  }

  /** For `editText`: should the block with this update not fold, the text has to be rebuilt without it. */
  edited(update: Uint8Array): void {
    this.#digest = undefined
    this.#edited = update
  }

  /** For `draftBlock`: where the incarnation's next block stands, and what it has to say of others' blocks. */
  nextOf(incarnation: IncarnationId): ReturnType<Chains['nextOf']> {
    return this.#chains.nextOf(incarnation)
  }

  /** For `draftBlock`: this is the block that was asked for last, and has not room to say these. */
  drafted(block: Block, left: readonly Dot[]): void {
    this.#chains.drafted(block, left)
  }

  /** Calls `arrived` for the block and those that waited for it, in chain order. */
  #place(
    block: Block,
    arrived: (block: Block, branch: Branch, chain: Chain) => void,
  ): 'placed' | 'waiting' | 'duplicate' | 'refused' {
    const { document } = block.header
    if (document.agent !== this.name.agent || document.layer !== this.name.layer) return 'refused'
    const unfit = unfitFloor(block.header, this.floors)
    if (unfit !== undefined) return unfit
    const placed = this.#chains.place(block)
    if (placed.type === 'early') {
      this.#early.keep(block)
      return 'waiting'
    }
    if (placed.type !== 'placed') return placed.type
    this.#received += 1
    arrived(block, placed.branch, placed.chain)
    const next = [...this.#early.takeAfter(block.hash)]
    for (let early = next.pop(); early !== undefined; early = next.pop()) {
      const then = this.#chains.place(early)
      if (then.type !== 'placed') continue
      this.#received += 1
      arrived(early, then.branch, then.chain)
      next.push(...this.#early.takeAfter(early.hash))
    }
    return 'placed'
  }

  /** What is left of a block at or below the base. */
  #restore(block: PrunedBlock, run: TextRun | undefined, judge: Judge, texts: RestoredTexts): void {
    const branch = this.#chains.standing(block.header.incarnation)
    if (branch === undefined) return
    const verdict = judge(block, this.#covers)
    branch.judged(block, verdict)
    // It counted when the base was drawn, and only a log that had shrunk would not know its heads.
    const counts = verdict.type === 'unknown' ? FOLD : verdict
    const isTaken = run !== undefined && counts.type === 'fold' && this.#texts.claim(branch.incarnation) !== 'owner'
    if (run !== undefined) (counts.type === 'fold' && !isTaken ? texts.runs : texts.out).push(run)
    if (isTaken) this.#listAside(wordsOf(run), 'CLIENT_TAKEN')
    else if (counts.type !== 'fold') this.#setAside(run === undefined ? block : wordsOf(run), counts)
    else {
      this.#folded += 1
      const { header, hash } = block
      const dot: Dot =
        branch.tip.hash === hash ? branch.tip : { incarnation: branch.incarnation, sequence: header.sequence, hash }
      for (const [at, write] of block.writes.entries()) {
        if (write.type === 'text') continue
        const value = write.type === 'set' ? write.value : undefined
        const met = block.met[at] ?? EMPTY_CLOCK
        const applied = met.length === 0 ? undefined : new Unsettled(met)
        const stored = new StoredWrite(dot, branch.author, header.time, value, block.open[at] ?? EMPTY_CLOCK, applied)
        this.#registers.merge(write.key, stored, NOTHING_HEARD)
      }
    }
  }

  #restoreTexts(texts: RestoredTexts): void {
    const dependants = this.#texts.restore(texts)
    if (dependants === undefined) this.#damaged = true
    for (const run of dependants ?? []) {
      this.#folded -= 1
      this.#listAside(wordsOf(run), 'DEPENDS_ON_ASIDE')
    }
  }

  /** Judges a block whose predecessors are settled, and folds it or sets it aside. */
  #settle(block: Block, branch: Branch, judge: Judge, nowMs: number, changes: Change[]): 'folded' | 'aside' | 'held' {
    const { progress } = branch
    const { sequence, received, floor } = block.header
    if (progress.heldFrom === undefined) {
      const verdict = isDue(block, nowMs) ? judge(block, this.#covers) : UNKNOWN
      if (verdict.type !== 'unknown') {
        progress.settled = sequence
        branch.judged(block, verdict)
        const part = floor === null ? undefined : partUnder(floor, this.floors)
        const unsettled = this.#chains.follow(branch, received, part)
        const settled = this.#count(block, branch, verdict, unsettled, changes)
        branch.passDown(sequence)
        return settled
      }
      progress.heldFrom = block
    }
    branch.passDown(sequence)
    return 'held'
  }

  #count(
    block: Block,
    branch: Branch,
    verdict: Exclude<Verdict, { type: 'unknown' }>,
    unsettled: Unsettled | undefined,
    changes: Change[],
  ): 'folded' | 'aside' | 'held' {
    const text = block.writes[0]?.type === 'text' ? block.writes[0].update : undefined
    if (text !== undefined) return this.#settleText(block, branch, text, verdict, changes)
    if (verdict.type === 'fold') {
      this.#foldRegisters(block, branch, unsettled, changes)
      this.#folded += 1
      return 'folded'
    }
    this.#setAside(block, verdict)
    return 'aside'
  }

  #foldRegisters(block: Block, branch: Branch, unsettled: Unsettled | undefined, changes: Change[]): void {
    const { header, hash } = block
    const { author, incarnation } = branch
    const dot: Dot = branch.tip.hash === hash ? branch.tip : { incarnation, sequence: header.sequence, hash }
    for (const write of block.writes) {
      if (write.type === 'text') continue
      const value = write.type === 'set' ? write.value : undefined
      const stored = new StoredWrite(dot, author, header.time, value, write.replaces, unsettled)
      const before = this.#registers.get(write.key)
      const was = before && winnerOf(before)
      const after = this.#registers.merge(write.key, stored, branch.progress.heard)
      const is = winnerOf(after)
      if (is !== was && (is?.value !== undefined || was?.value !== undefined))
        changes.push(changeOf(write.key, is ?? stored))
    }
  }

  #settleText(
    block: Block,
    branch: Branch,
    update: Uint8Array,
    verdict: Exclude<Verdict, { type: 'unknown' }>,
    changes: Change[],
  ): 'folded' | 'aside' | 'held' {
    const { progress, incarnation } = branch
    const claim = this.#texts.claim(incarnation)
    if (claim === 'rebuild') this.#stale = true
    if (claim !== 'owner') {
      if (verdict.type === 'fold') this.#listAside(block, 'CLIENT_TAKEN')
      else this.#setAside(block, verdict)
      return 'aside'
    }
    const forked = block.header.sequence >= branch.forkedFrom(this.#chains.rootsOf(incarnation))
    const folds = verdict.type === 'fold' && !forked
    const { end, settled } = folds
      ? this.#texts.fold(block, update, progress.textEnd)
      : this.#texts.skip(block, update, progress.textEnd)
    progress.textEnd = end
    if (verdict.type !== 'fold') this.#setAside(block, verdict)
    else if (forked) this.#listAside(block, 'FORKED')
    for (const each of settled) this.#tellText(each, changes)
    if (!folds) return 'aside'
    return settled.find((each) => each.block === block)?.type ?? 'held'
  }

  #tellText(settled: TextSettled, changes: Change[]): void {
    const { block } = settled
    if (settled.type === 'aside') return this.#listAside(block, settled.reason)
    this.#folded += 1
    const { author, time } = block.header
    for (const name of settled.names) changes.push({ type: 'text', name, author, time })
  }

  #setAside(block: Block, verdict: Extract<Verdict, { type: 'late' | 'void' }>): void {
    if (verdict.type === 'late') this.#late += 1
    this.#listAside(block, verdict.type === 'late' ? 'LATE' : verdict.reason)
  }

  #listAside(block: Block, reason: AsideBlock['reason']): void {
    this.#aside.push({ block, reason, term: block.header.term?.number ?? null })
  }
}

/** Some milliseconds. */
const REBUILT_PER_STEP = 128
const UNKNOWN: Verdict = { type: 'unknown' }
const FOLD = { type: 'fold' } as const
const NO_BASE: BaseState = { tips: [], blocks: [], runs: [] }
