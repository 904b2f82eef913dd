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
  readonly #entries: Map<DocumentId, IndexEntry>

  /** Keys under which no entry can be read. */
  readonly damaged: readonly Uint8Array[]

  private constructor(entries: Map<DocumentId, IndexEntry>, damaged: readonly Uint8Array[]) {
    this.#entries = entries
    this.damaged = damaged
  }

  /** Entries that are damaged are left out and named: their documents' blocks say what they were (`recover`). */
  static async load(store: Store): Promise<DocumentIndex> {
    const entries = new Map<DocumentId, IndexEntry>()
    const damaged: Uint8Array[] = []
    const prefix = tablePrefix(TABLES.document)
    for await (const { key, value } of store.examine({ from: prefix, to: afterPrefix(prefix) })) {
      const entry = value && readEntry(value)
      if (entry?.ok) entries.set(documentOfKey(key), entry.value)
      else damaged.push(key)
    }
    return new DocumentIndex(entries, damaged)
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
  put(document: DocumentId, entry: IndexEntry): Operation {
    return { type: 'put', key: documentKey(document), value: writeEntry(entry) }
  }

  /** Nothing is left of it, and its owner has taken that. Durable when it resolves. */
  async forget(document: DocumentId, store: Store): Promise<void> {
    await store.commit([{ type: 'delete', key: documentKey(document) }])
    this.#entries.delete(document)
  }

  /** Once that batch is durable. */
  remember(document: DocumentId, entry: IndexEntry): void {
    this.#entries.set(document, entry)
  }
}

const writeEntry = (entry: IndexEntry): Uint8Array =>
  encode((w) => {
    writeId(w, entry.name.agent)
    writeText(w, entry.name.layer)
    writeList(w, entry.forked, (incarnation) => writeId(w, incarnation))
  })

const readEntry = (value: Uint8Array): Result<IndexEntry, DecodeError> =>
  decode(value, (r): IndexEntry => {
    const name = { agent: readId<AgentId>(r, 32), layer: readText(r, NAME_CHARACTERS_MAX) }
    if (!isName(name.layer)) throw new Malformed()
    return { name, forked: readList(r, VECTOR_ENTRIES_MAX, () => readId<IncarnationId>(r, 16)) }
  })
