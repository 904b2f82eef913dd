import type { FailureCode } from '@sealmesh/protocol/errors'
import type { PacketId, RelayId } from '@sealmesh/protocol/ids'
import type { Outcome } from '@sealmesh/protocol/wire/frame'

/** A relay, or a direct link to its sender. */
export type Via = RelayId | 'direct'

export type LinkEvent =
  /** `newGeneration`: the relay may have forgotten what it called stored. */
  | { readonly type: 'live'; readonly newGeneration: boolean }
  | { readonly type: 'answer'; readonly packet: PacketId; readonly outcomes: readonly Outcome[] }
  /** Call `acknowledge` once the packet's fate is durable, whatever it is: until then the relay keeps it. */
  | {
      readonly type: 'deliver'
      readonly packet: Uint8Array
      readonly acknowledge: () => void
      /** By which way it came, where that is known. */
      readonly via?: Via
    }
  /** The mailboxes are empty: what follows is live. */
  | { readonly type: 'drained' }
  /** The relay dropped packets meant for us. */
  | { readonly type: 'lost'; readonly count: number }
  /** After a `full`: sending makes sense again. */
  | { readonly type: 'room' }
  | { readonly type: 'notice'; readonly reason: FailureCode; readonly retryAfterMs: number }
  /** Packets that have no answer yet may or may not have arrived. */
  | { readonly type: 'down'; readonly reason: FailureCode }

export interface LinkStatus {
  readonly state: 'live' | 'connecting' | 'waiting' | 'refused'
  readonly reason: FailureCode | null
  readonly nextTryAtMs: number | null
}
