import type { RecordHash } from '@sealmesh/protocol/ids'
import type { SignedRecord } from '@sealmesh/protocol/membership/record'
import { afterPrefix, hashOfRecordKey, placeOfRecordKey, recordKey, TABLES, tablePrefix } from './keys.ts'
import type { Store } from './store.ts'

const PREFIX = tablePrefix(TABLES.record)

/** The membership log's records as they were signed, in the order in which they were stored. */
export class RecordStore {
  readonly #store: Store
  readonly #stored = new Set<RecordHash>()
  #next = 1

  private constructor(store: Store) {
    this.#store = store
  }

  /**
   * Reads all: the log is folded at every start, and has at most RECORDS_MAX records. Damaged ones are left out and
   * counted: a peer, or the copy beside the database, has them.
   */
  static async load(store: Store): Promise<{ records: RecordStore; stored: Uint8Array[]; damaged: Uint8Array[] }> {
    const records = new RecordStore(store)
    const stored: Uint8Array[] = []
    const damaged: Uint8Array[] = []
    for await (const { key, value } of store.examine({ from: PREFIX, to: afterPrefix(PREFIX) })) {
      if (value === undefined) {
        damaged.push(key)
        continue
      }
      records.#stored.add(hashOfRecordKey(key))
      records.#next = Math.max(records.#next, placeOfRecordKey(key) + 1)
      stored.push(value)
    }
    return { records, stored, damaged }
  }

  has(hash: RecordHash): boolean {
    return this.#stored.has(hash)
  }

  /** Durable when it resolves. Records that are stored already are left as they are. */
  async put(records: readonly SignedRecord[]): Promise<void> {
    const fresh = records.filter((record) => !this.#stored.has(record.hash))
    const first = this.#next
    this.#next += fresh.length
    await this.#store.commit(
      fresh.map((record, i) => ({ type: 'put', key: recordKey(first + i, record.hash), value: record.bytes })),
    )
    for (const record of fresh) this.#stored.add(record.hash)
  }
}
