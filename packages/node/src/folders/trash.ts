import { randomBytes } from 'node:crypto'
import { copyFile, readdir, readFile, rename, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { Failure } from '@sealmesh/protocol/errors'
import type { NodeId } from '@sealmesh/protocol/ids'
import { z } from 'zod'
import { errnoOf } from '../keys/disk-failure.ts'
import { makePrivateDirectory, writeDurably } from '../keys/durable-file.ts'
import { TRASH_BYTES_MAX, TRASH_MS } from './core/limits.ts'
import type { TrashNote } from './ports.ts'

const Note = z.object({
  path: z.string(),
  by: z.string().nullable(),
  atMs: z.number(),
  bytes: z.number().int(),
})
const ITEM = /^[0-9a-z]{16,32}$/

export interface TrashItem {
  readonly item: string
  readonly path: string
  readonly by: NodeId | undefined
  readonly atMs: number
  readonly bytes: number
}

/**
 * What sync took away from one folder, in the node's home: each file as `ITEM` beside `ITEM.json`, which says what it
 * was. Items sort by age. Kept for 30 days, and no more than TRASH_BYTES_MAX: the oldest go first.
 */
export class Trash {
  readonly #directory: string
  readonly #now: () => number

  constructor(directory: string, now: () => number) {
    this.#directory = directory
    this.#now = now
  }

  /** Moves a file here; by copying where the folder is on another disk. */
  async take(path: string, note: TrashNote): Promise<void> {
    const item = await this.#prepare(note, (await stat(path)).size)
    try {
      await rename(path, join(this.#directory, item))
    } catch (error) {
      if (errnoOf(error) !== 'EXDEV') throw error
      await copyFile(path, join(this.#directory, item))
      await rm(path)
    }
  }

  async keep(content: Uint8Array, note: TrashNote): Promise<void> {
    await writeDurably(join(this.#directory, await this.#prepare(note, content.length)), content)
  }

  /** The newest first. */
  async list(): Promise<TrashItem[]> {
    const items: TrashItem[] = []
    for (const name of await names(this.#directory)) {
      const item = name.endsWith('.json') ? name.slice(0, -5) : ''
      if (!ITEM.test(item)) continue
      const note = Note.safeParse(await readJson(join(this.#directory, name))).data
      if (note !== undefined) items.push({ ...note, item, by: (note.by ?? undefined) as NodeId | undefined })
    }
    return items.sort((a, b) => b.atMs - a.atMs)
  }

  async read(item: string): Promise<{ bytes: Uint8Array; item: TrashItem }> {
    const found = (await this.list()).find((each) => each.item === item)
    try {
      if (found !== undefined) return { bytes: await readFile(join(this.#directory, item)), item: found }
    } catch {
      // Said below.
    }
    throw new Failure('FILE_NOT_FOUND', 'The trash has no such item.', { next: 'sealmesh folder trash ls' })
  }

  async drop(item: string): Promise<void> {
    if (!ITEM.test(item)) return
    await rm(join(this.#directory, item), { force: true })
    await rm(join(this.#directory, `${item}.json`), { force: true })
  }

  /** Clears what is older than 30 days, and the oldest beyond the limit. */
  async clear(): Promise<void> {
    let bytes = 0
    for (const { item, atMs, bytes: size } of await this.list()) {
      bytes += size
      if (this.#now() - atMs > TRASH_MS || bytes > TRASH_BYTES_MAX) await this.drop(item)
    }
  }

  async #prepare({ path, by }: TrashNote, bytes: number): Promise<string> {
    await makePrivateDirectory(this.#directory)
    const atMs = this.#now()
    const item = `${atMs.toString(36).padStart(9, '0')}${randomBytes(4).toString('hex')}`
    const note: z.infer<typeof Note> = { path, by: by ?? null, atMs, bytes }
    await writeDurably(join(this.#directory, `${item}.json`), JSON.stringify(note))
    return item
  }
}

async function names(directory: string): Promise<string[]> {
  try {
    return await readdir(directory)
  } catch {
    return []
  }
}

async function readJson(path: string): Promise<unknown> {
  try {
    return JSON.parse(await readFile(path, 'utf8'))
  } catch {
    return undefined
  }
}
