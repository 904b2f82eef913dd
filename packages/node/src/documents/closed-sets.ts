import {
  type ClosedEnd,
  closedEnds,
  type ClosedLink,
  entriesOfChain,
  extendChain,
  soundLinks,
  worthOf,
} from '@sealmesh/protocol/crdt/closed-set'
import type { DocumentName } from '@sealmesh/protocol/crdt/block'
import { documentIdOf } from '@sealmesh/protocol/crdt/block-codec'
import { firstOf, type VersionVector } from '@sealmesh/protocol/crdt/clock'
import { type Floors, NO_FLOORS } from '@sealmesh/protocol/crdt/floor'
import type { ClosedDigest, DocumentId, IncarnationId, NodeId } from '@sealmesh/protocol/ids'
import type { Sodium } from '@sealmesh/protocol/sodium'
import { type BroughtLink, ClosedStore } from '../store/closed-store.ts'
import { floorsReceipted } from '../store/receipt-store.ts'
import type { Store } from '../store/store.ts'
import { floorsNamed } from './closed-use.ts'
import { DocumentClosed } from './document-closed.ts'

/** Fewer are not worth a set: 256 entries are 14 KB, a quarter of a packet. */
const CLOSED_AT_LEAST = 256
/**
 * Of one document, that only the word of one node names: four chains of full length. Beyond it what nothing needs is
 * deleted.
 */
const BROUGHT_LINKS_MAX = 256
/** So many links that blocks named may be left behind when these lie below the base. */
const LEFT_BEHIND_MAX = 1_024
/** Documents whose links stay in memory although nobody holds them: 2 MB for 10,000 entries. */
const HELD_MAX = 8
/** Before the forgotten are looked for. */
const NOTED_MAX = 4_096
/** Vectors of fewer entries are written out, in less than a kilobyte: nearly all documents cost no look that way. */
const LONG_VECTOR = 16

/** What is drawn of a document, as far as closed sets need to know it. */
export interface DrawnBase {
  readonly ends: readonly ClosedEnd[]
  readonly vector: VersionVector
  readonly own: IncarnationId
  readonly nowMs: number
}

interface Note {
  readonly parent: ClosedDigest | null
  /** Whose word it is here for; null: made here, or named by a block. */
  from: NodeId | null
}

/** What is known of one document's sets without reading a link. */
class Noted {
  readonly links = new Map<ClosedDigest, Note>()
  /** Sets that were stood on, or that a block names, since this process began: it may be on its way to the disk. */
  readonly inUse = new Set<ClosedDigest>()
  /** The set that each node's vectors stood on last. */
  readonly said = new Map<NodeId, ClosedDigest>()
  sinceSweep = 0

  /** Its links count for nobody. */
  need(digest: ClosedDigest): void {
    for (const [, note] of this.chain(digest)) note.from = null
  }

  /** A set from its last link on, as far as it is here. */
  *chain(digest: ClosedDigest): Iterable<readonly [ClosedDigest, Note]> {
    let at: ClosedDigest | null = digest
    for (let note = this.links.get(at); at !== null && note !== undefined; ) {
      yield [at, note]
      at = note.parent
      note = at === null ? undefined : this.links.get(at)
    }
  }

  broughtBy(node: NodeId): number {
    let brought = 0
    for (const { from } of this.links.values()) if (from === node) brought += 1
    return brought
  }
}

/**
 * The closed sets of all documents (docs/spec/03-blocks.md §2.1): which links are here, on which set each document
 * stands, and what is missing. Links are in memory only while a document is in use.
 */
export class ClosedSets {
  readonly #store: Store
  readonly #sodium: Sodium
  readonly #table: ClosedStore
  readonly #atLeast: number
  readonly #noted = new Map<DocumentId, Noted>()
  readonly #floors: Map<DocumentId, ClosedDigest>
  readonly #missing = new Map<ClosedDigest, DocumentId>()
  readonly #open = new Map<DocumentId, WeakRef<DocumentClosed>>()
  readonly #loading = new Map<DocumentId, Promise<DocumentClosed>>()
  #held: DocumentClosed[] = []

