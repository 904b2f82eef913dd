import { census, heldBy } from '../census.ts'
import { keyOfLimit, type LimitName } from '../config/limit-table.ts'
import type { Settings } from '../config/settings.ts'
import type { RelayState } from '../core/state.ts'
import type { Tally } from '../tally.ts'
import { RELAY_VERSION } from '../version.ts'
import type { Pseudonyms } from './pseudonyms.ts'

/** What `sealmesh-relay status --json` prints. Ids are pseudonyms. */
export interface RelayStatus {
  readonly status: Health
  readonly version: string
  readonly pid: number
  readonly startedMs: number
  readonly address: string
  readonly admission: Settings['admission']
  readonly connections: Readonly<Record<'total' | 'greeting' | 'admitting' | 'active' | 'idle' | 'leaving', number>>
  readonly mailboxes: number
  readonly storedPackets: number
  readonly storedBytes: number
  readonly oldestPacketMs: number | null
  readonly vaultBytes: number
  readonly diskFreeBytes: number | null
  readonly meshes: readonly MeshStatus[]
  /** Meshes beyond those that are listed. */
  readonly meshesLeftOut: number
  /** Packets since the start: refused, and dropped from mailboxes unread, by reason. */
  readonly refused: Readonly<Record<string, number>>
  readonly dropped: Readonly<Record<string, number>>
  /** Connections that the relay ended, by reason, and of these those that had not logged in. */
  readonly goodbyes: Readonly<Record<string, number>>
  readonly turnedAway: Readonly<Record<string, number>>
  readonly near: readonly NearLimit[]
}

export type Health = 'ok' | 'starting' | 'no cluster' | 'stopping' | 'disk full' | 'disk failed'

export interface MeshStatus {
  readonly mesh: string
  readonly admitted: boolean
  readonly logins: number
  readonly connected: number
  readonly mailboxes: number
  readonly packets: number
  readonly bytes: number
  readonly vaultBytes: number
  readonly oldestPacketMs: number | null
}

/** What is nearly full, or full. */
export interface NearLimit {
  readonly limit: string
  readonly mesh: string
  readonly used: number
  readonly max: number
}

export interface StatusSources {
  readonly state: RelayState
  readonly tally: Tally
  readonly settings: Settings
  readonly pseudonyms: Pseudonyms
  readonly health: Health
  readonly startedMs: number
  readonly address: string
  readonly pid: number
  readonly diskFreeBytes: number | null
  readonly nowMs: number
}

const MESHES_SHOWN = 1_000
const NEAR = 0.8

export function statusOf(sources: StatusSources): RelayStatus {
  const { state, tally, settings, nowMs } = sources
  const sums = census(state, nowMs)
  const meshes = meshesOf(sources)
  return {
    status: sources.health,
    version: RELAY_VERSION,
    pid: sources.pid,
    startedMs: sources.startedMs,
    address: sources.address,
    admission: settings.admission,
    connections: { total: state.connections.size, ...sums.connections },
    mailboxes: sums.mailboxes,
    storedPackets: sums.packets,
    storedBytes: sums.bytes,
    oldestPacketMs: sums.oldestMs,
    vaultBytes: sums.vaultBytes,
    diskFreeBytes: sources.diskFreeBytes,
    meshes: meshes.slice(0, MESHES_SHOWN),
    meshesLeftOut: Math.max(0, meshes.length - MESHES_SHOWN),
    refused: Object.fromEntries(tally.refused),
    dropped: Object.fromEntries(tally.dropped),
    goodbyes: Object.fromEntries(tally.goodbyes),
    turnedAway: Object.fromEntries(tally.turnedAway),
    near: nearLimits(sources),
  }
}

/** Those that hold most come first. */
export function meshesOf({
  state,
  pseudonyms,
  nowMs,
}: Pick<StatusSources, 'state' | 'pseudonyms' | 'nowMs'>): MeshStatus[] {
  const connected = new Map<string, number>()
  for (const { login, state: at } of state.connections.values())
    if (login !== null && at === 'active') connected.set(login.mesh.id, (connected.get(login.mesh.id) ?? 0) + 1)
  return [...state.meshes.values()]
    .map((mesh) => {
      const { mailboxes, oldestMs } = heldBy(mesh, nowMs)
      return {
        mesh: pseudonyms.of(mesh.id),
        admitted: !mesh.barred,
        logins: mesh.logins,
        connected: connected.get(mesh.id) ?? 0,
        mailboxes,
        packets: mesh.packets,
        bytes: mesh.bytes,
        vaultBytes: mesh.vaultBytes,
        oldestPacketMs: oldestMs,
      }
    })
    .toSorted((a, b) => b.bytes - a.bytes || (a.mesh < b.mesh ? -1 : 1))
}

function nearLimits({ state, pseudonyms, nowMs }: StatusSources): NearLimit[] {
  const { limits } = state
  const near: NearLimit[] = []
  for (const mesh of state.meshes.values()) {
    const { mailboxPacketsMost, mailboxBytesMost } = heldBy(mesh, nowMs)
    const used: Partial<Record<LimitName, number>> = {
      meshBytesMax: mesh.bytes,
      meshPacketsMax: mesh.packets,
      meshMailboxesMax: mesh.unopened,
      meshLoginsMax: mesh.logins,
      meshSlotsMax: mesh.slots.size,
      meshVaultBytesMax: mesh.vaultBytes,
      meshVaultChunksMax: mesh.vaultChunks,
      meshRevocationsMax: mesh.revokedLogins.size + mesh.revokedAdmins.size,
      mailboxBytesMax: mailboxBytesMost,
      mailboxPacketsMax: mailboxPacketsMost,
    }
    for (const [name, value] of Object.entries(used) as [LimitName, number][])
      if (value >= NEAR * limits[name])
        near.push({ limit: keyOfLimit(name), mesh: pseudonyms.of(mesh.id), used: value, max: limits[name] })
  }
  return near.toSorted((a, b) => b.used / b.max - a.used / a.max).slice(0, MESHES_SHOWN)
}
