import type { ChunkId, VaultId } from '@sealmesh/protocol/ids'
import { VAULTS_MAX } from '@sealmesh/protocol/wire/vault'
import type { Operation } from './event.ts'
import type { KeyName } from './key-name.ts'
import type { MeshState, RelayState, Vault, VaultDraft } from './state.ts'

/**
 * What makes room for a chunk, in this order: what this node left and never finished, its own older snapshots, and of
 * the mesh those of logins that were removed, whole vaults, the oldest first. Never the newest of a node that is let
 * in, and nothing else of another node.
 */
export function makeRoom(
  state: RelayState,
  mesh: MeshState,
  vault: Vault,
  draft: VaultDraft,
  bytes: number,
): Operation[] | undefined {
  const { loginVaultBytesMax, loginVaultChunksMax, meshVaultBytesMax, meshVaultChunksMax } = state.limits
  const isOwnFull = (): boolean => vault.bytes + bytes > loginVaultBytesMax || vault.chunks.size >= loginVaultChunksMax
  const isMeshFull = (): boolean =>
    mesh.vaultBytes + bytes > meshVaultBytesMax || mesh.vaultChunks >= meshVaultChunksMax
  const operations: Operation[] = []
  if (isOwnFull() || isMeshFull()) operations.push(...sweep(mesh, vault, draft))
  while ((isOwnFull() || isMeshFull()) && vault.snapshots.length > 1) operations.push(...dropOldest(mesh, vault, draft))
  while (!isOwnFull() && isMeshFull()) {
    const removed = oldestRemoved(mesh, vault)
    if (removed === undefined) break
    operations.push(...dropVault(mesh, removed))
  }
  return isOwnFull() || isMeshFull() ? undefined : operations
}

/** For a login that has none yet; undefined when there are as many as can be listed. */
export function roomForVault(mesh: MeshState, vault: Vault): Operation[] | undefined {
  if (mesh.vaults.has(vault.id) || mesh.vaults.size < VAULTS_MAX) return []
  const removed = oldestRemoved(mesh, vault)
  return removed === undefined ? undefined : dropVault(mesh, removed)
}

export const newVault = (id: VaultId): Vault => ({ id, chunks: new Map(), snapshots: [], bytes: 0, draft: null })

/** In no snapshot from this one on, and not in the one that is being left. */
export function strays(vault: Vault, draft: VaultDraft | null, oldest: number): ChunkId[] {
  const found: ChunkId[] = []
  for (const [id, { kept, writing }] of vault.chunks)
    if (kept < oldest && writing === 0 && draft?.chunks.has(id) !== true) found.push(id)
  return found
}

export function forgetChunk(mesh: MeshState, vault: Vault, id: ChunkId): void {
  const chunk = vault.chunks.get(id)
  if (chunk === undefined) return
  vault.chunks.delete(id)
  vault.bytes -= chunk.bytes
  mesh.vaultBytes -= chunk.bytes
  mesh.vaultChunks -= 1
}

function sweep(mesh: MeshState, vault: Vault, draft: VaultDraft | null): Operation[] {
  const chunks = strays(vault, draft, vault.snapshots[0]?.number ?? Number.MAX_SAFE_INTEGER)
  for (const id of chunks) forgetChunk(mesh, vault, id)
  return chunks.length === 0 ? [] : [{ type: 'dropVaultChunks', mesh: mesh.id, vault: vault.id, chunks }]
}

function dropOldest(mesh: MeshState, vault: Vault, draft: VaultDraft | null): Operation[] {
  const oldest = vault.snapshots.shift()
  if (oldest === undefined) return []
  return [
    { type: 'dropVaultSnapshot', mesh: mesh.id, vault: vault.id, number: oldest.number },
    ...sweep(mesh, vault, draft),
  ]
}

function dropVault(mesh: MeshState, vault: Vault): Operation[] {
  const operations: Operation[] = []
  while (vault.snapshots.length > 0) operations.push(...dropOldest(mesh, vault, null))
  operations.push(...sweep(mesh, vault, null))
  mesh.vaults.delete(vault.id)
  return operations
}

/** One whose writes are on their way is left alone: what arrives later would belong to nothing. */
function oldestRemoved(mesh: MeshState, but: Vault): Vault | undefined {
  let oldest: Vault | undefined
  for (const vault of mesh.vaults.values()) {
    if (vault === but || !mesh.revokedLogins.has(vault.id as string as KeyName)) continue
    if (vault.draft?.keeping === true || [...vault.chunks.values()].some(({ writing }) => writing > 0)) continue
    const atMs = vault.snapshots.at(-1)?.atMs ?? 0
    if (oldest === undefined || atMs < (oldest.snapshots.at(-1)?.atMs ?? 0)) oldest = vault
  }
  return oldest
}
