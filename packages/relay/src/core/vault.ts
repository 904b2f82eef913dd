import type { VaultId } from '@sealmesh/protocol/ids'
import type { FrameOf } from '@sealmesh/protocol/wire/frame'
import type { Reason } from '@sealmesh/protocol/wire/reason'
import { VAULT_SNAPSHOTS_MAX, type VaultFrame, type VaultSnapshot } from '@sealmesh/protocol/wire/vault'
import type { Effect, Operation } from './event.ts'
import type { KeyName } from './key-name.ts'
import { countAnswered, countUnanswered } from './reading.ts'
import { settle } from './requests.ts'
import type { Connection, MeshState, Pending, RelayState, Vault, World } from './state.ts'
import { forgetChunk, makeRoom, newVault, roomForVault, strays } from './vault-room.ts'

/**
 * Sealed snapshots, in pieces that their node names: what is named again is not sent again. A node changes its own
 * vault only; all of its mesh may read what lies there, since only the kit and the node itself can open it.
 */
export function askVault(
  state: RelayState,
  connection: Connection,
  frame: Exclude<VaultFrame, { type: 'vaultLacks' | 'vaults' | 'vaultChunk' }>,
  world: World,
  effects: Effect[],
): void {
  const { login } = connection
  if (login?.record.kind !== 'node') return settle(connection, frame.request, 'RECIPIENT_FORBIDDEN', effects)
  const { mesh } = login
  if (frame.type === 'vaultList') return list(mesh, connection, frame.request, effects)
  if (frame.type === 'vaultGet') return get(state, mesh, connection, frame, effects)
  // It could be a copy's.
  if (connection.state === 'idle') return settle(connection, frame.request, 'DUPLICATE_LOGIN', effects)
  const id = asVault(login.name)
  const vault = mesh.vaults.get(id) ?? newVault(id)
  if (vault.draft?.keeping === true) return settle(connection, frame.request, 'VAULT_INCOMPLETE', effects)
  switch (frame.type) {
    case 'vaultNames':
      return name(mesh, vault, connection, frame, effects)
    case 'vaultPut':
      return put(state, mesh, vault, connection, frame, effects)
    case 'vaultKeep':
      return keep(state, mesh, vault, connection, frame, world, effects)
  }
}

/** A login's vault has the login's own name. */
export const asVault = (login: KeyName): VaultId => login as string as VaultId

export function chunkStored(
  { connection, request, vault, chunk: id, bytes }: Extract<Pending, { type: 'vaultChunk' }>,
  state: RelayState,
  effects: Effect[],
): void {
  const chunk = vault.chunks.get(id)
  if (chunk !== undefined) {
    chunk.writing -= 1
    chunk.durable = true
  }
  countAnswered(state, connection, bytes, effects)
  settle(connection, request, null, effects)
}

export function chunkNotStored(
  { connection, request, mesh, vault, chunk: id, bytes }: Extract<Pending, { type: 'vaultChunk' }>,
  reason: Reason,
  state: RelayState,
  effects: Effect[],
): void {
  const chunk = vault.chunks.get(id)
  if (chunk !== undefined) {
    chunk.writing -= 1
    if (chunk.writing === 0 && !chunk.durable) forgetChunk(mesh, vault, id)
  }
  countAnswered(state, connection, bytes, effects)
  settle(connection, request, reason, effects)
}

/** The snapshot is durable, and with it the end of those that made room for it. */
export function kept(
  { connection, request, mesh, vault, draft, snapshot, dropped }: Extract<Pending, { type: 'vaultKeep' }>,
  effects: Effect[],
): void {
  vault.snapshots.push(snapshot)
  if (vault.snapshots.length > VAULT_SNAPSHOTS_MAX) vault.snapshots.shift()
  for (const id of draft.chunks) {
    const chunk = vault.chunks.get(id)
    if (chunk !== undefined) chunk.kept = snapshot.number
  }
  for (const id of dropped) forgetChunk(mesh, vault, id)
  vault.draft = null
  settle(connection, request, null, effects)
}

export function notKept(
  { connection, request, draft }: Extract<Pending, { type: 'vaultKeep' }>,
  reason: Reason,
  effects: Effect[],
): void {
  draft.keeping = false
  settle(connection, request, reason, effects)
}

export function chunkRead(connection: Connection, request: number, bytes: Uint8Array | null, effects: Effect[]): void {
  connection.vaultReads -= 1
  if (connection.state === 'leaving') return
  effects.push({ type: 'send', connection: connection.id, frame: { type: 'vaultChunk', request, bytes } })
}

function name(
  mesh: MeshState,
  vault: Vault,
  connection: Connection,
  { request, begin, chunks }: FrameOf<'vaultNames'>,
  effects: Effect[],
): void {
  if (begin || vault.draft?.connection !== connection) {
    // Whoever goes on with what another connection began would keep less than was meant.
    if (!begin) return settle(connection, request, 'VAULT_INCOMPLETE', effects)
    const operations = roomForVault(mesh, vault)
    if (operations === undefined) return settle(connection, request, 'QUOTA_VAULT', effects)
    if (operations.length > 0) effects.push({ type: 'persist', operations, receipt: null })
    vault.draft = { connection, chunks: new Set(), keeping: false }
    mesh.vaults.set(vault.id, vault)
  }
  const { draft } = vault
  const places: number[] = []
  for (const [place, id] of chunks.entries()) {
    if (vault.chunks.get(id)?.durable === true) draft?.chunks.add(id)
    else places.push(place)
  }
  effects.push({ type: 'send', connection: connection.id, frame: { type: 'vaultLacks', request, places } })
}

