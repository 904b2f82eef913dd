import type { Block } from '@sealmesh/protocol/crdt/block'
import { decodeWrites } from '@sealmesh/protocol/crdt/block-codec'
import type { Change } from '@sealmesh/protocol/crdt/document'
import { assert } from '@sealmesh/protocol/result'
import type { Mesh } from '@sealmesh/protocol/membership/mesh'
import { agentName } from '../service/context.ts'
import type { Happened } from './feed.ts'
import { WriteHappened } from './write-happened.ts'

/** The object, its arrays' heads and its place in the feed. */
const OBJECT_BYTES = 400

/**
 * Every write of a block, and each is what is now to be read. It keeps the block's bytes, which lie outside the heap
 * and are kept for pushing anyway: an object for each write would have the collector carry thousands of them about.
 */
export class BlockHappened implements Happened {
  readonly type: 'write'
  readonly agent: string
  readonly layer: string
  readonly count: number
  readonly bytes: number
  readonly #mesh: Mesh
  readonly #header: Block['header']
  readonly #block: Uint8Array
  readonly #local: boolean

  constructor(mesh: Mesh, { header, writes, bytes }: Block, local: boolean) {
    this.type = 'write'
    this.agent = agentName(mesh, header.document.agent)
    this.layer = header.document.layer
    this.count = writes.length
    this.bytes = OBJECT_BYTES + bytes.length
    this.#mesh = mesh
    this.#header = header
    this.#block = bytes
    this.#local = local
  }

  make(index: number): ReturnType<Happened['make']> {
    const { document, author, time } = this.#header
    const write = writesOf(this.#block)[index]
    assert(write !== undefined && write.type !== 'text', 'registers alone are told by their block')
    const value = write.type === 'set' ? write.value : undefined
    const change = { ...write, value, author, time } as Change
    return new WriteHappened(this.#mesh, document, change, this.#local).make()
  }
}

/** Whether `changes` from `at` on are the block's writes, one by one: nothing else was shown instead of any of them. */
export function isToldBy({ header, writes }: Block, changes: readonly Change[], at: number): boolean {
  if (writes.length > changes.length - at) return false
  return writes.every((write, index) => {
    const change = changes[at + index]
    // One time object for all that a block says: the same one is the same block.
    return (
      write.type !== 'text' && change?.type === write.type && change.key === write.key && change.time === header.time
    )
  })
}

/** Who reads events reads all of a block, one after another. */
let lastRead: { readonly bytes: Uint8Array; readonly writes: Block['writes'] } | undefined

function writesOf(bytes: Uint8Array): Block['writes'] {
  if (lastRead?.bytes !== bytes) {
    const writes = decodeWrites(bytes)
    assert(writes.ok, 'it was a block when it was committed')
    lastRead = { bytes, writes: writes.value }
  }
  return lastRead.writes
}
