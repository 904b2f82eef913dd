import type { Commit } from '@sealmesh/node/documents/documents'
import { type Block, type DocumentName } from '@sealmesh/protocol/crdt/block'
import type { Document } from '@sealmesh/protocol/crdt/document'
import type { VersionVector } from '@sealmesh/protocol/crdt/clock'
import type { Level } from '@sealmesh/protocol/failover/levels'
import type { BlockHash, IncarnationId, NodeId, RecordHash } from '@sealmesh/protocol/ids'
import { isSingleWriter, readersOf } from '@sealmesh/protocol/membership/access'
import type { Mesh, Term } from '@sealmesh/protocol/membership/mesh'
import { keyOf } from '@sealmesh/protocol/sync/peer-sync'
import { Acts } from './acts.ts'
import type { Player } from './player.ts'
import type { SimulatedNode } from './simulated-node.ts'

/** A write that was answered, by the block that carries it. */
export interface Acknowledged {
  readonly name: DocumentName
  readonly hash: BlockHash
  readonly incarnation: IncarnationId
  readonly sequence: number
  readonly author: NodeId
  /** Of a block of a single-writer layer. */
  readonly term: RecordHash | null
  readonly by: Player
  /** Written once in the run, and by nobody else: so it is to be read for ever. Null for what others overwrite. */
  readonly key: string | null
  readonly value: string
  level: Level
  /** The disk that it was written to is still the same. */
  isOnDisk: boolean
  /** Somebody has forced a takeover without it, or its author was removed. */
  excused: boolean
}

const VIOLATIONS_MAX = 8
const COUNTED_EVERY = 8

