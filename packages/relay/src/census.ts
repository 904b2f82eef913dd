import { PACKET_EXPIRY_MS_MAX } from '@sealmesh/protocol/limits'
import type { Connection, MeshState, RelayState } from './core/state.ts'

/** Sums over what a relay holds: one walk over its mailboxes, for whoever asks. */
export interface Census {
  readonly connections: Readonly<Record<Connection['state'], number>>
  readonly mailboxes: number
  readonly packets: number
  readonly bytes: number
  readonly vaultBytes: number
  /** Of the fullest mailbox. */
  readonly mailboxPacketsMost: number
  readonly mailboxBytesMost: number
  /** How long the packet that waits longest has done so, as its expiry says; null for none. */
  readonly oldestMs: number | null
}

export function census(state: RelayState, nowMs: number): Census {
  const connections = { greeting: 0, admitting: 0, active: 0, idle: 0, leaving: 0 }
  for (const connection of state.connections.values()) connections[connection.state] += 1
  const sums = { mailboxes: 0, packets: 0, bytes: 0, vaultBytes: 0, mailboxPacketsMost: 0, mailboxBytesMost: 0 }
  let oldestMs: number | null = null
  for (const mesh of state.meshes.values()) {
    const held = heldBy(mesh, nowMs)
    sums.mailboxes += held.mailboxes
    sums.packets += mesh.packets
    sums.bytes += mesh.bytes
    sums.vaultBytes += mesh.vaultBytes
    sums.mailboxPacketsMost = Math.max(sums.mailboxPacketsMost, held.mailboxPacketsMost)
    sums.mailboxBytesMost = Math.max(sums.mailboxBytesMost, held.mailboxBytesMost)
    if (held.oldestMs !== null) oldestMs = Math.max(oldestMs ?? 0, held.oldestMs)
  }
  return { connections, ...sums, oldestMs }
}

export type Held = Pick<Census, 'mailboxes' | 'mailboxPacketsMost' | 'mailboxBytesMost' | 'oldestMs'>

/** The mailboxes of one mesh. */
export function heldBy(mesh: MeshState, nowMs: number): Held {
  let [mailboxes, mailboxPacketsMost, mailboxBytesMost] = [0, 0, 0]
  let oldestMs: number | null = null
  for (const { entries, packets, bytes } of mesh.mailboxes.values()) {
    const { first } = entries
    if (first === undefined) continue
    mailboxes += 1
    mailboxPacketsMost = Math.max(mailboxPacketsMost, packets)
    mailboxBytesMost = Math.max(mailboxBytesMost, bytes)
    // Nodes give a packet all the time that it may have, so its end says when it began.
    oldestMs = Math.max(oldestMs ?? 0, nowMs - (first.expiresMs - PACKET_EXPIRY_MS_MAX))
  }
  return { mailboxes, mailboxPacketsMost, mailboxBytesMost, oldestMs }
}
