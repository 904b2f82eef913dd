import type { Block, DocumentName, TermRef } from '@sealmesh/protocol/crdt/block'
import type { VersionVector } from '@sealmesh/protocol/crdt/clock'
import { asideAfter, closeCausally } from '@sealmesh/protocol/crdt/base'
import { Document } from '@sealmesh/protocol/crdt/document'
import { HybridClock } from '@sealmesh/protocol/crdt/hybrid-time'
import { editText } from '@sealmesh/protocol/crdt/text-edit'
import type { Judge } from '@sealmesh/protocol/crdt/verdict'
import { draftBlock, type Intent } from '@sealmesh/protocol/crdt/writer'
import { closedEnds, type ClosedLink, entriesOfChain, extendChain, worthOf } from '@sealmesh/protocol/crdt/closed-set'
import { documentIdOf } from '@sealmesh/protocol/crdt/block-codec'
import { type Floors, partUnder } from '@sealmesh/protocol/crdt/floor'
import type { AgentId, ClosedDigest, IncarnationId, MeshId, NodeId, RecordHash } from '@sealmesh/protocol/ids'
import { FakeSodium } from '../membership/fake-sodium.ts'
import { baseOver, NO_BASE } from './based.ts'

export const sodium = new FakeSodium()
export const NAME: DocumentName = { agent: id<AgentId>('a9', 1), layer: 'semantic' }
export const MESH = id<MeshId>('fe', 1)
export const NOW_MS = 1_800_000_000_000

/** Readable in failures: a kind, zeros, a number. */
export function id<Id extends string>(kind: string, number: number, bytes = 32): Id {
  return (kind + number.toString(16).padStart(2 * bytes - kind.length, '0')) as Id
}

export const nodeId = (number: number): NodeId => id<NodeId>('de', number)
export const recordId = (number: number): RecordHash => id<RecordHash>('4e', number)
/** Client ids are the first bits, so these differ there. */
export const incarnationId = (number: number): IncarnationId =>
  (number.toString(16).padStart(4, '0').repeat(3) + 'c'.repeat(20)) as IncarnationId

export const foldAll: Judge = () => ({ type: 'fold' })

const signKey = sodium.signKeys('sign', new Uint8Array(32)).secretKey

/** The closed sets that a replica knows. All links that were ever made are to be had by their digest, as from peers. */
class ReplicaClosed implements Floors {
  static readonly #made = new Map<ClosedDigest, ClosedLink>()
  readonly #known = new Map<ClosedDigest, VersionVector>()
  current: ClosedDigest | null = null

  entries(digest: ClosedDigest): VersionVector | undefined {
    return this.#known.get(digest)
  }

  parts(digest: ClosedDigest): readonly VersionVector[] | undefined {
    return this.#known.has(digest) ? chainOf(digest).map(({ entries }) => entries) : undefined
  }

  get chain(): ClosedLink[] {
    return chainOf(this.current)
  }

  names(incarnation: IncarnationId): boolean {
    return this.chain.some(({ entries }) => entries.some((dot) => dot.incarnation === incarnation))
  }

  stand(links: readonly ClosedLink[]): void {
    for (const link of links) ReplicaClosed.#made.set(link.digest, link)
    this.learn(links.at(-1)!.digest)
    this.current = links.at(-1)!.digest
  }

