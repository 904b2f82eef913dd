import type { DocumentName } from '@sealmesh/protocol/crdt/block'
import type { PacketFailure } from '@sealmesh/protocol/envelope/failure'
import type { NodeId, PacketId } from '@sealmesh/protocol/ids'
import type { Sodium } from '@sealmesh/protocol/sodium'
import type { FailoverItem, SyncItem } from '@sealmesh/protocol/sync/payload'
import type { HeadsView } from '@sealmesh/protocol/sync/peer-plan'
import type { Logger } from 'pino'
import type { ClosedSets } from '../documents/closed-sets.ts'
import type { DocumentIndex } from '../store/document-index.ts'
import type { Documents, ReceiveReport } from '../documents/documents.ts'
import type { LogKeeper } from '../membership/log-keeper.ts'
import type { ReceiptStore } from '../store/receipt-store.ts'
import type { Via } from '../uplink/link-event.ts'
import type { Aside } from './asides.ts'
import type { PacketPort } from './packet-port.ts'

export type AwarenessItem = Extract<SyncItem, { type: 'awareness' }>

export interface HeardHeads extends HeadsView {
  readonly packet: PacketId
  readonly lacksRecords: boolean
  readonly nowMs: number
}

/** Where packets go. */
export interface SyncLink {
  send(packet: Uint8Array): 'sent' | 'full' | 'down'
  /** False while no way leads to that node, though one to others does: nothing is sealed to it. */
  reaches?(node: NodeId): boolean
}

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
  /** A packet that is not used, and why. It may be one of a pairing. */
  readonly onUnopened: (packet: Uint8Array, failure: PacketFailure) => void
  /** A peer's word about who holds an agent, once what came with it is stored; whether it named records that are not here. */
  readonly onFailover?: (from: NodeId, item: FailoverItem, lacksRecords: boolean, via: Via | undefined) => void
  /** A peer's word, checked for nothing but its form. `lacksRecords`: its packet named records that are not here. */
  readonly onAside?: (from: NodeId, item: Aside, lacksRecords: () => boolean) => void
  /** What became of a peer's blocks. */
  readonly onReceived?: (from: NodeId, reports: readonly ReceiveReport[]) => void
  /** A peer that is there has named its heads: what they show, and whether it named records that are not here. */
  readonly onHeads?: (from: NodeId, heard: HeardHeads) => void
  /** A peer, or the relay for it, has more of these on its disk. */
  readonly onProgress?: (peer: NodeId, documents: readonly DocumentName[]) => void
  /** Only for waits and intervals: a wall clock that is set back would stop them. */
  readonly monotonicMs: () => number
  readonly wallMs: () => number
  readonly logger: Logger
}
