import { readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { toHex, utf8 } from '@sealmesh/protocol/bytes'
import type { DocumentName } from '@sealmesh/protocol/crdt/block'
import { documentIdOf } from '@sealmesh/protocol/crdt/block-codec'
import type { Document } from '@sealmesh/protocol/crdt/document'
import type { DocumentId } from '@sealmesh/protocol/ids'
import type { Mesh } from '@sealmesh/protocol/membership/mesh'
import type { Sodium } from '@sealmesh/protocol/sodium'
import { z } from 'zod'
import { DIARY_LAYER } from '../config/layer-names.ts'
import { ClosedSets } from '../documents/closed-sets.ts'
import { errnoOf } from '../keys/disk-failure.ts'
import { isSigned } from '../snapshots/verify-snapshot.ts'
import { BlockStore } from '../store/block-store.ts'
import {
  afterPrefix,
  baseKey,
  closedPrefix,
  documentPrefix,
  floorKey,
  metaKey,
  prunedDocument,
  TABLES,
} from '../store/keys.ts'
import type { Operation, Put, Range } from '../store/database.ts'
import type { Store } from '../store/store.ts'
import type { Source } from './covered-blocks.ts'
import type { DrillPace } from './drill-pace.ts'
import { foldStored } from './fold.ts'

/** One batch: what a store takes at once. Each costs the disk a sync that live writes wait for. */
const BATCH_BYTES = 1_048_576
const PREFIX = 'sandbox-'

/** What a diary's document may hold of an entry. */
const DiaryMetadata = z.strictObject({ atMs: z.number(), characters: z.number(), tags: z.array(z.string()) })

export interface Rebuilt {
  readonly digest: string | null
  readonly badSignatures: number
  readonly diaryContents: number
}

/**
 * A database for one drill (docs/spec/14-drills.md §5): filled from the live one, read back, thrown away. Nothing that
 * is in it goes anywhere else.
 */
export class Sandbox {
  readonly #store: Store
  readonly #directory: string
  readonly #pace: DrillPace

  private constructor(store: Store, directory: string, pace: DrillPace) {
    this.#store = store
    this.#directory = directory
    this.#pace = pace
  }

  static async make(
    directory: string,
    drill: string,
    openStore: (directory: string) => Promise<Store>,
    pace: DrillPace,
  ): Promise<Sandbox> {
    const own = join(directory, PREFIX + drill)
    return new Sandbox(await openStore(own), own, pace)
  }

  /** What a crash has left of earlier ones. */
  static async removeLeft(directory: string): Promise<void> {
    for (const name of await namesIn(directory))
      if (name.startsWith(PREFIX)) await rm(join(directory, name), { recursive: true, force: true })
  }

  /** These blocks, and of the live store what lies below the document's base and what its vectors stand on. */
  async fill(live: Store, id: DocumentId, blocks: readonly Put[]): Promise<void> {
    const pruned = prunedDocument(id)
    const closed = [TABLES.closed, TABLES.closedTwin].map((table) => closedPrefix(table, id))
    const ranges: Range[] = [pruned, ...closed, baseKey(id), floorKey(id)].map((from) => ({
      from,
      to: afterPrefix(from),
    }))
    let batch: Operation[] = []
    let bytes = 0
    const add = async (entry: Put): Promise<void> => {
      batch.push(entry)
      bytes += entry.key.length + entry.value.length
      if (bytes < BATCH_BYTES) return
      await this.#store.commit(batch)
      batch = []
      bytes = 0
    }
    for (const range of ranges)
      for await (const { key, value } of live.examine(range))
        await add({ type: 'put', key, value: value ?? new Uint8Array() })
    for (const entry of blocks) await add(entry)
    await this.#store.commit(batch)
  }

  around(sodium: Sodium): Source {
    return { store: this.#store, blocks: new BlockStore(this.#store), sodium, pace: this.#pace }
  }

  /** Block by block, and then as a whole. */
  async rebuild(name: DocumentName, mesh: Mesh, nowMs: number, sodium: Sodium): Promise<Rebuilt> {
    const badSignatures = await this.#badSignatures(documentIdOf(name, sodium), mesh, sodium)
    const blocks = new BlockStore(this.#store)
    const closed = await ClosedSets.load(this.#store, sodium)
    const document = await foldStored({ blocks, closed, sodium, pace: this.#pace }, name, mesh, nowMs)
    return {
      digest: document === undefined ? null : toHex(document.digest()),
      badSignatures,
      diaryContents: document === undefined || name.layer !== DIARY_LAYER ? 0 : contentsIn(document),
    }
  }

  async #badSignatures(id: DocumentId, mesh: Mesh, sodium: Sodium): Promise<number> {
    let bad = 0
    for (const from of [documentPrefix(id), prunedDocument(id)])
      for await (const { key, value } of this.#store.examine({ from, to: afterPrefix(from) })) {
        if (value === undefined || !isSigned(key, value, mesh, sodium)) bad += 1
        await this.#pace.turn()
      }
    return bad
  }

  /** A durable write into it: what a holder's first act would begin with. */
  async act(): Promise<void> {
    await this.#store.commit([{ type: 'put', key: metaKey('first-act'), value: utf8('done') }])
  }

  /** Whether nothing of it is left. */
  async remove(): Promise<boolean> {
    await this.#store.close()
    await rm(this.#directory, { recursive: true, force: true })
    return (await namesIn(join(this.#directory, '..'))).every((name) => !name.startsWith(PREFIX))
  }
}

function contentsIn(document: Document): number {
  let found = document.textNames().length
  for (const key of document.keys()) {
    const value = document.read(key)?.value
    if (value === undefined || !DiaryMetadata.safeParse(parseJson(value)).success) found += 1
  }
  return found
}

async function namesIn(directory: string): Promise<string[]> {
  try {
    return await readdir(directory)
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return []
    throw error
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
