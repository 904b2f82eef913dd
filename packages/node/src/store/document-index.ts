import {
  type DecodeError,
  decode,
  encode,
  Malformed,
  readId,
  readList,
  readText,
  writeId,
  writeList,
  writeText,
} from '@sealmesh/protocol/bytes'
import type { DocumentName } from '@sealmesh/protocol/crdt/block'
import { type AgentId, type DocumentId, type IncarnationId, isName, NAME_CHARACTERS_MAX } from '@sealmesh/protocol/ids'
import { VECTOR_ENTRIES_MAX } from '@sealmesh/protocol/limits'
import type { Result } from '@sealmesh/protocol/result'
import { IndexPages } from './index-pages.ts'
import { afterPrefix, documentKey, documentOfKey, TABLES, tablePrefix } from './keys.ts'
import type { Operation, Store } from './store.ts'

/** What is known of a document without loading it. */
export interface IndexEntry {
  readonly name: DocumentName
  /** Incarnations with two branches: only for them does a delta need ancestry instead of sequences. */
  readonly forked: readonly IncarnationId[]
}

/** Every document that has a block here. Held in memory: 10,000 of them are some 2 MB, and starting reads only these. */
export class DocumentIndex {
  readonly #store: Store
  readonly #pages: IndexPages
  readonly #entries: Map<DocumentId, IndexEntry>
  /** The pages say less than the entries. */
  #behind: boolean

  /** Keys under which no entry can be read. */
  readonly damaged: readonly Uint8Array[]

  private constructor(
    store: Store,
    pages: IndexPages,
    { entries, damaged, behind }: { entries: Map<DocumentId, IndexEntry>; damaged: Uint8Array[]; behind: boolean },
  ) {
    this.#store = store
    this.#pages = pages
    this.#entries = entries
    this.#behind = behind
    this.damaged = damaged
  }

  /** Entries that are damaged are left out and named: their documents' blocks say what they were (`recover`). */
  static async load(store: Store): Promise<DocumentIndex> {
    const pages = new IndexPages()
    const damaged: Uint8Array[] = []
    const read = await pages.read(store)
    if (read !== undefined) {
      for (const document of read.unpaged) {
        const key = documentKey(document)
        for await (const { value } of store.examine({ from: key, to: afterPrefix(key), first: true })) {
          const entry = value && readEntry(value)
          if (entry?.ok) read.paged.set(document, entry.value)
          else damaged.push(key)
        }
      }
      return new DocumentIndex(store, pages, { entries: read.paged, damaged, behind: read.unpaged.length > 0 })
    }
    const entries = new Map<DocumentId, IndexEntry>()
    const prefix = tablePrefix(TABLES.document)
    for await (const { key, value } of store.examine({ from: prefix, to: afterPrefix(prefix) })) {
      const entry = value && readEntry(value)
      if (entry?.ok) entries.set(documentOfKey(key), entry.value)
      else damaged.push(key)
    }
    return new DocumentIndex(store, pages, { entries, damaged, behind: entries.size > 0 })
  }

  get(document: DocumentId): IndexEntry | undefined {
    return this.#entries.get(document)
  }

  entries(): Iterable<[DocumentId, IndexEntry]> {
    return this.#entries
  }

  names(): DocumentName[] {
    return [...this.#entries.values()].map((entry) => entry.name)
  }

  /** Goes into the batch that holds the blocks which make it true. */
  put(document: DocumentId, entry: IndexEntry): Operation[] {
    return [{ type: 'put', key: documentKey(document), value: writeEntry(entry) }, this.#pages.added(document)]
  }

  /** The note that the pages have not got its entry, for a start that cannot ask memory. */
  unpaged(document: DocumentId): Operation {
    this.#behind = true
    return this.#pages.added(document)
  }

  /** Nothing is left of it, and its owner has taken that. Durable when it resolves. */
  async forget(document: DocumentId): Promise<void> {
    await this.#store.commit([{ type: 'delete', key: documentKey(document) }, this.#pages.dropped()])
    this.#entries.delete(document)
    this.#behind = true
  }

  /** Once that batch is durable. */
  remember(document: DocumentId, entry: IndexEntry): void {
    this.#entries.set(document, entry)
    this.#pages.remember(document)
    this.#behind = true
    // What fails is tried again with the next; the entries are there in any case.
    if (this.#pages.full) this.writePages().catch(() => undefined)
  }

  /** So that the next start is a quick one. */
  async writePages(): Promise<void> {
    if (!this.#behind) return
    this.#behind = false
    await this.#store.commit(() => this.#pages.write(this.#entries))
  }
}

const writeEntry = (entry: IndexEntry): Uint8Array =>
  encode((w) => {
    writeId(w, entry.name.agent)
    writeText(w, entry.name.layer)
    writeList(w, entry.forked, (incarnation) => writeId(w, incarnation))
  })

export const readEntry = (value: Uint8Array): Result<IndexEntry, DecodeError> =>
  decode(value, (r): IndexEntry => {
    const name = { agent: readId<AgentId>(r, 32), layer: readText(r, NAME_CHARACTERS_MAX) }
    if (!isName(name.layer)) throw new Malformed()
    return { name, forked: readList(r, VECTOR_ENTRIES_MAX, () => readId<IncarnationId>(r, 16)) }
  })
