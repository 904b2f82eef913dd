import type { ChunkId, MeshId, VaultId } from '@sealmesh/protocol/ids'
import type { Operation } from '@sealmesh/relay/core/event'

type Kept = Extract<Operation, { type: 'vaultChunk' }> & { kept: number }
type VaultOperation = Extract<
  Operation,
  { type: 'vaultChunk' | 'dropVaultChunks' | 'vaultSnapshot' | 'dropVaultSnapshot' }
>

/** What a simulated relay's disk has of vaults. */
export class VaultDisk {
  readonly chunks = new Map<string, Kept>()
  readonly snapshots = new Map<string, Extract<Operation, { type: 'vaultSnapshot' }>>()

  apply(operation: VaultOperation): void {
    const place = operation.mesh + operation.vault
    switch (operation.type) {
      case 'vaultChunk':
        this.chunks.set(place + operation.chunk, { ...operation, kept: 0 })
        return
      case 'dropVaultChunks':
        for (const chunk of operation.chunks) this.chunks.delete(place + chunk)
        return
      case 'vaultSnapshot':
        this.snapshots.set(place + operation.snapshot.number, operation)
        for (const { chunk } of operation.chunks) this.chunks.get(place + chunk)!.kept = operation.snapshot.number
        return
      case 'dropVaultSnapshot':
        this.snapshots.delete(place + operation.number)
    }
  }

  chunk(mesh: MeshId, vault: VaultId, chunk: ChunkId): Uint8Array | null {
    return this.chunks.get(mesh + vault + chunk)?.bytes ?? null
  }

  copyTo(other: VaultDisk): void {
    for (const [place, chunk] of this.chunks) other.chunks.set(place, { ...chunk })
    for (const [place, snapshot] of this.snapshots) other.snapshots.set(place, snapshot)
  }
}