  private constructor(store: Store, sodium: Sodium, floors: Map<DocumentId, ClosedDigest>, atLeast: number) {
    this.#store = store
    this.#sodium = sodium
    this.#table = new ClosedStore(store, sodium)
    this.#floors = floors
    this.#atLeast = atLeast
  }

  static async load(store: Store, sodium: Sodium, atLeast: number = CLOSED_AT_LEAST): Promise<ClosedSets> {
    const table = new ClosedStore(store, sodium)
    const sets = new ClosedSets(store, sodium, await table.floors(), atLeast)
    for await (const { read, mend } of table.all()) {
      if (read !== undefined) sets.#note(read)
      if (mend.length > 0) await store.commit(mend)
    }
    for (const [document, digest] of sets.#floors) {
      sets.named(document, digest)
      if (!sets.knows(document, digest)) sets.miss(document, digest)
    }
    return sets
  }

  /** Sets that something here stands on and that are damaged or lost, to be asked for. */
  get missing(): ReadonlyMap<ClosedDigest, DocumentId> {
    return this.#missing
  }

  miss(document: DocumentId, digest: ClosedDigest): void {
    const parentOf = (of: ClosedDigest) => this.#noted.get(document)?.links.get(of)?.parent ?? null
    let last = digest
    for (let parent = parentOf(last); parent !== null; parent = parentOf(last)) last = parent
    this.#missing.set(last, document)
  }

