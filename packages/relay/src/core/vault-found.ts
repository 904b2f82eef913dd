import type { ChunkId, VaultId } from '@sealmesh/protocol/ids'
import type { VaultSnapshot } from '@sealmesh/protocol/wire/vault'
import type { MeshState, Vault } from './state.ts'
import { newVault } from './vault-room.ts'

/** What a start finds of vaults on its disk: snapshots in the order of their numbers. */

export function foundSnapshot(mesh: MeshState, id: VaultId, snapshot: VaultSnapshot): void {
  vaultIn(mesh, id).snapshots.push(snapshot)
}

/** One that belongs to no snapshot is left of one that was never finished: its node may go on with it. */
export function foundChunk(mesh: MeshState, id: VaultId, chunk: ChunkId, found: { kept: number; bytes: number }): void {
  const vault = vaultIn(mesh, id)
  vault.chunks.set(chunk, { ...found, writing: 0, durable: true })
  vault.bytes += found.bytes
  mesh.vaultBytes += found.bytes
  mesh.vaultChunks += 1
}

function vaultIn(mesh: MeshState, id: VaultId): Vault {
  const vault = mesh.vaults.get(id) ?? newVault(id)
  mesh.vaults.set(id, vault)
  return vault
}