/** Knows what no node does: everything that was promised to anybody, and what every node has. */
export class Checks {
  readonly violations = new Set<string>()
  readonly acknowledged: Acknowledged[] = []
  /** Whoever was removed, whether they have heard of it or not. */
  readonly removed = new Set<NodeId>()
  /** Of whose homes there was a copy. */
  readonly copied = new Set<NodeId>()
  readonly acts = new Acts(
    (what) => this.violated(what),
    (node) => this.copied.has(node) || this.#putBack.has(node),
  )
  readonly count = { relayed: 0, replicated: 0, byRegister: 0 }
  /** Records of terms that some log holds. */
  readonly #known = new Map<RecordHash, Term>()
  /** Nodes whose disk was put back at some time: what they had receipted may be gone, and they need not know. */
  readonly #putBack = new Set<NodeId>()
  readonly #places = new Map<BlockHash, Pick<Acknowledged, 'incarnation' | 'sequence' | 'term'>>()
  readonly #terms = new Map<Player, number>()
  readonly #issuedMs = new Map<string, number>()
  readonly #committedMs = new Map<Player, Map<BlockHash, number>>()
  readonly #nowMs: () => number
  #commits = 0

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs
  }

  violated(what: string): void {
    if (this.violations.size < VIOLATIONS_MAX) this.violations.add(what)
  }

  committed(player: Player, mesh: Mesh, { name, document, blocks, local }: Commit): void {
    const committed = this.#committedMs.get(player) ?? new Map<BlockHash, number>()
    this.#committedMs.set(player, committed)
    for (const { hash } of blocks) committed.set(hash, this.#nowMs())
    if (local) for (const block of blocks) this.#isRead(player, document, block)
    for (const { hash, header } of blocks)
      if (local) {
        const { incarnation, sequence, term } = header
        this.#places.set(hash, { incarnation, sequence, term: term?.assign ?? null })
      }
    if (!local && !this.#mayHave(mesh, name, player.identity.self.id))
      this.violated(`${player.name} has blocks of ${name.layer}, which nobody granted`)
    if (++this.#commits % COUNTED_EVERY === 0) this.counts(player, name, document)
  }

  /**
   * By a grant, or as the holder of some term in any log: what has once been read stays, and a copy of a home need not
   * know yet what its own keys have been given.
   */
  #mayHave(mesh: Mesh, { agent, layer }: DocumentName, node: NodeId): boolean {
    if (layer !== PRIVATE_LAYER) return true
    const terms = [...(mesh.agents.get(agent)?.terms ?? []), ...this.#known.values()]
    return terms.some(({ holder }) => holder === node)
  }

  /** Before it is written: no value is written twice. */
  issued(value: string): void {
    this.#issuedMs.set(value, this.#nowMs())
  }

  /** A write comes after all that was read here when it was issued, whatever the clocks show. */
  #isRead(player: Player, document: Document, { hash, writes }: Block): void {
    for (const write of writes) {
      if (write.type !== 'set') continue
      const winner = document.read(write.key)?.dot.hash
      const issuedMs = this.#issuedMs.get(write.value) ?? 0
      const knownMs = winner === undefined ? undefined : this.#committedMs.get(player)?.get(winner)
      if (winner !== hash && knownMs !== undefined && knownMs < issuedMs)
        this.violated(`${player.name} does not read what it has just written over`)
    }
  }

  counts(player: Player, { layer }: DocumentName, document: Document): void {
    const { received, folded, late, aside, held } = document.counts()
    if (received !== folded + late + aside + held)
      this.violated(`${player.name} has ${received} blocks of ${layer}, not ${folded} + ${late} + ${aside} + ${held}`)
  }

  answered(write: Pick<Acknowledged, 'name' | 'hash' | 'by' | 'key' | 'value'>): Acknowledged | undefined {
    const place = this.#places.get(write.hash)
    if (place === undefined) {
      this.violated(`${write.by.name} was answered for a block that was never committed`)
      return undefined
    }
    const author = write.by.identity.self.id
    const entry: Acknowledged = { ...write, ...place, author, level: 'local', isOnDisk: true, excused: false }
    this.acknowledged.push(entry)
    return entry
  }

  /** It has come so far, by the node's own word. */
  reached(entry: Acknowledged, level: Level): void {
    if (level === 'local') return
    this.count[level] += 1
    entry.level = level
    if (entry.term === null) return
    // Who goes past a register goes past whoever still acknowledges.
    for (const term of this.#known.values()) this.#isCarried(entry, term)
  }

  get terms(): number {
    return this.#known.size
  }

  /** Terms never fall, as long as the disk is the same; what is acknowledged is in the basis of every later one. */
  termOf(player: Player, mesh: Mesh): void {
    for (const { term, terms } of mesh.agents.values()) {
      for (const each of terms.toSorted((a, b) => a.number - b.number)) this.#meets(each)
      const before = this.#terms.get(player) ?? 0
      // With a node's removal its last word may go, too, and the number of it.
      if (term === null || this.removed.size > 0) continue
      if (term.number < before) this.violated(`${player.name} went from term ${before} back to ${term.number}`)
      this.#terms.set(player, Math.max(before, term.number))
    }
  }

  #meets(term: Term): void {
    if (this.#known.has(term.record)) return
    this.#known.set(term.record, term)
    if (term.number > 1 && !this.acts.isByLog(term.number)) this.count.byRegister += 1
    for (const entry of this.acknowledged) if (entry.level !== 'local') this.#isCarried(entry, term)
  }

  #isCarried(entry: Acknowledged, term: Term): void {
    const own = this.#known.get(entry.term ?? ('' as RecordHash))
    if (own === undefined || own.number > term.number || own.record === term.record || entry.excused) return
    // Two people have gone past the register at once: one of the two terms is passed over, whatever was said in it.
    if (own.number === term.number) return void (entry.excused ||= this.acts.isByLog(term.number))
    if (covers(term.basis.find(({ layer }) => layer === entry.name.layer)?.vector ?? [], entry)) return
    const isPersons = this.acts.isByLog(term.number) || term.reason.includes('data loss accepted')
    if (isPersons || this.#putBack.has(term.holder) || this.removed.size > 0) entry.excused = true
    else this.violated(`term ${term.number} begins without a ${entry.level} block of ${entry.name.layer}`)
  }

  /** Its disk is an older one, or gone: what it had told nobody is lost. */
  putBack(player: Player): void {
    this.#terms.delete(player)
    this.#putBack.add(player.identity.self.id)
    for (const each of this.acknowledged) if (each.by === player) each.isOnDisk = false
  }

  /** The relay has lost what it had stored: `relayed` holds as long as its disk does. */
  relayForgot(): void {
    for (const each of this.acknowledged) if (each.level === 'relayed') each.level = 'local'
  }

  /** After everything was put right: of one node, all that it has to have. */
  async held(player: Player, node: SimulatedNode, documents: ReadonlyMap<string, Document>): Promise<void> {
    const { mesh } = node.log
    // A term of the last moments, which nobody has looked at since.
    this.termOf(player, mesh)
    for (const document of documents.values()) {
      this.counts(player, document.name, document)
      const { above, base } = await node.documents.stored(document.name)
      this.#late(player, mesh, document, [...base.blocks.map((each) => each as unknown as Block), ...above])
      if (document.forks().length > 0) this.violated(`${player.name} sees a fork in ${document.name.layer}`)
    }
    for (const write of this.acknowledged) this.#isHeld(player, mesh, documents, write)
  }

  #isHeld(player: Player, mesh: Mesh, documents: ReadonlyMap<string, Document>, write: Acknowledged): void {
    const { name, level, by, hash } = write
    const reads = readersOf(mesh, name.agent, name.layer).includes(player.identity.self.id)
    // What it has lost of a document that it may not read, nobody gives back to it.
    if (!reads && (by !== player || !write.isOnDisk)) return
    if (level === 'local' && !write.isOnDisk) return
    if ((mesh.nodes.get(write.author)?.revocations.length ?? 0) > 0) return
    const document = documents.get(keyOf(name))
    const what = `a ${level} write of ${by.name} in ${name.layer}`
    if (document === undefined || !covers(document.vector, write)) return this.violated(`${player.name} lacks ${what}`)
    if (write.excused) return
    const aside = document.aside().find(({ block }) => block.hash === hash)
    if (aside !== undefined) {
      if (level !== 'local' || aside.reason !== 'LATE')
        this.violated(`${player.name} has set aside (${aside.reason}) ${what}`)
      return
    }
    if (write.key !== null && document.read(write.key)?.value !== write.value)
      this.violated(`${player.name} does not read ${what}`)
  }

  /** Worked out once more, from the words of the specification (docs/spec/02-membership.md §12). */
  #late(player: Player, mesh: Mesh, document: Document, blocks: readonly Block[]): void {
    const { agent, layer } = document.name
    if (!isSingleWriter(layer) || document.held > 0) return
    const terms = mesh.agents.get(agent)?.terms ?? []
    const listed = new Map(document.aside().map(({ block, reason }) => [block.hash, reason]))
    const late = new Set<BlockHash>()
    for (const { hash, header } of blocks) {
      const own = terms.find(({ record, number }) => record === header.term?.assign && number === header.term.number)
      if (own?.holder !== header.author) continue
      const isLate = terms.some(
        ({ number, basis }) =>
          number > own.number && !covers(basis.find((each) => each.layer === layer)?.vector ?? [], header),
      )
      if (isLate) late.add(hash)
      if (isLate && !listed.has(hash)) this.violated(`${player.name} folds a late block of term ${own.number}`)
      if (!isLate && listed.get(hash) === 'LATE') this.violated(`${player.name} takes a block for late that is not`)
    }
    for (const key of SHARED_KEYS)
      for (const { dot } of document.siblings(key))
        if (late.has(dot.hash)) this.violated(`${player.name} reads a late write of ${key}`)
  }
}

export const PRIVATE_LAYER = 'private'
export const SHARED_KEYS = ['k0', 'k1', 'k2', 'k3', 'k4']

/** No incarnation of an honest node forks, so that numbers are enough. */
const covers = (vector: VersionVector, { incarnation, sequence }: Pick<Acknowledged, 'incarnation' | 'sequence'>) =>
  vector.some((dot) => dot.incarnation === incarnation && dot.sequence >= sequence)
