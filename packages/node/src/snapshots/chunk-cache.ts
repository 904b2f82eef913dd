import { type FileHandle, open, rm } from 'node:fs/promises'
import type { ChunkId } from '@sealmesh/protocol/ids'
import { diskFailure } from '../keys/disk-failure.ts'
import { PRIVATE_FILE_MODE } from '../keys/durable-file.ts'
import type { SnapshotSource } from './read-snapshot.ts'

/** What a relay was asked for once is read from here the next time, sealed as it came. Gone when it is closed. */
export class ChunkCache {
  readonly #path: string
  readonly #file: FileHandle
  readonly #places = new Map<ChunkId, { readonly at: number; readonly bytes: number }>()
  #end = 0

  private constructor(path: string, file: FileHandle) {
    this.#path = path
    this.#file = file
  }

  static async open(path: string): Promise<ChunkCache> {
    try {
      await rm(path, { force: true })
      return new ChunkCache(path, await open(path, 'wx+', PRIVATE_FILE_MODE))
    } catch (error) {
      throw diskFailure(error, `writing ${path}`)
    }
  }

  over(source: SnapshotSource): SnapshotSource {
    return {
      root: () => source.root(),
      chunk: async (id) => {
        const place = this.#places.get(id)
        if (place !== undefined) return this.#read(place)
        const bytes = await source.chunk(id)
        if (bytes !== null) await this.#write(id, bytes)
        return bytes
      },
    }
  }

  async close(): Promise<void> {
    await this.#file.close()
    await rm(this.#path, { force: true })
  }

  async #read({ at, bytes }: { readonly at: number; readonly bytes: number }): Promise<Uint8Array> {
    const buffer = new Uint8Array(bytes)
    await this.#file.read(buffer, 0, bytes, at).catch((error: unknown) => {
      throw diskFailure(error, `reading ${this.#path}`)
    })
    return buffer
  }

  async #write(id: ChunkId, bytes: Uint8Array): Promise<void> {
    const at = this.#end
    this.#end += bytes.length
    await this.#file.write(bytes, 0, bytes.length, at).catch((error: unknown) => {
      throw diskFailure(error, `writing ${this.#path}`)
    })
    this.#places.set(id, { at, bytes: bytes.length })
  }
}
