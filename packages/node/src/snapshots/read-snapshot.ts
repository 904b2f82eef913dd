import { promisify } from 'node:util'
import { inflateRaw } from 'node:zlib'
import { toHex } from '@sealmesh/protocol/bytes'
import { Failure } from '@sealmesh/protocol/errors'
import type { ChunkId } from '@sealmesh/protocol/ids'
import { MembershipLog } from '@sealmesh/protocol/membership/log'
import type { Mesh } from '@sealmesh/protocol/membership/mesh'
import { decodeRecord } from '@sealmesh/protocol/membership/record-codec'
import { CHUNK_BYTES_MAX, type Entry, ImageReader } from '@sealmesh/protocol/snapshots/image'
import {
  chunkIdOf,
  type OpenedRoot,
  openChunk,
  openRoot,
  type Part,
  type PartName,
} from '@sealmesh/protocol/snapshots/sealed'
import type { Sodium } from '@sealmesh/protocol/sodium'

/** Where a snapshot lies: a file, or a relay's vault. Null for what is not there. */
export interface SnapshotSource {
  root(): Promise<Uint8Array | null>
  chunk(id: ChunkId): Promise<Uint8Array | null>
}

const inflate = promisify(inflateRaw)
const ID_BYTES = 32
/** Asked for ahead of the one that is read: what a relay answers at once. */
const AHEAD = 4

/** A snapshot that is open. Whatever is read of it was compared with its hash. */
export class SnapshotReader {
  readonly root: OpenedRoot
  readonly #source: SnapshotSource
  readonly #sodium: Sodium
  readonly #ids: readonly ChunkId[]

  private constructor(root: OpenedRoot, ids: readonly ChunkId[], source: SnapshotSource, sodium: Sodium) {
    this.root = root
    this.#ids = ids
    this.#source = source
    this.#sodium = sodium
  }

  /** Throws SNAPSHOT_SEALED when this key opens nothing of it, SNAPSHOT_INVALID when something is missing or changed. */
  static async open(
    source: SnapshotSource,
    by: Parameters<typeof openRoot>[1],
    sodium: Sodium,
  ): Promise<SnapshotReader> {
    const bytes = await source.root()
    if (bytes === null) throw invalid('its beginning is missing')
    const root = openRoot(bytes, by, sodium)
    if (root === undefined)
      throw new Failure('SNAPSHOT_SEALED', 'This key does not open the snapshot, or its beginning was changed.')
    const ids: ChunkId[] = []
    for (const id of root.index) {
      const run = await readChunk(source, id, root, CHUNK_BYTES_MAX, sodium)
      for (let at = 0; at < run.length; at += ID_BYTES) ids.push(toHex(run.subarray(at, at + ID_BYTES)) as ChunkId)
    }
    if (ids.length !== root.parts.reduce((sum, part) => sum + part.chunks, 0)) throw invalid('its index is another one')
    return new SnapshotReader(root, ids, source, sodium)
  }

  part(name: PartName): Part | undefined {
    return this.root.parts.find((part) => part.name === name)
  }

  /** What it holds of that part, some at a time, in the order in which it was written; nothing if it has no such part. */
  async *entries(name: PartName): AsyncGenerator<readonly Entry[]> {
    const part = this.part(name)
    if (part === undefined) return
    const from = this.root.parts.slice(0, this.root.parts.indexOf(part)).reduce((sum, { chunks }) => sum + chunks, 0)
    const reader = new ImageReader()
    let count = 0
    let bytes = 0
    for await (const chunk of this.#chunks(this.#ids.slice(from, from + part.chunks))) {
      bytes += chunk.length
      const entries = reader.push(chunk)
      if (entries === undefined) throw invalid('what is in it cannot be read')
      count += entries.length
      yield entries
    }
    if (!reader.isAtEnd || count !== part.entries || bytes !== part.bytes)
      throw invalid('it holds another number of entries than it says')
  }

  /** The log that is in it, each record checked anew. */
  async log(): Promise<{ readonly mesh: Mesh; readonly records: readonly Uint8Array[] }> {
    const log = new MembershipLog(this.root.mesh, this.#sodium)
    const records: Uint8Array[] = []
    for await (const entries of this.entries('records'))
      for (const { value } of entries) {
        const record = decodeRecord(value, this.#sodium)
        if (!record.ok || log.add(record.value) === 'refused') throw invalid('a record of its log is not good')
        records.push(value)
      }
    return { mesh: log.mesh, records }
  }

  /** Throws unless the node that it names, in this log, has signed it. */
  requireSignature(mesh: Mesh): void {
    const { root } = this
    const node = mesh.nodes.get(root.node)
    if (mesh.id !== root.mesh || node === undefined || !root.isSignedBy(node.signKey))
      throw invalid('it is not signed by the node that it names')
  }

  async *#chunks(ids: readonly ChunkId[]): AsyncGenerator<Uint8Array> {
    const read = (id: ChunkId) => readChunk(this.#source, id, this.root, CHUNK_BYTES_MAX, this.#sodium)
    const ahead: Promise<Uint8Array>[] = []
    let next = 0
    try {
      for (;;) {
        while (ahead.length < AHEAD && next < ids.length) {
          const reading = read(ids[next++]!)
          reading.catch(() => undefined) // Whoever comes to it is told.
          ahead.push(reading)
        }
        const first = ahead.shift()
        if (first === undefined) return
        yield await first
      }
    } finally {
      await Promise.allSettled(ahead)
    }
  }
}

export const invalid = (why: string): Failure =>
  new Failure('SNAPSHOT_INVALID', `The snapshot cannot be used: ${why}. Nothing was changed.`)

async function readChunk(
  source: SnapshotSource,
  id: ChunkId,
  { key }: OpenedRoot,
  bytesMax: number,
  sodium: Sodium,
): Promise<Uint8Array> {
  const sealed = await source.chunk(id)
  if (sealed === null) throw invalid('a piece of it is missing')
  const opened = openChunk(id, sealed, key, sodium)
  if (opened === undefined) throw invalid('a piece of it was changed')
  const content = opened.deflated
    ? await inflate(opened.bytes, { maxOutputLength: bytesMax }).catch(() => undefined)
    : opened.bytes
  if (content === undefined || chunkIdOf(content, key, sodium) !== id) throw invalid('a piece of it was changed')
  return content
}
