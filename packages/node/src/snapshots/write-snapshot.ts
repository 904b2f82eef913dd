import { promisify } from 'node:util'
import { deflateRaw } from 'node:zlib'
import { encode, writeId } from '@sealmesh/protocol/bytes'
import { Failure } from '@sealmesh/protocol/errors'
import type { ChunkId, IncarnationId, MeshId, NodeId } from '@sealmesh/protocol/ids'
import { NONCE_BYTES, type SealPublicKey, type Secret } from '@sealmesh/protocol/keys'
import { ImageCutter } from '@sealmesh/protocol/snapshots/image'
import {
  chunkIdOf,
  IDS_PER_CHUNK,
  type Part,
  PARTS,
  sealChunk,
  sealRoot,
  type VaultKey,
} from '@sealmesh/protocol/snapshots/sealed'
import type { Sodium } from '@sealmesh/protocol/sodium'
import type { ImagePart } from './image-of-home.ts'

/** Where a snapshot is left: a file, or a relay's vault. */
export interface SnapshotSink {
  /** Places of those that are not there yet. */
  lacks(ids: readonly ChunkId[]): Promise<readonly number[]>
  /** Durable when it resolves, or with `keep` at the latest. */
  put(id: ChunkId, bytes: Uint8Array): Promise<void>
  /** It is whole, and begins at this chunk. Durable when it resolves. */
  keep(root: ChunkId): Promise<void>
}

export interface SnapshotAuthor {
  readonly mesh: MeshId
  readonly node: NodeId
  readonly incarnation: IncarnationId
  readonly key: VaultKey
  readonly sign: Secret<'sign'>
  readonly kit: SealPublicKey
  readonly atMs: number
  readonly random: (bytes: number) => Uint8Array
  readonly sodium: Sodium
}

export interface Made {
  readonly root: ChunkId
  readonly entries: number
  /** Before it is compressed. */
  readonly bytes: number
  readonly chunks: number
  /** What was not there yet, as it is kept. */
  readonly fresh: { readonly chunks: number; readonly bytes: number }
}

export interface Progress {
  readonly bytes: number
  readonly chunks: number
}

/** In memory at a time: 6 MiB, and again as much while they are sealed. */
const CHUNKS_AT_ONCE = 32
/** Twice as small as what is fast makes it, in a thread of its own. */
const LEVEL = 6

const deflate = promisify(deflateRaw)

/** One entry after another, in bounded memory. */
export async function writeSnapshot(
  image: readonly ImagePart[],
  sink: SnapshotSink,
  author: SnapshotAuthor,
  onProgress: (progress: Progress) => void,
  signal: AbortSignal,
): Promise<Made> {
  const writer = new ChunkWriter(sink, author, onProgress, signal)
  const written = new Map<string, { part: Part; ids: readonly ChunkId[] }>()
  for (const { name, entries } of image) {
    const cutter = new ImageCutter()
    const before = writer.bytes
    let count = 0
    for await (const entry of entries()) {
      count += 1
      for (const chunk of cutter.push(entry)) await writer.add(chunk)
    }
    for (const chunk of cutter.end()) await writer.add(chunk)
    const ids = await writer.take()
    written.set(name, { part: { name, entries: count, bytes: writer.bytes - before, chunks: ids.length }, ids })
  }
  const parts = PARTS.flatMap((name) => written.get(name) ?? [])
  const { bytes } = writer
  const ids = parts.flatMap((each) => each.ids)
  for (let at = 0; at < ids.length; at += IDS_PER_CHUNK) await writer.add(joined(ids.slice(at, at + IDS_PER_CHUNK)))
  const index = await writer.take()
  const { mesh, node, atMs, incarnation, random, sodium } = author
  const body = { mesh, node, atMs, incarnation, parts: parts.map(({ part }) => part), index }
  const root = sealRoot(body, author, random, sodium)
  if (root === undefined) throw new Failure('KIT_INVALID', 'Nothing can be sealed to the key of the recovery kit.')
  await sink.lacks([root.id])
  await sink.put(root.id, root.bytes)
  await sink.keep(root.id)
  const entries = parts.reduce((sum, { part }) => sum + part.entries, 0)
  const fresh = { chunks: writer.fresh.chunks + 1, bytes: writer.fresh.bytes + root.bytes.length }
  return { root: root.id, entries, bytes, chunks: ids.length + index.length + 1, fresh }
}

/** Chunks in the clear in, ids out; what the sink has is neither compressed nor sealed. */
class ChunkWriter {
  readonly #sink: SnapshotSink
  readonly #author: SnapshotAuthor
  readonly #onProgress: (progress: Progress) => void
  readonly #signal: AbortSignal
  #waiting: { id: ChunkId; content: Uint8Array }[] = []
  #ids: ChunkId[] = []
  bytes = 0
  #chunks = 0
  fresh = { chunks: 0, bytes: 0 }

  constructor(
    sink: SnapshotSink,
    author: SnapshotAuthor,
    onProgress: (progress: Progress) => void,
    signal: AbortSignal,
  ) {
    this.#sink = sink
    this.#author = author
    this.#onProgress = onProgress
    this.#signal = signal
  }

  async add(content: Uint8Array): Promise<void> {
    const id = chunkIdOf(content, this.#author.key, this.#author.sodium)
    this.#ids.push(id)
    this.bytes += content.length
    this.#chunks += 1
    // A copy, since a chunk may be a part of a large entry.
    this.#waiting.push({ id, content: Uint8Array.from(content) })
    if (this.#waiting.length >= CHUNKS_AT_ONCE) await this.#flush()
  }

  /** Ids since the last call; all that they name is with the sink. */
  async take(): Promise<readonly ChunkId[]> {
    await this.#flush()
    const ids = this.#ids
    this.#ids = []
    return ids
  }

  async #flush(): Promise<void> {
    const { key, random, sodium } = this.#author
    const waiting = this.#waiting.splice(0)
    if (waiting.length === 0) return
    if (this.#signal.aborted) throw new Failure('CORE_BUSY', 'The node is stopping.')
    const lacking = await this.#sink.lacks(waiting.map(({ id }) => id))
    const puts = lacking.flatMap((place) => waiting[place] ?? [])
    await Promise.all(
      puts.map(async ({ id, content }) => {
        const deflated = await deflate(content, { level: LEVEL })
        const isSmaller = deflated.length < content.length
        const form = { deflated: isSmaller, bytes: isSmaller ? deflated : content }
        const sealed = sealChunk(id, form, key, random(NONCE_BYTES), sodium)
        await this.#sink.put(id, sealed)
        this.fresh = { chunks: this.fresh.chunks + 1, bytes: this.fresh.bytes + sealed.length }
      }),
    )
    this.#onProgress({ bytes: this.bytes, chunks: this.#chunks })
  }
}

const joined = (ids: readonly ChunkId[]): Uint8Array =>
  encode((writer) => {
    for (const id of ids) writeId(writer, id)
  })
