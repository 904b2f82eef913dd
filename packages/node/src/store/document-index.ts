import {
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
import { Failure } from '@sealmesh/protocol/errors'
import { type AgentId, type DocumentId, type IncarnationId, isName, NAME_CHARACTERS_MAX } from '@sealmesh/protocol/ids'
import { VECTOR_ENTRIES_MAX } from '@sealmesh/protocol/limits'
import { afterPrefix, describeKey, documentKey, documentOfKey, TABLES, tablePrefix } from './keys.ts'
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

  private constructor(entries: Map<DocumentId, IndexEntry>) {
    this.#entries = entries
  }

  static async load(store: Store): Promise<DocumentIndex> {
    const entries = new Map<DocumentId, IndexEntry>()
    const prefix = tablePrefix(TABLES.document)
    for await (const [key, value] of store.read({ from: prefix, to: afterPrefix(prefix) })) {
      entries.set(documentOfKey(key), readEntry(key, value))
    }
    return new DocumentIndex(entries)
  }

  get(document: DocumentId): IndexEntry | undefined {
    return this.#entries.get(document)
  }

  names(): DocumentName[] {
    return [...this.#entries.values()].map((entry) => entry.name)
  }

  /** Goes into the batch that holds the blocks which make it true. */
  put(document: DocumentId, entry: IndexEntry): Operation {
    return { type: 'put', key: documentKey(document), value: writeEntry(entry) }
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

function readEntry(key: Uint8Array, value: Uint8Array): IndexEntry {
  const entry = decode(value, (r): IndexEntry => {
    const name = { agent: readId<AgentId>(r, 32), layer: readText(r, NAME_CHARACTERS_MAX) }
    if (!isName(name.layer)) throw new Malformed()
    return { name, forked: readList(r, VECTOR_ENTRIES_MAX, () => readId<IncarnationId>(r, 16)) }
  })
  if (!entry.ok) throw new Failure('STORE_DAMAGED', `Stored bytes cannot be read: ${describeKey(key)}.`)
  return entry.value
}