function put(
  state: RelayState,
  mesh: MeshState,
  vault: Vault,
  connection: Connection,
  { request, chunk: id, bytes }: FrameOf<'vaultPut'>,
  effects: Effect[],
): void {
  const { draft } = vault
  if (draft?.connection !== connection) return settle(connection, request, 'VAULT_INCOMPLETE', effects)
  if (state.diskTrouble !== null) return settle(connection, request, state.diskTrouble, effects)
  const known = vault.chunks.get(id)
  if (known?.durable === true) {
    draft.chunks.add(id)
    return settle(connection, request, null, effects)
  }
  if (known !== undefined && known.bytes !== bytes.length)
    return settle(connection, request, 'VAULT_INCOMPLETE', effects)
  if (known === undefined) {
    const operations = makeRoom(state, mesh, vault, draft, bytes.length)
    if (operations === undefined) return settle(connection, request, 'QUOTA_VAULT', effects)
    if (operations.length > 0) effects.push({ type: 'persist', operations, receipt: null })
    vault.chunks.set(id, { bytes: bytes.length, kept: 0, writing: 0, durable: false })
    vault.bytes += bytes.length
    mesh.vaultBytes += bytes.length
    mesh.vaultChunks += 1
  }
  draft.chunks.add(id)
  vault.chunks.get(id)!.writing += 1
  const receipt = state.nextReceipt++
  state.pending.set(receipt, {
    type: 'vaultChunk',
    connection,
    request,
    mesh,
    vault,
    chunk: id,
    bytes: bytes.length,
  })
  // A copy: the frame's memory belongs to the socket.
  const operation = { type: 'vaultChunk', mesh: mesh.id, vault: vault.id, chunk: id } as const
  effects.push({ type: 'persist', operations: [{ ...operation, bytes: Uint8Array.from(bytes) }], receipt })
  countUnanswered(state, connection, bytes.length, effects)
}

function keep(
  state: RelayState,
  mesh: MeshState,
  vault: Vault,
  connection: Connection,
  { request, root }: FrameOf<'vaultKeep'>,
  world: World,
  effects: Effect[],
): void {
  const { draft } = vault
  const isWhole =
    draft?.connection === connection &&
    draft.chunks.has(root) &&
    [...draft.chunks].every((id) => vault.chunks.get(id)?.durable === true)
  if (draft === null || !isWhole) return settle(connection, request, 'VAULT_INCOMPLETE', effects)
  if (state.diskTrouble !== null) return settle(connection, request, state.diskTrouble, effects)
  const chunks = [...draft.chunks].map((chunk) => ({ chunk, bytes: vault.chunks.get(chunk)?.bytes ?? 0 }))
  const snapshot: VaultSnapshot = {
    number: (vault.snapshots.at(-1)?.number ?? 0) + 1,
    atMs: world.nowMs,
    chunks: chunks.length,
    bytes: chunks.reduce((sum, { bytes }) => sum + bytes, 0),
    root,
  }
  const operations: Operation[] = [{ type: 'vaultSnapshot', mesh: mesh.id, vault: vault.id, snapshot, chunks }]
  const [oldest, next = snapshot] = vault.snapshots
  const isFull = oldest !== undefined && vault.snapshots.length >= VAULT_SNAPSHOTS_MAX
  if (isFull) operations.push({ type: 'dropVaultSnapshot', mesh: mesh.id, vault: vault.id, number: oldest.number })
  const dropped = strays(vault, draft, (isFull ? next : (oldest ?? snapshot)).number)
  if (dropped.length > 0) operations.push({ type: 'dropVaultChunks', mesh: mesh.id, vault: vault.id, chunks: dropped })
  draft.keeping = true
  const receipt = state.nextReceipt++
  state.pending.set(receipt, { type: 'vaultKeep', connection, request, mesh, vault, draft, snapshot, dropped })
  effects.push({ type: 'persist', operations, receipt })
}

function list(mesh: MeshState, connection: Connection, request: number, effects: Effect[]): void {
  const vaults = [...mesh.vaults.values()]
    .filter(({ snapshots }) => snapshots.length > 0)
    .map(({ id, snapshots }) => ({ vault: id, snapshots: [...snapshots] }))
  effects.push({ type: 'send', connection: connection.id, frame: { type: 'vaults', request, vaults } })
}

function get(
  state: RelayState,
  mesh: MeshState,
  connection: Connection,
  { request, vault, chunk }: FrameOf<'vaultGet'>,
  effects: Effect[],
): void {
  if (connection.vaultReads >= state.limits.vaultReadsMax) return settle(connection, request, 'QUOTA_VAULT', effects)
  connection.vaultReads += 1
  if (mesh.vaults.get(vault)?.chunks.get(chunk)?.durable !== true) return chunkRead(connection, request, null, effects)
  effects.push({ type: 'readChunk', connection: connection.id, request, mesh: mesh.id, vault, chunk })
}
