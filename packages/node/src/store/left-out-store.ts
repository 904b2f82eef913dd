import {
  decode,
  encode,
  Malformed,
  type Reader,
  readByte,
  readId,
  readText,
  readUint,
  type Writer,
  writeByte,
  writeId,
  writeText,
  writeUint,
} from '@sealmesh/protocol/bytes'
import type { DocumentName } from '@sealmesh/protocol/crdt/block'
import { WALL_MS_MAX } from '@sealmesh/protocol/crdt/hybrid-time'
import type { AgentId, BlockHash, DocumentId, NodeId } from '@sealmesh/protocol/ids'
import { HASH_BYTES } from '@sealmesh/protocol/keys'
import { afterPrefix, documentOfKey, leftOutKey, TABLES, tablePrefix } from './keys.ts'
import type { Operation, Store } from './store.ts'

/** Something that was read here, and that a base which took its place has not got and does not account for. */
export interface LeftOut {
  readonly name: DocumentName
  readonly block: BlockHash
  readonly author: NodeId
  readonly wallMs: number
  readonly write: LeftWrite
}

export type LeftWrite =
  | { readonly type: 'set'; readonly key: string; readonly value: string }
  | { readonly type: 'text'; readonly key: string; readonly value: string }
  | { readonly type: 'delete'; readonly key: string }

const TYPES = ['set', 'delete', 'text'] as const
const NAME_BYTES_MAX = 4_096
/** Of a whole text; a value has less. */
const VALUE_BYTES_MAX = 2 ** 30

/**
 * More than this a person does not look through, and whoever sends bases could make it grow for ever: once there is so
 * much, no base takes anything away that it does not account for. One switch may add as much as its document holds.
 */
export const LEFT_OUT_MAX = 10_000
const LEFT_OUT_BYTES_MAX = 64 * 1_048_576

/** What bases have left out (docs/spec/09-bases.md §6), until somebody has dealt with it. */
export class LeftOutStore {
  readonly #store: Store
  /** Counted when it is asked for. */
  #size: { count: number; bytes: number } | undefined
  #isFull = false

  constructor(store: Store) {
    this.#store = store
  }

  put(document: DocumentId, left: LeftOut): Operation {
    return { type: 'put', key: keyOf(document, left), value: encode((w) => writeLeft(w, left)) }
  }

  /** What was put is durable. */
  landed(): void {
    this.#size = undefined
  }

  /** Whether more may be listed. */
  async hasRoom(): Promise<boolean> {
    const { count, bytes } = (this.#size ??= await this.#measure())
    this.#isFull = count >= LEFT_OUT_MAX || bytes >= LEFT_OUT_BYTES_MAX
    return !this.#isFull
  }

  /** A base was refused since there was no room. */
  get isFull(): boolean {
    return this.#isFull
  }

  /** Somebody has dealt with it. Durable when it resolves. */
  async remove(document: DocumentId, left: readonly LeftOut[]): Promise<void> {
    await this.#store.commit(left.map((each) => ({ type: 'delete', key: keyOf(document, each) })))
    this.#size = undefined
    this.#isFull = false
  }

  /** Of all documents, block by block. What is damaged is not given. */
  async *all(): AsyncGenerator<[DocumentId, LeftOut]> {
    const prefix = tablePrefix(TABLES.leftOut)
    for await (const { key, value } of this.#store.examine({ from: prefix, to: afterPrefix(prefix) })) {
      const left = value && decode(value, readLeft)
      if (left?.ok) yield [documentOfKey(key), left.value]
    }
  }

  async #measure(): Promise<{ count: number; bytes: number }> {
    const size = { count: 0, bytes: 0 }
    const prefix = tablePrefix(TABLES.leftOut)
    for await (const { key, value } of this.#store.examine({ from: prefix, to: afterPrefix(prefix) })) {
      size.count += 1
      size.bytes += key.length + (value?.length ?? 0)
    }
    return size
  }
}

const keyOf = (document: DocumentId, { block, write }: LeftOut): Uint8Array => leftOutKey(document, block, write.key)

function writeLeft(w: Writer, { name, block, author, wallMs, write }: LeftOut): void {
  writeId(w, name.agent)
  writeText(w, name.layer)
  writeId(w, block)
  writeId(w, author)
  writeUint(w, wallMs)
  writeByte(w, TYPES.indexOf(write.type))
  writeText(w, write.key)
  if (write.type !== 'delete') writeText(w, write.value)
}

function readLeft(r: Reader): LeftOut {
  const name = { agent: readId<AgentId>(r, HASH_BYTES), layer: readText(r, NAME_BYTES_MAX) }
  const block = readId<BlockHash>(r, HASH_BYTES)
  const author = readId<NodeId>(r, 32)
  const wallMs = readUint(r, WALL_MS_MAX)
  const type = TYPES[readByte(r)]
  if (type === undefined) throw new Malformed()
  const key = readText(r, NAME_BYTES_MAX)
  const write: LeftWrite = type === 'delete' ? { type, key } : { type, key, value: readText(r, VALUE_BYTES_MAX) }
  return { name, block, author, wallMs, write }
}
