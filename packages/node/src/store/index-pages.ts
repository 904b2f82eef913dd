import { equalBytes, utf8 } from '@sealmesh/protocol/bytes'
import type { AgentId, DocumentId, IncarnationId } from '@sealmesh/protocol/ids'
import type { IndexEntry } from './document-index.ts'
import { afterPrefix, documentOfKey, pageKey, TABLES, tablePrefix, unpagedKey } from './keys.ts'
import type { Operation, Store } from './store.ts'

/** Some 25 KiB: of 10,000 documents a start reads 40 of them in a millisecond or two, and entries in 100. */
const ENTRIES_PER_PAGE = 256
/** Pages are written again when so many entries are in none: a start reads those one by one. */
const UNPAGED_MAX = 1_024

/**
 * The index of documents once more, many entries to a page, so that a node with 10,000 documents starts in the time of
 * one. The entries themselves are what counts; a page that is damaged, missing or too many makes a start read them.
 */
export class IndexPages {
  readonly #unpaged = new Set<DocumentId>()
  /** Pages that mean nothing. */
  #stale: Uint8Array[] = []

  /** Entries of the pages, and the documents that are in none; undefined when the entries have to be read instead. */
  async read(store: Store): Promise<{ paged: Map<DocumentId, IndexEntry>; unpaged: DocumentId[] } | undefined> {
    const paged = new Map<DocumentId, IndexEntry>()
    const keys: Uint8Array[] = []
    let of: number | undefined
    let whole = true
    const from = tablePrefix(TABLES.page)
    for await (const { key, value } of store.examine({ from, to: afterPrefix(from) })) {
      const page = value && readPage(value)
      whole &&= page !== undefined && page.of === (of ?? page.of) && equalBytes(key, pageKey(keys.length))
      keys.push(key)
      if (!whole || page === undefined) continue
      of = page.of
      addEntries(page, paged)
    }
    if (!whole || keys.length !== of) {
      this.#stale = keys
      return undefined
    }
    const unpaged = tablePrefix(TABLES.unpaged)
    for await (const { key } of store.examine({ from: unpaged, to: afterPrefix(unpaged) }))
      this.#unpaged.add(documentOfKey(key))
    return { paged, unpaged: [...this.#unpaged] }
  }

  /** Goes with an entry that is new, or another one than the pages have. */
  added(document: DocumentId): Operation {
    return { type: 'put', key: unpagedKey(document), value: new Uint8Array() }
  }

  /** Once that is durable. */
  remember(document: DocumentId): void {
    this.#unpaged.add(document)
  }

  /** Goes with an entry that is deleted: without their first one the pages mean nothing. */
  dropped(): Operation {
    return { type: 'delete', key: pageKey(0) }
  }

  get full(): boolean {
    return this.#unpaged.size >= UNPAGED_MAX
  }

  /** All of them again. Gives what to write; the entries that are added meanwhile stay in no page. */
  write(entries: ReadonlyMap<DocumentId, IndexEntry>): readonly Operation[] {
    const all = [...entries]
    const of = Math.max(1, Math.ceil(all.length / ENTRIES_PER_PAGE))
    const operations: Operation[] = this.#stale.map((key) => ({ type: 'delete', key }))
    this.#stale = []
    for (let page = 0; page < of; page++) {
      const some = all.slice(page * ENTRIES_PER_PAGE, (page + 1) * ENTRIES_PER_PAGE)
      operations.push({ type: 'put', key: pageKey(page), value: writePage(of, some) })
    }
    for (const document of this.#unpaged) operations.push({ type: 'delete', key: unpagedKey(document) })
    this.#unpaged.clear()
    return operations
  }
}

/**
 * JSON, in columns: it is read by native code, where a decoder of ours that has just been loaded, and is not compiled
 * yet, takes ten times as long over 10,000 entries.
 */
function writePage(of: number, entries: readonly [DocumentId, IndexEntry][]): Uint8Array {
  const agents = [...new Set(entries.map(([, { name }]) => name.agent))]
  const places = new Map(agents.map((agent, place) => [agent, place]))
  const page: Page = {
    of,
    agents,
    documents: entries.map(([document]) => document),
    agentOf: entries.map(([, { name }]) => places.get(name.agent) ?? 0),
    layers: entries.map(([, { name }]) => name.layer),
    forked: entries.flatMap(([, { forked }], at) => (forked.length === 0 ? [] : [[at, forked]])),
  }
  return utf8(JSON.stringify(page))
}

interface Page {
  readonly of: number
  readonly agents: readonly AgentId[]
  readonly documents: readonly DocumentId[]
  readonly agentOf: readonly number[]
  readonly layers: readonly string[]
  /** Where in the columns, and which incarnations. */
  readonly forked: readonly (readonly [number, readonly IncarnationId[]])[]
}

/** The check of a stored value says that it is what we wrote, so no more is looked at than its outline. */
function readPage(value: Uint8Array): Page | undefined {
  try {
    const page = JSON.parse(Buffer.from(value.buffer, value.byteOffset, value.length).toString()) as Page
    const { of, documents, agentOf, layers } = page
    return of > 0 && documents.length === agentOf.length && documents.length === layers.length ? page : undefined
  } catch {
    return undefined
  }
}

function addEntries({ agents, documents, agentOf, layers, forked }: Page, to: Map<DocumentId, IndexEntry>): void {
  const branched = new Map(forked)
  for (let at = 0; at < documents.length; at++) {
    const name = { agent: agents[agentOf[at]!]!, layer: layers[at]! }
    to.set(documents[at]!, { name, forked: branched.get(at) ?? NONE })
  }
}

const NONE: readonly IncarnationId[] = Object.freeze([])
