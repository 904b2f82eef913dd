import type { PacketKind } from '../envelope/packet.ts'
import type { SyncItem } from './payload.ts'

/** What a packet with these items is to be as large as (docs/spec/04-packets.md §4). */
export const kindOf = (items: readonly SyncItem[]): PacketKind => (items.every(isControl) ? 'control' : 'sync')

function isControl({ type }: SyncItem): boolean {
  switch (type) {
    case 'records':
    case 'vectors':
    case 'heads':
    case 'want-records':
    case 'buckets':
    case 'want-closed':
    case 'failover':
    case 'letters-taken':
      return true
    // These go by the size of a document, awareness by that of a cursor, a drill's words by that of vectors, and
    // letters by what agents say.
    case 'blocks':
    case 'pruned':
    case 'closed':
    case 'drill':
    case 'letters':
    case 'awareness':
      return false
  }
}
