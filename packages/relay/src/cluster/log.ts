import type { ChunkId, MeshId, VaultId } from '@sealmesh/protocol/ids'

/** What the store asks of JetStream, so that its rules can be tried on a log in memory with every kind of failure. */

/** One message of a batch. */
export interface LogMessage {
  readonly subject: string
  readonly payload: Uint8Array
  /** `packet`: beside those before it. `row`: it replaces what lies there. `gone`: as `row`, and soon nothing does. */
  readonly kind: 'packet' | 'row' | 'gone'
  /** Of a packet: its number in its mailbox, which is not always the order in which packets become durable. */
  readonly sequence?: number
}

/** All of one mesh, under the record by which its home was taken: it must still be the last of its subject. */
export interface LogPart {
  readonly mesh: MeshId
  readonly fence: number
  readonly messages: readonly LogMessage[]
}

export type AppendResult =
  /** Durable: the first message's place, the others follow without a gap. */
  | { readonly type: 'stored'; readonly first: number }
  /** One of the homes was taken by another instance. Nothing of the batch was stored. */
  | { readonly type: 'fenced' }
  /** Nothing was stored, and the same may go well later. */
  | { readonly type: 'refused'; readonly full: boolean }
  /** Nobody knows whether it was, or will be, stored. */
  | { readonly type: 'unknown' }

export interface LogEntry {
  readonly subject: string
  /** Where it lies in its stream. */
  readonly place: number
  /** 0 for what is not a packet. */
  readonly sequence: number
  readonly atMs: number
  readonly payload: Uint8Array
  readonly isGone: boolean
}

export interface HomeRecord {
  readonly instance: string
  readonly fence: number
}

export interface MeshLog {
  /** All or nothing, durable when it is answered. At most `BATCH_MESSAGES_MAX` messages, all in one shard. */
  append(shard: number, parts: readonly LogPart[]): Promise<AppendResult>
  /** Who has the mesh; null when nobody ever had. May be a little behind. */
  home(mesh: MeshId): Promise<HomeRecord | null>
  isAdmitted(mesh: MeshId): Promise<boolean>
  /** Compare-and-set of the mesh's home. The new record's place; null when `before` is not the last any more. */
  take(mesh: MeshId, instance: string, before: number): Promise<number | null>
  /** All of a mesh in order, up to and including the record at `fence`. */
  load(mesh: MeshId, fence: number, take: (entry: LogEntry) => void): Promise<void>
  /** The messages at these places of one subject, in any order; those that are gone are missing. */
  read(shard: number, subject: string, places: readonly number[]): Promise<LogEntry[]>
  /** Forgets what lies under a subject before a place, and at single places. */
  purge(shard: number, subject: string, before: number): Promise<void>
  remove(shard: number, places: readonly number[]): Promise<void>
  putChunk(mesh: MeshId, vault: VaultId, chunk: ChunkId, bytes: Uint8Array): Promise<number>
  readChunk(mesh: MeshId, vault: VaultId, chunk: ChunkId): Promise<Uint8Array | null>
  /** Up to a place, so that what was put later stays. */
  dropChunk(mesh: MeshId, vault: VaultId, chunk: ChunkId, place: number): Promise<void>
  /** Once: false when it was spent for another mesh. */
  spendClaim(claim: string, mesh: MeshId): Promise<boolean>
}

/** JetStream's own bound of an atomic batch. */
export const BATCH_MESSAGES_MAX = 1_000
/** A batch lies in the server's memory until it is committed. */
export const BATCH_BYTES_MAX = 8 * 1_048_576
