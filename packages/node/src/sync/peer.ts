import type { DocumentName } from '@sealmesh/protocol/crdt/block'
import type { OpenedPacket } from '@sealmesh/protocol/envelope/packet'
import type { NodeId } from '@sealmesh/protocol/ids'
import type { SyncItem } from '@sealmesh/protocol/sync/payload'
import { PeerSync } from '@sealmesh/protocol/sync/peer-sync'
import type { Sodium } from '@sealmesh/protocol/sodium'
import type { Via } from '../uplink/link-event.ts'
import { Flight } from './flight.ts'
import { LatestHeads } from './latest-heads.ts'
import { IN_FLIGHT_MAX, SILENT_MS } from './mesh-sync-limits.ts'
import type { SharingPeer } from './sharing.ts'
import { ZlibDeflater } from './zlib-deflater.ts'

/** A packet that is not dealt with yet. */
export interface Arrived {
  readonly items: readonly SyncItem[]
  readonly packet: OpenedPacket
  readonly key: string
  /** By which way it came, where that is known. */
  readonly via: Via | undefined
}

/** Where the driver stands with one peer; what is to be said to it, its core knows. */
export interface Peer extends SharingPeer {
  readonly inbox: Arrived[]
  draining: boolean
  sending: boolean
  readonly flight: Flight
  readonly latest: LatestHeads
  readonly deflater: ZlibDeflater
  /** Documents of which the relay has answered for more than the store knows. */
  readonly handed: Map<string, DocumentName>
  pausedUntilMs: number
  /** Why the relay refused the last packet that it answered. */
  refused: string | null
  due: NodeJS.Timeout | undefined
  interests: number
}

/** It may have lost our prekey, with a damaged disk, and then it cannot even ask. */
export const isSilent = ({ core }: Peer, nowMs: number): boolean =>
  nowMs - (core.lastHeardAtMs ?? Number.NEGATIVE_INFINITY) > SILENT_MS

/** For another packet that the relay has to answer. */
export const hasRoom = (peer: Peer | undefined): boolean => peer !== undefined && peer.flight.size < IN_FLIGHT_MAX

/** What these heads show. While the link has no room, a question would not have gone out either. */
export const seenIn = ({ id }: OpenedPacket, peer: Peer) => ({ packet: id, ...peer.core.headsView(!hasRoom(peer)) })

export const newPeer = (me: NodeId, node: NodeId, sodium: Sodium): Peer => ({
  node,
  core: new PeerSync(sodium, { me, peer: node }),
  inbox: [],
  draining: false,
  sending: false,
  met: false,
  flight: new Flight(),
  latest: new LatestHeads(),
  deflater: new ZlibDeflater(),
  handed: new Map(),
  pausedUntilMs: 0,
  refused: null,
  due: undefined,
  interests: 0,
})
