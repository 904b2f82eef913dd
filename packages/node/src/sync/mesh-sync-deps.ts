import type { NodeId } from '@sealmesh/protocol/ids'
import type { Sodium } from '@sealmesh/protocol/sodium'
import type { SyncItem } from '@sealmesh/protocol/sync/payload'
import type { Logger } from 'pino'
import type { ClosedSets } from '../documents/closed-sets.ts'
import type { DocumentIndex } from '../store/document-index.ts'
import type { Documents, ReceiveReport } from '../documents/documents.ts'
import type { LogKeeper } from '../membership/log-keeper.ts'
import type { ReceiptStore } from '../store/receipt-store.ts'
import type { PacketPort } from './packet-port.ts'

export type AwarenessItem = Extract<SyncItem, { type: 'awareness' }>

/** What `MeshSync` is between. */
export interface MeshSyncDeps {
  readonly node: NodeId
  readonly sodium: Sodium
  readonly documents: Documents
  readonly log: LogKeeper
  readonly closed: ClosedSets
  readonly index: DocumentIndex
  readonly receipts: ReceiptStore
  /** What the relay has answered for and the peer has not receipted. */
  readonly handed: ReceiptStore
  readonly port: PacketPort
  /** Whether somebody else (a pairing) could use a packet that does not open. */
  readonly onUnopened: (packet: Uint8Array) => boolean
  /** A peer's word of who edits what: checked for nothing but its form. */
  readonly onAwareness: (from: NodeId, item: AwarenessItem) => void
  /** What became of a peer's blocks. */
  readonly onReceived?: (from: NodeId, reports: readonly ReceiveReport[]) => void
  /** A packet for us was sealed to a prekey that is not here. */
  readonly onDeaf: () => void
  /** Only for waits and intervals: a wall clock that is set back would stop them. */
  readonly monotonicMs: () => number
  readonly wallMs: () => number
  readonly logger: Logger
}
