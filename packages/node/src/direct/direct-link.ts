import type { NodeId, PacketId } from '@sealmesh/protocol/ids'
import type { Outcome } from '@sealmesh/protocol/wire/frame'
import type { Reason } from '@sealmesh/protocol/wire/reason'
import type { DialledBy } from './core/which-link.ts'

/** A connection to another machine of the mesh on which both have proved who they are. */
export interface DirectLink {
  readonly peer: NodeId
  readonly dialledBy: DialledBy
  /** Of the other end: `host:port`. */
  readonly at: string
  readonly sinceMs: number
  /** `full`: wait for `room`. */
  send(id: PacketId, packet: Uint8Array): 'sent' | 'full' | 'down'
  /** Resolves when the other end has shown that it lives; never, if it does not. */
  probe(): Promise<void>
  end(reason: Reason): void
}

export type DirectEvent =
  /** The peer has answered for it, by the recipients' order. */
  | { readonly type: 'answer'; readonly packet: PacketId; readonly outcomes: readonly Outcome[] }
  /** Call `acknowledge` once the packet's fate is durable, whatever it is. */
  | { readonly type: 'deliver'; readonly packet: Uint8Array; readonly acknowledge: () => void }
  | { readonly type: 'room' }
