import type { MeshId } from '@sealmesh/protocol/ids'
import { hoursUntil, sizesOf } from '../core/sightings.ts'
import type { RelayState } from '../core/state.ts'
import type { Pseudonyms } from './pseudonyms.ts'

/**
 * All that this relay can tell of its meshes, in figures: what `sealmesh-relay sees` prints, and nothing beside it
 * (docs/relay/what-it-sees.md). Made from what the process holds and has counted since it started.
 */
export interface Sees {
  readonly meshes: readonly MeshSeen[]
}

export interface MeshSeen {
  readonly mesh: string
  /** Logins that it has met: their keys, as hashes. */
  readonly nodes: number
  readonly invites: number
  /** Connected now, and from how many addresses: an address is seen as long as its connection lives. */
  readonly connected: number
  readonly addresses: number
  readonly mailboxes: number
  readonly storedPackets: number
  readonly storedBytes: number
  readonly slots: number
  readonly snapshots: number
  readonly snapshotBytes: number
  /** Since the start. */
  readonly packets: number
  readonly packetBytes: number
  /** Of the last 24 hours and of the last seven days, an average day. */
  readonly packetsLastDay: number
  readonly packetsPerDay: number
  /** Packets by hour of the day, UTC, over the last seven days: when its people are awake. */
  readonly byHour: readonly number[]
  readonly bySize: readonly { readonly bytesMax: number; readonly packets: number }[]
}

const HOUR_MS = 3_600_000

export function seesOf(state: RelayState, pseudonyms: Pseudonyms, nowMs: number): Sees {
  const connected = new Map<MeshId, { count: number; addresses: Set<string> }>()
  for (const { login, address, state: at } of state.connections.values()) {
    if (login === null || at === 'leaving') continue
    const known = connected.get(login.mesh.id) ?? { count: 0, addresses: new Set() }
    connected.set(login.mesh.id, known)
    known.count += 1
    known.addresses.add(address)
  }
  const kinds = new Map<MeshId, { nodes: number; invites: number }>()
  for (const { mesh, record } of state.logins.values()) {
    const known = kinds.get(mesh.id) ?? { nodes: 0, invites: 0 }
    kinds.set(mesh.id, known)
    known[record.kind === 'node' ? 'nodes' : 'invites'] += 1
  }
  const meshes = [...state.meshes.values()].map((mesh) => {
    const hours = hoursUntil(mesh.seen, nowMs)
    const week = hours.reduce((sum, packets) => sum + packets, 0)
    const byHour = Array.from({ length: 24 }, () => 0)
    const firstHour = Math.floor(nowMs / HOUR_MS) - hours.length + 1
    for (const [at, packets] of hours.entries()) {
      const hour = (firstHour + at) % 24
      byHour[hour] = (byHour[hour] ?? 0) + packets
    }
    return {
      mesh: pseudonyms.of(mesh.id),
      nodes: kinds.get(mesh.id)?.nodes ?? 0,
      invites: kinds.get(mesh.id)?.invites ?? 0,
      connected: connected.get(mesh.id)?.count ?? 0,
      addresses: connected.get(mesh.id)?.addresses.size ?? 0,
      mailboxes: mesh.mailboxes.size,
      storedPackets: mesh.packets,
      storedBytes: mesh.bytes,
      slots: mesh.slots.size,
      snapshots: [...mesh.vaults.values()].reduce((sum, { snapshots }) => sum + snapshots.length, 0),
      snapshotBytes: mesh.vaultBytes,
      packets: mesh.seen.packets,
      packetBytes: mesh.seen.bytes,
      packetsLastDay: hours.slice(-24).reduce((sum, packets) => sum + packets, 0),
      packetsPerDay: Math.round(week / 7),
      byHour,
      bySize: sizesOf(mesh.seen),
    }
  })
  return { meshes }
}