  learn(digest: ClosedDigest): void {
    for (const { digest: each } of chainOf(digest)) {
      const entries = entriesOfChain(chainOf(each))
      if (entries === undefined) throw new Error('A chain of the scene is whole.')
      if (!this.#known.has(each)) this.#known.set(each, entries)
    }
  }

  learnAll(other: ReplicaClosed): void {
    for (const digest of other.#known.keys()) this.learn(digest)
    this.current = other.current
  }

  static linkOf(digest: ClosedDigest): ClosedLink | undefined {
    return this.#made.get(digest)
  }
}

function chainOf(digest: ClosedDigest | null): ClosedLink[] {
  const link = digest === null ? undefined : ReplicaClosed.linkOf(digest)
  return link === undefined ? [] : [...chainOf(link.parent), link]
}

/** Knows every set that was ever made. */
export const ALL_FLOORS: Floors = {
  current: null,
  entries: (digest) => entriesOfChain(chainOf(digest)),
  parts: (digest) => chainOf(digest).map(({ entries }) => entries),
}

/** A process that keeps one replica of the document, as a node does, with its store beside it. */
export class Replica {
  readonly node: NodeId
  incarnation: IncarnationId
  clock = new HybridClock()
  readonly closed = new ReplicaClosed()
  document = new Document(NAME, sodium, this.closed)
  judge: Judge = foldAll
  nowMs = NOW_MS
  logHeads: readonly RecordHash[] = []
  term: TermRef | null = null
  /** Above the base. */
  stored: Block[] = []
  readonly wanted = new Set<ClosedDigest>()
  base = NO_BASE

  constructor(node: NodeId, incarnation: IncarnationId) {
    this.node = node
    this.incarnation = incarnation
  }

  write(...intents: Intent[]): Block {
    const author = { mesh: MESH, node: this.node, incarnation: this.incarnation, signKey }
    const world = { clock: this.clock, nowMs: this.nowMs, logHeads: this.logHeads, term: this.term }
    const block = draftBlock(this.document, author, intents, world, sodium)
    this.receive(block)
    return block
  }

  set(key: string, value: string): Block {
    return this.write({ type: 'set', key, value })
  }

  edit(edit: (doc: Document['yDoc']) => void): Block | undefined {
    const update = editText(this.document, this.incarnation, edit)
    return update && this.write({ type: 'text', update })
  }

  type(name: string, at: number, text: string): Block {
    const block = this.edit((doc) => doc.getText(name).insert(at, text))
    if (block === undefined) throw new Error('An insertion changes something.')
    return block
  }

  receive(...blocks: readonly Block[]): void {
    for (const block of blocks) {
      const { floor } = block.header
      const isUnknown = floor !== null && this.closed.entries(floor.digest) === undefined
      const outcome = this.document.receive(block, this.judge, this.nowMs)
      if (isUnknown) {
        if (outcome.type !== 'waiting') throw new Error('A block under an unknown floor waits.')
        // The answer to the question comes later; the block is sent again after it.
        this.wanted.add(floor.digest)
        continue
      }
      for (const { header } of outcome.arrived) this.clock.observe(header.time, this.nowMs)
      this.stored.push(...outcome.arrived)
      if (outcome.rebuild) this.rebuild()
    }
  }

  /** What was asked for has come. */
  answered(): void {
    for (const digest of this.wanted) this.closed.learn(digest)
    this.wanted.clear()
  }

  /** The log or the time is another now. */
  look(judge: Judge, nowMs: number): void {
    this.judge = judge
    this.nowMs = nowMs
    if (this.document.needsRebuild(judge, nowMs)) this.rebuild()
  }

  rebuild(): void {
    this.document = Document.rebuild(NAME, this.stored, this.judge, this.nowMs, sodium, this.base, this.closed)
  }

  /**
   * Draws a base below what all `receipts` cover and `keep` leaves alone, and forgets what it allows: as a node does,
   * with what is stored read back from bytes.
   */
  compact(receipts: readonly VersionVector[], keep: (block: Block) => boolean): boolean {
    const compactable = this.document.compactable()
    const aside = asideAfter(compactable, this.document.aside())
    const reaches = [...compactable].map(([incarnation, settled]) => {
      const own = this.stored.filter(({ header }) => header.incarnation === incarnation)
      const kept = own.find((block) => keep(block))?.header.sequence ?? Number.POSITIVE_INFINITY
      const receipted = receipts.map((vector) => vector.find((dot) => dot.incarnation === incarnation)?.sequence ?? 0)
      const heard = own.map(({ header: { sequence, received, floor } }) => ({
        sequence,
        received,
        ...(floor === null ? {} : { floor: partUnder(floor, this.closed)! }),
      }))
      return { incarnation, sequence: Math.min(settled, kept - 1, ...receipted), heard, aside: aside.get(incarnation) }
    })
    const ends = closeCausally(reaches)
    const isBelow = ({ header }: Block) => header.sequence <= (ends.get(header.incarnation) ?? 0)
    const below = this.stored.filter(isBelow)
    if (below.length === 0) return false
    const forgotten = this.document.forgettable(receipts)
    const { judge, nowMs } = this
    const maker = { node: this.node, signKey }
    const base = baseOver(NAME, this.base, below, {
      judge,
      nowMs,
      forgotten,
      aside: this.document.aside(),
      maker,
      sodium,
      floors: this.closed,
    })
    if (base === undefined) return false
    this.base = base
    this.stored = this.stored.filter((block) => !isBelow(block))
    this.document.stand(base.tips, forgotten)
    return true
  }

  /** Names what has ended below the base by a closed set, and stands on it from now on. */
  close(atLeast: number): boolean {
    const ends = this.base.tips.map(({ dot, author, time }) => ({ dot, author, wallMs: time.wallMs }))
    const fresh = closedEnds(ends, this.document.vector, this.incarnation, this.nowMs).filter(
      ({ incarnation }) => !this.closed.names(incarnation),
    )
    if (fresh.length < atLeast) return false
    this.closed.stand(extendChain(documentIdOf(NAME, sodium), this.closed.chain, fresh, sodium))
    return true
  }

  /** Another's set, if it lies whole below the base here and names more of its ends. */
  standOn(digest: ClosedDigest | null): boolean {
    const link = digest === null ? undefined : ReplicaClosed.linkOf(digest)
    const ends = this.base.tips.map(({ dot }) => dot)
    const worth = (chain: readonly ClosedLink[]) => worthOf(entriesOfChain(chain) ?? [], ends) ?? 0
    if (link === undefined || worth(chainOf(digest)) <= worth(this.closed.chain)) return false
    this.closed.stand([link])
    return true
  }

  /** A store that was copied while its process ran: both go on under one incarnation. */
  clone(): Replica {
    const twin = new Replica(this.node, this.incarnation)
    twin.judge = this.judge
    twin.nowMs = this.nowMs
    twin.logHeads = this.logHeads
    twin.term = this.term
    twin.base = this.base
    twin.closed.learnAll(this.closed)
    twin.rebuild()
    twin.receive(...this.stored)
    return twin
  }
}

/** All that two documents must agree on. A lone tombstone is left out: one of them may have collected it. */
export function stateOf(document: Document) {
  const registers: Record<string, unknown> = {}
  for (const key of keysOf(document))
    registers[key] = document.siblings(key).map(({ dot, author, time, value }) => ({ dot, author, time, value }))
  return {
    registers,
    texts: Object.fromEntries(document.textNames().map((name) => [name, document.text(name)])),
    vector: document.vector,
    aside: document
      .aside()
      .map(({ block, reason, term }) => `${block.hash} ${reason} ${term}`)
      .sort(),
    forks: document
      .forks()
      .map((fork) => JSON.stringify({ ...fork, sides: fork.sides.map(({ hash }) => hash).sort() }))
      .sort(),
    counts: document.counts(),
    digest: document.digest(),
  }
}

/** With those whose winner is a tombstone beside others, which `keys()` leaves out. */
const keysOf = (document: Document): string[] =>
  KEYS.filter((key) => {
    const [first, ...others] = document.siblings(key)
    return first !== undefined && (first.value !== undefined || others.length > 0)
  })
export const KEYS = ['k0', 'k1', 'k2']

/** Whether a vector covers a block by the chain of hashes: slow, and nothing in common with the document's way. */
export class Ancestry {
  readonly #byHash = new Map<string, Block>()

  constructor(blocks: Iterable<Block>) {
    for (const block of blocks) this.#byHash.set(block.hash, block)
  }

  isBefore(block: Block, tipHash: string | null): boolean {
    for (let at = tipHash; at !== null; at = this.#byHash.get(at)?.header.previous ?? null) {
      if (at === block.hash) return true
    }
    return false
  }

  covers(vector: VersionVector, block: Block): boolean {
    return vector.some((dot) => this.isBefore(block, dot.hash))
  }

  previous(block: Block): Block | undefined {
    return block.header.previous === null ? undefined : this.#byHash.get(block.header.previous)
  }
}
