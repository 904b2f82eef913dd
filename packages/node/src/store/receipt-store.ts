import { decode, encode } from '@sealmesh/protocol/bytes'
import type { DocumentName } from '@sealmesh/protocol/crdt/block'
import { readClock, type VersionVector, writeClock } from '@sealmesh/protocol/crdt/clock'
import { Failure } from '@sealmesh/protocol/errors'
import type { NodeId } from '@sealmesh/protocol/ids'
import { VECTOR_ENTRIES_MAX } from '@sealmesh/protocol/limits'
import { afterPrefix, documentOfPeerKey, peerKey, peerPrefix, type PeerTable, TABLES } from './keys.ts'
import type { Operation, Store } from './store.ts'

/**
 * A version vector for each peer and document. In `receipt`: what the peer says that it has durably received, and all
 * that it does not cover is the outbox. In `handed`: what the relay has answered for, delivered or stored.
 */
export class ReceiptStore {
  readonly #store: Store
  readonly #table: PeerTable

  constructor(store: Store, table: PeerTable = TABLES.receipt) {
    this.#store = store
    this.#table = table
  }

  /** Of one peer, by the documents' names (`keyOf`). Damaged words are left out: a peer says them again. */
  async all(peer: NodeId): Promise<Map<string, VersionVector>> {
    const words = new Map<string, VersionVector>()
    const from = peerPrefix(this.#table, peer)
    for await (const { key, value } of this.#store.examine({ from, to: afterPrefix(from) })) {
      const vector = value && decode(value, (r) => readClock(r, VECTOR_ENTRIES_MAX))
      if (vector?.ok) words.set(documentOfPeerKey(key), vector.value)
    }
    return words
  }

  async clear(peer: NodeId): Promise<void> {
    const from = peerPrefix(this.#table, peer)
    const operations: Operation[] = []
    for await (const { key } of this.#store.examine({ from, to: afterPrefix(from) }))
      operations.push({ type: 'delete', key })
    if (operations.length > 0) await this.#store.commit(operations)
  }

  /** Empty when the peer has receipted nothing, or its word was damaged here: it says it again with the next heads. */
  async read(peer: NodeId, name: DocumentName): Promise<VersionVector> {
    const key = peerKey(this.#table, peer, name)
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
        key: peerKey(this.#table, peer, document),
        value: encode((w) => writeClock(w, vector)),
      })),
    )
  }
}
