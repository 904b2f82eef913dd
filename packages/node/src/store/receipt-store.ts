import { decode, encode } from '@sealmesh/protocol/bytes'
import type { DocumentName } from '@sealmesh/protocol/crdt/block'
import { readClock, type VersionVector, writeClock } from '@sealmesh/protocol/crdt/clock'
import { Failure } from '@sealmesh/protocol/errors'
import type { NodeId } from '@sealmesh/protocol/ids'
import { VECTOR_ENTRIES_MAX } from '@sealmesh/protocol/limits'
import { receiptKey } from './keys.ts'
import type { Store } from './store.ts'

/** What each peer says that it has durably received of each document: all that it does not cover is the outbox. */
export class ReceiptStore {
  readonly #store: Store

  constructor(store: Store) {
    this.#store = store
  }

  /** Empty when the peer has receipted nothing, or its word was damaged here: it says it again with the next heads. */
  async read(peer: NodeId, name: DocumentName): Promise<VersionVector> {
    const key = receiptKey(peer, name)
    try {
      const value = await this.#store.get(key)
      const vector = value && decode(value, (r) => readClock(r, VECTOR_ENTRIES_MAX))
      return vector?.ok ? vector.value : []
    } catch (error) {
      if (!(error instanceof Failure) || error.code !== 'STORE_DAMAGED') throw error
      return []
    }
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
