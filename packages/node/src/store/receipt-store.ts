import { decode, encode } from '@sealmesh/protocol/bytes'
import type { DocumentName } from '@sealmesh/protocol/crdt/block'
import { readClock, type VersionVector, writeClock } from '@sealmesh/protocol/crdt/clock'
import { Failure } from '@sealmesh/protocol/errors'
import type { NodeId } from '@sealmesh/protocol/ids'
import { VECTOR_ENTRIES_MAX } from '@sealmesh/protocol/limits'
import { describeKey, receiptKey } from './keys.ts'
import type { Store } from './store.ts'

/** What each peer says that it has durably received of each document: all that it does not cover is the outbox. */
export class ReceiptStore {
  readonly #store: Store

  constructor(store: Store) {
    this.#store = store
  }

  /** Empty when the peer has receipted nothing. */
  async read(peer: NodeId, name: DocumentName): Promise<VersionVector> {
    const key = receiptKey(peer, name)
    const value = await this.#store.get(key)
    if (value === undefined) return []
    const vector = decode(value, (r) => readClock(r, VECTOR_ENTRIES_MAX))
    if (!vector.ok) throw new Failure('STORE_DAMAGED', `Stored bytes cannot be read: ${describeKey(key)}.`)
    return vector.value
  }

  /** Durable when it resolves. */
  write(peer: NodeId, said: readonly { document: DocumentName; vector: VersionVector }[]): Promise<void> {
    return this.#store.commit(
      said.map(({ document, vector }) => ({
        type: 'put',
        key: receiptKey(peer, document),
        value: encode((w) => writeClock(w, vector)),
      })),
    )
  }
}