  /** Everything that the document stands on is here, or the document itself is not. */
  missNothing(document: DocumentId): void {
    for (const [digest, of] of this.#missing) if (of === document) this.#missing.delete(digest)
    const floor = this.#floors.get(document)
    if (floor !== undefined && this.#noted.has(document) && !this.knows(document, floor)) this.miss(document, floor)
  }

  /** Whether all of a set is here. */
  knows(document: DocumentId, digest: ClosedDigest): boolean {
    const links = this.#noted.get(document)?.links
    for (let at: ClosedDigest | null = digest; at !== null; ) {
      const note: Note | undefined = links?.get(at)
      if (note === undefined) return false
      at = note.parent
    }
    return true
  }

  /** Whether there is any link of it. */
  has(document: DocumentId): boolean {
    return this.#noted.has(document)
  }

  floorsOf(name: DocumentName): Promise<DocumentClosed> {
    return this.of(documentIdOf(name, this.#sodium))
  }

  /**
   * What a vector may be written down over. `by`: it is that node's word, which is short over the set that its words
   * stand on, whatever this node stands on.
   */
  async floorsFor(name: DocumentName, vector: VersionVector, by?: NodeId): Promise<readonly Floors[]> {
    if (vector.length < LONG_VECTOR || this.#noted.size === 0) return [NO_FLOORS]
    const document = documentIdOf(name, this.#sodium)
    const noted = this.#noted.get(document)
    if (noted === undefined) return [NO_FLOORS]
    const open = await this.of(document)
    const said = by && noted.said.get(by)
    return said === undefined || said === open.current ? [open] : [open, open.over(said)]
  }

  /** One object for all who work with the document now: what comes later comes into it. */
  async of(document: DocumentId): Promise<DocumentClosed> {
    const here = this.#open.get(document)?.deref()
    if (here !== undefined) return here
    const loading = this.#loading.get(document) ?? this.#load(document)
    this.#loading.set(document, loading)
    try {
      return await loading
    } finally {
      this.#loading.delete(document)
    }
  }

  /** A block that names this set is on its way to the disk: before it is, so that the set stays. */
  named(document: DocumentId, digest: ClosedDigest): void {
    const noted = this.#noted.get(document)
    noted?.inUse.add(digest)
    noted?.need(digest)
  }

  /** A peer's vector stands on this set, and the next ones will. */
  said(document: DocumentId, digest: ClosedDigest, by: NodeId): void {
    this.#noted.get(document)?.said.set(by, digest)
  }

  /**
   * A whole chain, or the end of one whose beginning is here; durable when it resolves. `from`: whose word names it, and
   * of one node there may be too much that nothing else needs: false. Null: a block names it that somebody may store who
   * has the set, so everybody has to: whatever came before it.
   */
  async take(document: DocumentId, links: readonly ClosedLink[], from: NodeId | null): Promise<boolean> {
    const fresh = () => links.filter(({ digest }) => this.#noted.get(document)?.links.has(digest) !== true)
    const isTooMuch = () => {
      if (from === null) return false
      const brought = fresh().filter(({ digest }) => !this.#missing.has(digest)).length
      return brought + (this.#noted.get(document)?.broughtBy(from) ?? 0) > BROUGHT_LINKS_MAX
    }
    if (isTooMuch() || (this.#noted.get(document)?.sinceSweep ?? 0) > LEFT_BEHIND_MAX)
      await this.#sweep(document, links)
    if (isTooMuch()) return false
    await this.#keep(
      document,
      fresh().map((link) => ({ link, from })),
    )
    const last = links.at(-1)
    if (from === null && last !== undefined) this.named(document, last.digest)
    const open = await this.of(document)
    const floor = this.#floors.get(document)
    if (open.current === null && floor !== undefined) open.stand(floor)
    return true
  }

  /** Both copies of a link were damaged on disk. */
  async lose(document: DocumentId, digest: ClosedDigest): Promise<void> {
    const open = await this.of(document)
    const link = open.link(digest)
    const note = this.#noted.get(document)?.links.get(digest)
    if (link !== undefined) return this.#keep(document, [{ link, from: note?.from ?? null }])
    this.#noted.get(document)?.links.delete(digest)
    open.lose(digest)
    const floor = this.#floors.get(document)
    if (floor !== undefined && !this.knows(document, floor)) this.miss(document, floor)
  }

  /** Of the sets that are here the one that names most of these ends, if it names more than the present one. */
  async standOnBest(document: DocumentId, ends: VersionVector): Promise<void> {
    if (this.#noted.get(document) === undefined) return
    const open = await this.of(document)
    const best = bestOf(open, ends)
    if (best !== null && best !== open.current) await this.#stand(document, open, best)
  }

  /** A base is durable: what has ended below it is named by a set, once it is enough. True: by a new one. */
  async drawn(document: DocumentId, base: DrawnBase): Promise<boolean> {
    await this.standOnBest(
      document,
      base.ends.map(({ dot }) => dot),
    )
    const open = await this.of(document)
    const links = this.#nextOf(document, open, open.current, base)?.links ?? []
    const last = links.at(-1)
    if (last === undefined) return false
    await this.#keep(
      document,
      links.map((link) => ({ link, from: null })),
    )
    await this.#stand(document, open, last.digest)
    return true
  }

  /** What the set will name on which this node stands when it has drawn such a base. */
  async willName(document: DocumentId, base: DrawnBase): Promise<VersionVector> {
    const open = await this.of(document)
    const best = bestOf(
      open,
      base.ends.map(({ dot }) => dot),
    )
    const next = this.#nextOf(document, open, best, base)
    if (next === undefined) return best === null ? [] : (open.entries(best) ?? [])
    return entriesOfChain([...next.sound, ...next.links]) ?? []
  }

  /** The links that follow those which are still sound, when they are worth it. */
  #nextOf(
    document: DocumentId,
    open: DocumentClosed,
    stand: ClosedDigest | null,
    { ends, vector, own, nowMs }: DrawnBase,
  ): { readonly sound: readonly ClosedLink[]; readonly links: readonly ClosedLink[] } | undefined {
    if (ends.length < this.#atLeast) return undefined
    const dots = ends.map(({ dot }) => dot)
    const present = stand === null ? [] : (open.entries(stand) ?? [])
    const sound = soundLinks(stand === null ? [] : (open.chain(stand) ?? []), dots)
    const parent = sound.at(-1)?.digest
    const named = parent === undefined ? [] : (open.entries(parent) ?? [])
    const ended = closedEnds(ends, vector, own, nowMs).filter(
      ({ incarnation }) => named[firstOf(named, incarnation)]?.incarnation !== incarnation,
    )
    const gained = ended.length + (worthOf(named, dots) ?? 0) - (worthOf(present, dots) ?? 0)
    if (gained < this.#atLeast) return undefined
    const links = extendChain(document, sound, ended, this.#sodium)
    return links.length === 0 ? undefined : { sound, links }
  }

  /** Durable before anything names it. */
  async #keep(document: DocumentId, links: readonly BroughtLink[]): Promise<void> {
    await this.#store.commit(links.flatMap((each) => this.#table.put(each)))
    const open = await this.of(document)
    for (const each of links) {
      open.add(each.link)
      this.#note(each).sinceSweep += 1
      this.#missing.delete(each.link.digest)
    }
  }

  async #stand(document: DocumentId, open: DocumentClosed, digest: ClosedDigest): Promise<void> {
    this.named(document, digest)
    await this.#store.commit([this.#table.stand(document, digest)])
    this.#floors.set(document, digest)
    open.stand(digest)
  }

  /** Deletes links that nothing here stands on, but for the chain that `coming` goes on from. */
  async #sweep(document: DocumentId, coming: readonly ClosedLink[]): Promise<void> {
    const noted = this.#noted.get(document)
    if (noted === undefined) return
    noted.sinceSweep = 0
    const stored = await floorsNamed(this.#store, document)
    if (stored === undefined) return
    const receipted = await floorsReceipted(this.#store, document, this.#sodium)
    const open = await this.of(document)
    const floor = this.#floors.get(document)
    // From here on without a pause: what is named from now on is not among what is deleted.
    const used = new Set<ClosedDigest>()
    const roots = [
      ...stored,
      ...receipted,
      ...noted.inUse,
      ...noted.said.values(),
      ...(floor === undefined ? [] : [floor]),
    ]
    for (const root of roots) noted.need(root)
    for (const root of [...roots, ...coming.flatMap(({ parent }) => parent ?? [])])
      for (const [digest] of noted.chain(root)) used.add(digest)
    const unused = [...noted.links.keys()].filter((digest) => !used.has(digest))
    for (const digest of unused) {
      noted.links.delete(digest)
      open.drop(digest)
    }
    await this.#store.commit(unused.flatMap((digest) => this.#table.delete(document, digest)))
  }

  #note({ link, from }: BroughtLink): Noted {
    const noted = this.#noted.get(link.document) ?? new Noted()
    this.#noted.set(link.document, noted)
    noted.links.set(link.digest, { parent: link.parent, from })
    return noted
  }

  async #load(document: DocumentId): Promise<DocumentClosed> {
    const open = new DocumentClosed()
    const noted = this.#noted.get(document)
    if (noted !== undefined) {
      for (const { digest, read, mend } of await this.#table.links(document)) {
        if (read === undefined) noted.links.delete(digest)
        else open.add(read.link)
        if (mend.length > 0) await this.#store.commit(mend)
      }
      const floor = this.#floors.get(document)
      if (floor !== undefined) {
        open.stand(floor)
        if (open.current === null) this.miss(document, floor)
      }
      this.#held = [open, ...this.#held].slice(0, HELD_MAX)
    }
    this.#open.set(document, new WeakRef(open))
    if (this.#open.size > NOTED_MAX)
      for (const [id, ref] of this.#open) if (ref.deref() === undefined) this.#open.delete(id)
    return open
  }
}

/** Of the known sets the one that names most of these ends; the present one where no other names more. */
function bestOf(open: DocumentClosed, ends: VersionVector): ClosedDigest | null {
  const worths = new Map<ClosedDigest, number | undefined>()
  const worthUpTo = (digest: ClosedDigest | null): number | undefined => {
    if (digest === null) return 0
    if (!worths.has(digest)) {
      const link = open.link(digest)
      const before = link && worthUpTo(link.parent)
      const own = before === undefined ? undefined : worthOf(link?.entries ?? [], ends)
      worths.set(digest, before === undefined || own === undefined ? undefined : before + own)
    }
    return worths.get(digest)
  }
  let best = { digest: open.current, worth: worthUpTo(open.current) ?? 0 }
  for (const { digest } of open.links()) {
    const worth = worthUpTo(digest) ?? 0
    if (worth > best.worth) best = { digest, worth }
  }
  return best.digest === null || open.entries(best.digest) === undefined ? open.current : best.digest
}
