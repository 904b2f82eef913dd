import { decode, encode } from '@sealmesh/protocol/bytes'
import type { DocumentName } from '@sealmesh/protocol/crdt/block'
import { documentIdOf } from '@sealmesh/protocol/crdt/block-codec'
import { readClock, type VersionVector, writeClock } from '@sealmesh/protocol/crdt/clock'
import {
  expandFloored,
  type Floored,
  type Floors,
  NO_FLOORS,
  overFloor,
  readFloor,
  writeFloor,
} from '@sealmesh/protocol/crdt/floor'
import { Failure } from '@sealmesh/protocol/errors'
import type { AgentId, ClosedDigest, DocumentId, NodeId } from '@sealmesh/protocol/ids'
import { BASE_ENDS_MAX } from '@sealmesh/protocol/limits'
import type { Sodium } from '@sealmesh/protocol/sodium'
import { afterPrefix, documentOfPeerKey, peerKey, peerPrefix, type PeerTable, tablePrefix, TABLES } from './keys.ts'
import type { Operation, Store } from './store.ts'

/** Where a document's closed sets are. */
interface Closed {
  readonly floorsOf: (name: DocumentName) => Promise<Floors>
  readonly floorsFor: (name: DocumentName, vector: VersionVector, by: NodeId) => Promise<readonly Floors[]>
}

const NO_CLOSED: Closed = { floorsOf: async () => NO_FLOORS, floorsFor: async () => [NO_FLOORS] }

/**
 * A version vector for each peer and document. In `receipt`: what the peer says that it has durably received, and all
 * that it does not cover is the outbox. In `handed`: what the relay has answered for, delivered or stored.
 */
export class ReceiptStore {
  readonly #store: Store
  readonly #table: PeerTable
  readonly #closed: Closed

  constructor(store: Store, table: PeerTable = TABLES.receipt, closed: Closed = NO_CLOSED) {
    this.#store = store
    this.#table = table
    this.#closed = closed
  }

  /** Of one peer, by the documents' names (`keyOf`). Damaged words are left out: a peer says them again. */
  async all(peer: NodeId): Promise<Map<string, VersionVector>> {
    const words = new Map<string, VersionVector>()
    const from = peerPrefix(this.#table, peer)
    for await (const { key, value } of this.#store.examine({ from, to: afterPrefix(from) })) {
      const name = documentOfPeerKey(key)
      const vector = value && (await this.#read(value, nameOf(name)))
      if (vector !== undefined) words.set(name, vector)
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
      return (value && (await this.#read(value, name))) ?? []
    } catch (error) {
      if (!(error instanceof Failure) || error.code !== 'STORE_DAMAGED') throw error
      return []
    }
  }

  /** Durable when it resolves. */
  async write(peer: NodeId, said: readonly { document: DocumentName; vector: VersionVector }[]): Promise<void> {
    const operations: Operation[] = []
    for (const { document, vector } of said) {
      const ways = await this.#closed.floorsFor(document, vector, peer)
      const { floor, rest } = ways.map((floors) => overFloor(vector, floors)).reduce(shorter)
      const value = encode((w) => {
        writeFloor(w, floor)
        writeClock(w, rest)
      })
      operations.push({ type: 'put', key: peerKey(this.#table, peer, document), value })
    }
    await this.#store.commit(operations)
  }

  async #read(value: Uint8Array, name: DocumentName): Promise<VersionVector | undefined> {
    const floored = readWord(value)
    if (floored === undefined || floored.floor === null) return floored?.rest
    return expandFloored(floored, await this.#closed.floorsOf(name))
  }
}

const shorter = (a: Floored, b: Floored): Floored => (b.rest.length < a.rest.length ? b : a)

/** The closed sets that peers' words of a document stand on as they are stored. */
export async function floorsReceipted(store: Store, document: DocumentId, sodium: Sodium): Promise<Set<ClosedDigest>> {
  const named = new Set<ClosedDigest>()
  for (const prefix of [TABLES.receipt, TABLES.handed].map(tablePrefix)) {
    for await (const { key, value } of store.examine({ from: prefix, to: afterPrefix(prefix) })) {
      if (value === undefined || documentIdOf(nameOf(documentOfPeerKey(key)), sodium) !== document) continue
      const floor = readWord(value)?.floor
      if (floor) named.add(floor.digest)
    }
  }
  return named
}

function readWord(value: Uint8Array): Floored | undefined {
  const floored = decode(value, (r) => ({ floor: readFloor(r), rest: readClock(r, BASE_ENDS_MAX) }))
  return floored.ok ? floored.value : undefined
}

const nameOf = (key: string): DocumentName => {
  const dot = key.indexOf('.')
  return { agent: key.slice(0, dot) as AgentId, layer: key.slice(dot + 1) }
}
