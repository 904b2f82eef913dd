import type { Document } from '@sealmesh/protocol/crdt/document'
import type { Intent } from '@sealmesh/protocol/crdt/writer'
import type { Failure } from '@sealmesh/protocol/errors'
import type { NodeId } from '@sealmesh/protocol/ids'
import type { Doc } from 'yjs'

/**
 * What a mirror works on. The drivers are `disk.ts`, `base-store.ts` and `Documents`; tests put a disk in memory and
 * bare documents in their place. Paths are relative, with `/`, spelled as the disk spells them; '' is the folder.
 */

/** One name on the disk, as `lstat` sees it. */
export interface Found {
  readonly path: string
  readonly type: 'file' | 'directory' | 'link' | 'other'
  readonly size: number
  readonly mtimeMs: number
  /** Equal only when nothing was written: size, time to the nanosecond, and which file it is. */
  readonly stamp: string
  /** Which file it is, whatever it is called. */
  readonly inode: string
  readonly executable: boolean
}

/** What was replaced, kept a moment: a program that had it open may still write to it. */
export interface Retired {
  readonly name: string
}

export type Replaced =
  | { readonly type: 'done'; readonly found: Found; readonly retired: Retired | undefined }
  /** Not as expected: somebody else wrote it. Nothing was touched. */
  | { readonly type: 'changed' }
  /** Cannot be done for a reason outside the folder's content; in words of ours. */
  | { readonly type: 'blocked'; readonly because: string }

export interface TrashNote {
  readonly path: string
  /** Who deleted it, where that is known. */
  readonly by: NodeId | undefined
}

export interface FolderDisk {
  /** Whether the folder is there at all. */
  present(): Promise<boolean>
  /** All names below, but not below what `skip` says; undefined when it is not there. Links are never followed. */
  scan(path: string, skip: (path: string, directory: boolean) => boolean): Promise<Found[] | undefined>
  look(path: string): Promise<Found | undefined>
  /** Undefined when it is not what was found any more, or changed while it was read. */
  read(found: Found): Promise<Uint8Array | undefined>
  /** Whole or not at all, and only over what is expected. Makes folders; never follows a link. */
  replace(
    path: string,
    content: Uint8Array,
    how: { expected: Found | undefined; executable: boolean },
  ): Promise<Replaced>
  /** Into the trash, or away when its content is elsewhere. Folders that it leaves empty go with it. */
  remove(expected: Found, trash: TrashNote | undefined): Promise<Replaced | { type: 'removed' }>
  /** A copy, when something else takes its place. */
  copyToTrash(expected: Found, trash: TrashNote): Promise<void>
  readRetired(retired: Retired): Promise<Uint8Array | undefined>
  dropRetired(retired: Retired): Promise<void>
}

export interface FolderDocument {
  readonly node: NodeId
  /** To be read before the next `await`. */
  open(): Promise<Document>
  /** Why this node may not write it. */
  refusal(): Failure | undefined
  write(intents: readonly Intent[]): Promise<void>
  /** `base`: what disk and document have in common once it is written, and not before: one batch with it. */
  edit(edit: (doc: Doc) => void, base: readonly BaseChange[]): Promise<void>
}

/** What was last the same on the disk and in the document, by path. */
export interface BaseEntry {
  readonly id: string
  readonly kind: 'text' | 'binary'
  readonly hash: string
  readonly executable: boolean
  /** Of the file with that content; '' when the disk has more than the document could take. */
  readonly stamp: string
  readonly inode: string
  readonly size: number
  /** As the disk spells it. */
  readonly path: string
  /** Where content came from that was written here, the newest first. */
  readonly arrivals: readonly Arrival[]
}

export interface Arrival {
  readonly node: NodeId
  readonly atMs: number
}

export interface BaseStore {
  text(key: string): Promise<string | undefined>
  /** `text` undefined: as it was. `entry` undefined: forget it. One batch. */
  commit(changes: readonly BaseChange[]): Promise<void>
}

export interface BaseChange {
  readonly key: string
  readonly entry: BaseEntry | undefined
  readonly text: string | undefined
}

/** What a person or program may want to hear at once. */
export interface FolderNews {
  /**
   * `arrived`: written to this disk. `trashed`: taken off it. `merged`: two texts of one name, or one that was written
   * to while it was replaced. `copy`: it stands beside another that has, or had, its name. `held`: deletions wait.
   */
  readonly what: 'arrived' | 'trashed' | 'refused' | 'merged' | 'copy' | 'held' | 'confirmed' | 'kept'
  /** Undefined where it is about many: then `files` says how many. */
  readonly path?: string
  readonly files?: number
  /** The code of the refusal, or why a copy was made. */
  readonly because?: string
  /** Which machine did it: undefined where that is not known. */
  readonly from?: NodeId
}

export interface MirrorDeps {
  readonly tell: (news: FolderNews) => void
  readonly disk: FolderDisk
  readonly document: FolderDocument
  readonly base: BaseStore
  readonly now: () => number
  /** 12 hex digits. */
  readonly newId: () => string
  /** SHA-256, base64url. */
  readonly hashOf: (content: Uint8Array | string) => string
  readonly allowed: () => ReadonlySet<string>
}
