import { decode, encode, readId, readList, readUint, writeId, writeList, writeUint } from '@sealmesh/protocol/bytes'
import { type Dot, entriesOf, SEQUENCE_MAX, type VersionVector } from '@sealmesh/protocol/crdt/clock'
import type { BlockHash, DocumentId, IncarnationId } from '@sealmesh/protocol/ids'
import { VECTOR_ENTRIES_MAX } from '@sealmesh/protocol/limits'
import { afterPrefix, documentOfKey, incarnationOfTipKey, TABLES, tablePrefix, tipKey, tipsPrefix } from './keys.ts'
import type { Operation, Store } from './store.ts'

/** What is written of one document: its id, and what its last blocks are. */
export interface StoredTips {
  readonly document: DocumentId
  readonly tips: VersionVector
  /** An entry of it was damaged and is left out. */
  readonly damaged: boolean
}

/**
 * The last blocks of every incarnation, written in the batch that holds those blocks. It repeats what the blocks say,
 * for two uses: a start reads what is durable of all documents in one pass, and a lost end shows.
 */
export class TipStore {
  readonly #store: Store

  constructor(store: Store) {
    this.#store = store
  }

  /** For these incarnations, which have just grown, what `vector` says of them. */
  put(document: DocumentId, vector: VersionVector, incarnations: Iterable<IncarnationId>): Operation[] {
    return [...incarnations].map((incarnation) => ({
      type: 'put',
      key: tipKey(document, incarnation),
      value: encode((w) =>
        writeList(w, entriesOf(vector, incarnation), (dot) => {
          writeUint(w, dot.sequence)
          writeId(w, dot.hash)
        }),
      ),
    }))
  }

  async read(document: DocumentId): Promise<VersionVector> {
    for await (const { tips } of this.#scan(tipsPrefix(document))) return tips
    return []
  }

  /** Every document that has any, in the order of their ids. */
  all(): AsyncGenerator<StoredTips> {
    return this.#scan(tablePrefix(TABLES.tips))
  }

  /** To forget what the blocks of a document once were. */
  async remove(document: DocumentId): Promise<Operation[]> {
    const tips = await this.read(document)
    return [...new Set(tips.map((dot) => dot.incarnation))].map((incarnation) => ({
      type: 'delete',
      key: tipKey(document, incarnation),
    }))
  }

  async *#scan(prefix: Uint8Array): AsyncGenerator<StoredTips> {
    let document: DocumentId | undefined
    let tips: Dot[] = []
    let damaged = false
    for await (const { key, value } of this.#store.examine({ from: prefix, to: afterPrefix(prefix) })) {
      const next = documentOfKey(key)
      if (document !== undefined && document !== next) {
        yield { document, tips, damaged }
        tips = []
        damaged = false
      }
      document = next
      const incarnation = incarnationOfTipKey(key)
      const dots = value && readTips(value)
      if (dots === undefined) damaged = true
      else for (const dot of dots) tips.push({ incarnation, ...dot })
    }
    if (document !== undefined) yield { document, tips, damaged }
  }
}

function readTips(value: Uint8Array): { sequence: number; hash: BlockHash }[] | undefined {
  const dots = decode(value, (r) =>
    readList(r, VECTOR_ENTRIES_MAX, () => ({ sequence: readUint(r, SEQUENCE_MAX), hash: readId<BlockHash>(r, 32) })),
  )
  return dots.ok ? dots.value : undefined
}
