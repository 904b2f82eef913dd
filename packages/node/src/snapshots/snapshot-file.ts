import { type FileHandle, open, rename, rm } from 'node:fs/promises'
import { dirname } from 'node:path'
import { fromHex, toHex } from '@sealmesh/protocol/bytes'
import { Failure } from '@sealmesh/protocol/errors'
import type { ChunkId } from '@sealmesh/protocol/ids'
import { VAULT_CHUNK_BYTES_MAX } from '@sealmesh/protocol/wire/vault'
import { diskFailure, errnoOf } from '../keys/disk-failure.ts'
import { PRIVATE_FILE_MODE, syncDirectory } from '../keys/durable-file.ts'
import type { SnapshotSource } from './read-snapshot.ts'
import type { SnapshotSink } from './write-snapshot.ts'

/**
 * A snapshot in a file of its own: one line that says so, then chunks one after another, and the root as the last.
 *
 *   chunk = kind 1B (0 chunk, 1 root) | id 32B | length 4B, big-endian | bytes
 */
const MAGIC = Buffer.from('sealmesh-snapshot-1\n')
const HEAD_BYTES = 37
const CHUNK = 0
const ROOT = 1
/** Of a file: a terabyte in chunks of the least size. */
const CHUNKS_MAX = 16_777_216

/** Written beside the path and moved there when it is whole. Never over a file that is there: it may be the only good one. */
export async function createSnapshotFile(path: string): Promise<SnapshotSink & { abandon(): Promise<void> }> {
  const draft = `${path}.new`
  await refuseExisting(path)
  let file: FileHandle
  try {
    await rm(draft, { force: true })
    file = await open(draft, 'wx', PRIVATE_FILE_MODE)
    await file.write(MAGIC)
  } catch (error) {
    throw diskFailure(error, `writing the snapshot ${path}`)
  }
  const written = new Set<ChunkId>()
  let last: ChunkId | undefined
  let turn: Promise<void> = Promise.resolve()
  let pending: { id: ChunkId; bytes: Uint8Array } | undefined
  const append = (kind: number, { id, bytes }: { id: ChunkId; bytes: Uint8Array }): Promise<void> => {
    const head = Buffer.alloc(HEAD_BYTES)
    head[0] = kind
    head.set(fromHex(id), 1)
    head.writeUInt32BE(bytes.length, 33)
    turn = turn.then(async () => {
      await file.writev([head, bytes])
    })
    return turn.catch((error: unknown) => {
      throw diskFailure(error, `writing the snapshot ${path}`)
    })
  }
  return {
    lacks: (ids) => {
      const places: number[] = []
      for (const [place, id] of ids.entries()) {
        if (written.has(id)) continue
        written.add(id)
        places.push(place)
      }
      return Promise.resolve(places)
    },
    put: async (id, bytes) => {
      const before = pending
      // The last one is the root: it is marked when that is known.
      pending = { id, bytes }
      last = id
      if (before !== undefined) await append(CHUNK, before)
    },
    keep: async (root) => {
      if (pending === undefined || last !== root) throw new Failure('INTERNAL', 'The root of a snapshot comes last.')
      await append(ROOT, pending)
      try {
        await file.sync()
        await file.close()
        await refuseExisting(path)
        await rename(draft, path)
        await syncDirectory(dirname(path))
      } catch (error) {
        throw diskFailure(error, `writing the snapshot ${path}`)
      }
    },
    abandon: async () => {
      await turn.catch(() => undefined)
      await file.close().catch(() => undefined)
      await rm(draft, { force: true }).catch(() => undefined)
    },
  }
}

/** Throws FILE_NOT_FOUND, or SNAPSHOT_INVALID for what is no snapshot, or not all of one. */
export async function openSnapshotFile(path: string): Promise<SnapshotSource & { close(): Promise<void> }> {
  const file = await open(path, 'r').catch((error: unknown) => {
    throw new Failure('FILE_NOT_FOUND', `The snapshot ${path} cannot be read.`, { cause: error })
  })
  try {
    const { places, root } = await survey(file, path)
    const read = async ({ at, bytes }: Place): Promise<Uint8Array | null> => {
      const buffer = new Uint8Array(bytes)
      const { bytesRead } = await file.read(buffer, 0, bytes, at).catch((error: unknown) => {
        throw diskFailure(error, `reading the snapshot ${path}`)
      })
      return bytesRead === bytes ? buffer : null
    }
    return {
      root: () => read(root),
      chunk: (id) => {
        const place = places.get(id)
        return place === undefined ? Promise.resolve(null) : read(place)
      },
      close: () => file.close(),
    }
  } catch (error) {
    await file.close()
    throw error
  }
}

interface Place {
  readonly at: number
  readonly bytes: number
}

/** Where each chunk lies. Only heads are read. */
async function survey(file: FileHandle, path: string): Promise<{ places: Map<ChunkId, Place>; root: Place }> {
  const torn = (why: string): Failure =>
    new Failure('SNAPSHOT_INVALID', `The file ${path} is no whole snapshot: ${why}.`)
  const { size } = await file.stat()
  const magic = Buffer.alloc(MAGIC.length)
  await file.read(magic, 0, MAGIC.length, 0)
  if (!magic.equals(MAGIC)) throw torn('it does not begin like one')
  const places = new Map<ChunkId, Place>()
  let at = MAGIC.length
  for (;;) {
    const head = Buffer.alloc(HEAD_BYTES)
    const { bytesRead } = await file.read(head, 0, HEAD_BYTES, at)
    if (bytesRead < HEAD_BYTES) throw torn('its end is missing')
    const bytes = head.readUInt32BE(33)
    const place = { at: at + HEAD_BYTES, bytes }
    at = place.at + bytes
    if (bytes > VAULT_CHUNK_BYTES_MAX || at > size || head[0]! > ROOT || places.size >= CHUNKS_MAX)
      throw torn('it is cut short or damaged')
    if (head[0] === ROOT) {
      if (at !== size) throw torn('there is something behind its end')
      return { places, root: place }
    }
    places.set(toHex(head.subarray(1, 33)) as ChunkId, place)
  }
}

async function refuseExisting(path: string): Promise<void> {
  try {
    await (await open(path, 'r')).close()
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return
    throw diskFailure(error, `writing the snapshot ${path}`)
  }
  throw new Failure('FILE_EXISTS', `There is a file ${path} already, and it may be a snapshot that you need.`)
}
