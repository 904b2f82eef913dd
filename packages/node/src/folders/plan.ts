import type { Document } from '@sealmesh/protocol/crdt/document'
import type { Intent } from '@sealmesh/protocol/crdt/writer'
import { type FileEntry, fileKey, formatEntry, textName } from './core/entry.ts'
import type { TreeFile } from './core/tree.ts'
import type { Found } from './ports.ts'
import type { MirrorState } from './state.ts'
import type { TextPush } from './text-pushes.ts'

/** What goes into the document, in this order: texts and chunks, then the entries that name them. */
export interface Plan {
  readonly texts: TextPush[]
  readonly chunks: Map<string, Uint8Array>
  readonly entries: Intent[]
  /** When all of it is durable. */
  readonly after: (() => void)[]
}

export const setEntry = (id: string, entry: FileEntry, seen: TreeFile['writes'] | undefined): Intent => ({
  type: 'set',
  key: fileKey(id),
  value: formatEntry(entry),
  ...(seen === undefined ? {} : { seen }),
})

export const placeOf = ({ path, stamp, inode, size, executable }: Found) => ({ path, stamp, inode, size, executable })

/** Of a file's content in the document. */
export const hashIn = (
  state: MirrorState,
  document: Document,
  { id, entry }: Pick<TreeFile, 'id' | 'entry'>,
): string => (entry.kind === 'binary' ? entry.hash : state.deps.hashOf(document.text(textName(id)) ?? ''))
