import type { AgentId, BlockHash, IncarnationId, MeshId, NodeId, RecordHash } from '../ids.ts'
import type { Signature } from '../keys.ts'
import { BLOCK_AHEAD_MS_MAX } from '../limits.ts'
import type { Clock, Dot, VersionVector } from './clock.ts'
import type { Floor } from './floor.ts'
import type { HybridTime } from './hybrid-time.ts'

/** One layer of one agent: the unit of sharing. */
export interface DocumentName {
  readonly agent: AgentId
  readonly layer: string
}

/** The term that a block of a single-writer layer was written under. */
export interface TermRef {
  readonly number: number
  readonly assign: RecordHash
}

/**
 * `replaces` is the write's vector clock: what it supersedes of other incarnations. Of its own it supersedes every
 * earlier write of the key without saying so (03-blocks §7). A block holds at most one register write per key, or one
 * text write and nothing else, so (block, key) names a write.
 */
export type Write =
  | { readonly type: 'set'; readonly key: string; readonly value: string; readonly replaces: Clock }
  | { readonly type: 'delete'; readonly key: string; readonly replaces: Clock }
  /** A Yjs update for the document's Y.Doc, holding structs of this incarnation's client id only. */
  | { readonly type: 'text'; readonly update: Uint8Array }

export interface BlockHeader {
  readonly mesh: MeshId
  readonly document: DocumentName
  readonly author: NodeId
  readonly incarnation: IncarnationId
  /** From 1, contiguous for each (incarnation, document). */
  readonly sequence: number
  /** Of this incarnation's block before this one in this document; null for the first. */
  readonly previous: BlockHash | null
  readonly time: HybridTime
  /** Heads of the membership log that the author knew. */
  readonly logHeads: readonly RecordHash[]
  /**
   * What the author had received of the document from others: whole in an incarnation's first block, afterwards the
   * entries that changed since its previous block. Beside `floor`: what that does not cover, or otherwise.
   */
  readonly received: VersionVector
  readonly floor: Floor | null
  readonly term: TermRef | null
  /** Merkle root over the writes' bytes: with a path, one write's authorship outlives its block. */
  readonly writesRoot: Uint8Array
}

export interface Block {
  readonly header: BlockHeader
  readonly writes: readonly Write[]
  readonly signature: Signature
  readonly hash: BlockHash
  /** As signed, forwarded and stored: never encoded again. */
  readonly bytes: Uint8Array
}

/** Not so far ahead of the clock here that it has to wait. */
export const isDue = ({ header }: Block, nowMs: number): boolean => header.time.wallMs <= nowMs + BLOCK_AHEAD_MS_MAX

/** Whether its text is this very update. */
export const isText = ({ writes: [write] }: Block, update: Uint8Array): boolean =>
  write?.type === 'text' && write.update === update

export const dotOf = ({ header, hash }: Block): Dot => ({
  incarnation: header.incarnation,
  sequence: header.sequence,
  hash,
})
