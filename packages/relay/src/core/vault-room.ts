import type { ChunkId, VaultId } from '@sealmesh/protocol/ids'
import { VAULTS_MAX, type VaultSnapshot } from '@sealmesh/protocol/wire/vault'
import type { Operation } from './event.ts'
import type { KeyName } from './key-name.ts'
import type { MeshState, RelayState, Vault, VaultDraft } from './state.ts'

/**
 * What makes room for a chunk, in this order: what this node left and never finished, its own older snapshots, and of
 * the mesh those of logins that were removed, whole vaults, the oldest first. Never the newest of a node that is let
 * in, and nothing else of another node. Undefined where all of that is not enough: then nothing is let go of.
 */
export function makeRoom(
  state: RelayState,
  mesh: MeshState,
  vault: Vault,
  draft: VaultDraft,
  bytes: number,
): Operation[] | undefined {
  const room = findRoom(state, mesh, vault, draft, bytes)
  if (room === undefined) return undefined
  const operations = room.sweeps ? sweep(mesh, vault, draft) : []
  for (let count = 0; count < room.snapshots; count++) operations.push(...dropOldest(mesh, vault, draft))
  for (const removed of room.vaults) operations.push(...dropVault(mesh, removed))
  return operations
}

/** What is to go, and how much. */
interface Room {
  readonly sweeps: boolean
  readonly snapshots: number
  readonly vaults: readonly Vault[]
}

/** Only looks. What memory let go of for a chunk that is then refused would lie on the disk, counted nowhere. */
function findRoom(
  { limits }: RelayState,
  mesh: MeshState,
  vault: Vault,
  draft: VaultDraft,
  bytes: number,
): Room | undefined {
  const { loginVaultBytesMax, loginVaultChunksMax, meshVaultBytesMax, meshVaultChunksMax } = limits
  let freed = { bytes: 0, chunks: 0 }
  const isOwnFull = (): boolean =>
    vault.bytes - freed.bytes + bytes > loginVaultBytesMax || vault.chunks.size - freed.chunks >= loginVaultChunksMax
  const isMeshFull = (): boolean =>
    mesh.vaultBytes - freed.bytes + bytes > meshVaultBytesMax || mesh.vaultChunks - freed.chunks >= meshVaultChunksMax
  if (!isOwnFull() && !isMeshFull()) return { sweeps: false, snapshots: 0, vaults: [] }
  const freeUpTo = (oldest: VaultSnapshot | undefined): void => {
    const chunks = strays(vault, draft, oldest?.number ?? Number.MAX_SAFE_INTEGER)
    freed = { bytes: chunks.reduce((sum, id) => sum + (vault.chunks.get(id)?.bytes ?? 0), 0), chunks: chunks.length }
  }
  let snapshots = 0
  freeUpTo(vault.snapshots[0])
  while ((isOwnFull() || isMeshFull()) && snapshots < vault.snapshots.length - 1) {
    snapshots += 1
    freeUpTo(vault.snapshots[snapshots])
  }
  if (isOwnFull()) return undefined
  const vaults: Vault[] = []
  for (const removed of removedVaults(mesh, vault)) {
    if (!isMeshFull()) break
    vaults.push(removed)
    freed = { bytes: freed.bytes + removed.bytes, chunks: freed.chunks + removed.chunks.size }
  }
  return isMeshFull() ? undefined : { sweeps: true, snapshots, vaults }
}

/** For a login that has none yet; undefined when there are as many as can be listed. */
export function roomForVault(mesh: MeshState, vault: Vault): Operation[] | undefined {
  if (mesh.vaults.has(vault.id) || mesh.vaults.size < VAULTS_MAX) return []
  const [removed] = removedVaults(mesh, vault)
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

/** The oldest first. One whose writes are on their way is left alone: what arrives later would belong to nothing. */
function removedVaults(mesh: MeshState, but: Vault): Vault[] {
  const isIdle = ({ draft, chunks }: Vault): boolean =>
    draft?.keeping !== true && ![...chunks.values()].some(({ writing }) => writing > 0)
  return [...mesh.vaults.values()]
    .filter((vault) => vault !== but && mesh.revokedLogins.has(vault.id as string as KeyName) && isIdle(vault))
    .toSorted((a, b) => (a.snapshots.at(-1)?.atMs ?? 0) - (b.snapshots.at(-1)?.atMs ?? 0))
}
