import { concatBytes, fromUtf8, utf8 } from '@sealmesh/protocol/bytes'
import type { NodeId } from '@sealmesh/protocol/ids'
import { z } from 'zod'
import { isDamage } from '../documents/mending.ts'
import { afterPrefix, folderPrefix } from '../store/keys.ts'
import type { Operation, Store } from '../store/store.ts'
import type { BaseChange, BaseEntry, BaseStore } from './ports.ts'

const Entry = z.object({
  id: z.string(),
  kind: z.enum(['text', 'binary']),
  hash: z.string(),
  executable: z.boolean(),
  stamp: z.string(),
  inode: z.string(),
  size: z.number(),
  path: z.string(),
  arrivals: z.array(z.object({ node: z.string().transform((id) => id as NodeId), atMs: z.number() })),
})
const ENTRY = Uint8Array.of(1)
const TEXT = Uint8Array.of(2)

/** What a folder and its document last had in common, in the node's database. */
export class FolderBase implements BaseStore {
  readonly #store: Store
  readonly #prefix: Uint8Array

  constructor(store: Store, folder: string) {
    this.#store = store
    this.#prefix = folderPrefix(folder)
  }

  async load(): Promise<Map<string, BaseEntry>> {
    const prefix = concatBytes(this.#prefix, ENTRY)
    const entries = new Map<string, BaseEntry>()
    for await (const { key, value } of this.#store.examine({ from: prefix, to: afterPrefix(prefix) })) {
      // One that cannot be read is as if the file had just been met: nothing is deleted, the two are merged.
      const entry = value && Entry.safeParse(JSON.parse(fromUtf8(value))).data
      if (entry !== undefined) entries.set(fromUtf8(key.subarray(prefix.length)), entry)
    }
    return entries
  }

  async text(key: string): Promise<string | undefined> {
    try {
      const bytes = await this.#store.get(concatBytes(this.#prefix, TEXT, utf8(key)))
      return bytes === undefined ? undefined : fromUtf8(bytes)
    } catch (error) {
      if (!isDamage(error)) throw error
      return undefined
    }
  }

  commit(changes: readonly BaseChange[]): Promise<void> {
    return this.#store.commit(this.operationsOf(changes))
  }

  /** For a batch that something else goes into, too. */
  operationsOf(changes: readonly BaseChange[]): Operation[] {
    const operations: Operation[] = []
    for (const { key, entry, text } of changes) {
      const [entryKey, textKey] = [ENTRY, TEXT].map((kind) => concatBytes(this.#prefix, kind, utf8(key)))
      if (entryKey === undefined || textKey === undefined) continue
      if (entry === undefined) operations.push({ type: 'delete', key: entryKey }, { type: 'delete', key: textKey })
      else {
        operations.push({ type: 'put', key: entryKey, value: utf8(JSON.stringify(entry)) })
        if (text !== undefined) operations.push({ type: 'put', key: textKey, value: utf8(text) })
      }
    }
    return operations
  }

  /** The folder is mirrored no longer. */
  async forget(): Promise<void> {
    const operations: Operation[] = []
    for await (const { key } of this.#store.examine({ from: this.#prefix, to: afterPrefix(this.#prefix) }))
      operations.push({ type: 'delete', key })
    await this.#store.commit(operations)
  }
}
