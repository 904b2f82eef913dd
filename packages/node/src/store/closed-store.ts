import { concatBytes, fromHex, toHex } from '@sealmesh/protocol/bytes'
import { type ClosedLink, decodeLink } from '@sealmesh/protocol/crdt/closed-set'
import type { ClosedDigest, DocumentId, NodeId } from '@sealmesh/protocol/ids'
import { HASH_BYTES } from '@sealmesh/protocol/keys'
import type { Sodium } from '@sealmesh/protocol/sodium'
import {
  afterPrefix,
  closedKey,
  closedPrefix,
  type ClosedTable,
  digestOfClosedKey,
  documentOfKey,
  floorKey,
  TABLES,
  tablePrefix,
} from './keys.ts'
import type { Operation, Store } from './store.ts'

/** A link, and who sent it; null: made here. */
export interface BroughtLink {
  readonly link: ClosedLink
  readonly from: NodeId | null
}

/** What lies under one name; undefined when both copies are damaged. `mend` writes again the one that is. */
interface Found {
  readonly document: DocumentId
  readonly digest: ClosedDigest
  readonly read: BroughtLink | undefined
  readonly mend: readonly Operation[]
}

const NOBODY = '0'.repeat(64)
const NODE_BYTES = 32

/**
 * Links of closed sets as they were made, and on which set each document stands. Each link is kept twice: without it
 * nobody can tell what a block says that names it, and it may be nowhere else.
 */
export class ClosedStore {
  readonly #store: Store
  readonly #sodium: Sodium

  constructor(store: Store, sodium: Sodium) {
    this.#store = store
    this.#sodium = sodium
  }

  put({ link, from }: BroughtLink): Operation[] {
    const value = concatBytes(fromHex(from ?? NOBODY), link.bytes)
    return BOTH.map((table) => ({ type: 'put', key: closedKey(table, link.document, link.digest), value }))
  }

  delete(document: DocumentId, digest: ClosedDigest): Operation[] {
    return BOTH.map((table) => ({ type: 'delete', key: closedKey(table, document, digest) }))
  }

  stand(document: DocumentId, digest: ClosedDigest): Operation {
    return { type: 'put', key: floorKey(document), value: fromHex(digest) }
  }

  /** Of one document. */
  async links(document: DocumentId): Promise<Found[]> {
    const all: Found[] = []
    for await (const found of this.#scan((table) => closedPrefix(table, document))) all.push(found)
    return all
  }

  /** Of all documents. */
  all(): AsyncGenerator<Found> {
    return this.#scan(tablePrefix)
  }

  /** On which set each document stands; a word that is damaged is left out, and found again with the next base. */
  async floors(): Promise<Map<DocumentId, ClosedDigest>> {
    const prefix = tablePrefix(TABLES.floor)
    const floors = new Map<DocumentId, ClosedDigest>()
    for await (const { key, value } of this.#store.examine({ from: prefix, to: afterPrefix(prefix) }))
      if (value?.length === HASH_BYTES) floors.set(documentOfKey(key), toHex(value) as ClosedDigest)
    return floors
  }

  /** The first copies are read; of the second ones those alone whose first is not whole. */
  async *#scan(prefixOf: (table: ClosedTable) => Uint8Array): AsyncGenerator<Found> {
    const twins = new Map<string, boolean>()
    const range = (table: ClosedTable) => ({ from: prefixOf(table), to: afterPrefix(prefixOf(table)) })
    for await (const { key, value } of this.#store.examine(range(TABLES.closedTwin)))
      twins.set(toHex(key.subarray(1)), value !== undefined)
    for await (const { key, value } of this.#store.examine(range(TABLES.closed))) {
      const name = toHex(key.subarray(1))
      const isTwinWhole = twins.get(name) === true
      twins.delete(name)
      const read = this.#read(key, value)
      if (read === undefined) yield await this.#fromTwin(key)
      else yield { ...named(key), read, mend: isTwinWhole ? [] : this.put(read) }
    }
    for (const name of twins.keys())
      yield await this.#fromTwin(concatBytes(Uint8Array.of(TABLES.closed), fromHex(name)))
  }

  async #fromTwin(key: Uint8Array): Promise<Found> {
    const twin = key.with(0, TABLES.closedTwin)
    const read = this.#read(twin, await this.#store.get(twin).catch(() => undefined))
    return { ...named(key), read, mend: read === undefined ? [] : this.put(read) }
  }

  #read(key: Uint8Array, value: Uint8Array | undefined): BroughtLink | undefined {
    const link = value && linkUnder(key, value, this.#sodium)
    if (value === undefined || link === undefined) return undefined
    const from = toHex(value.subarray(0, NODE_BYTES)) as NodeId
    return { link, from: from === NOBODY ? null : from }
  }
}

/** Undefined where it is not the one that its key names. */
export function linkUnder(key: Uint8Array, value: Uint8Array, sodium: Sodium): ClosedLink | undefined {
  const link = decodeLink(value.subarray(NODE_BYTES), sodium)
  const { document, digest } = named(key)
  return link?.digest === digest && link.document === document ? link : undefined
}

const BOTH: readonly ClosedTable[] = [TABLES.closed, TABLES.closedTwin]
const named = (key: Uint8Array) => ({ document: documentOfKey(key), digest: digestOfClosedKey(key) })
