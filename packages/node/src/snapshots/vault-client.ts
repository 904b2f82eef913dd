import type { ChunkId, VaultId } from '@sealmesh/protocol/ids'
import { VAULT_NAMES_MAX, type VaultSnapshot } from '@sealmesh/protocol/wire/vault'
import type { VaultAnswer, VaultQuestion } from '../uplink/vault-question.ts'
import type { SnapshotSource } from './read-snapshot.ts'
import type { SnapshotSink } from './write-snapshot.ts'

/** One relay, as far as its vault goes. */
export interface VaultPort {
  vault<Question extends VaultQuestion>(question: Question): Promise<VaultAnswer<Question>>
}

/** Only what is not there yet is sent; a snapshot that was cut off goes on where it was. */
export function vaultSink(relay: VaultPort): SnapshotSink {
  let begun = false
  return {
    lacks: async (ids) => {
      const places: number[] = []
      for (let from = 0; from < ids.length; from += VAULT_NAMES_MAX) {
        const chunks = ids.slice(from, from + VAULT_NAMES_MAX)
        const lacking = await relay.vault({ type: 'vaultNames', begin: !begun, chunks })
        begun = true
        places.push(...lacking.filter((place) => place < chunks.length).map((place) => from + place))
      }
      return places
    },
    put: async (chunk, bytes) => {
      await relay.vault({ type: 'vaultPut', chunk, bytes })
    },
    keep: async (root) => {
      await relay.vault({ type: 'vaultKeep', root })
    },
  }
}

export const vaultSource = (relay: VaultPort, vault: VaultId, { root }: VaultSnapshot): SnapshotSource => {
  const chunk = (id: ChunkId): Promise<Uint8Array | null> => relay.vault({ type: 'vaultGet', vault, chunk: id })
  return { root: () => chunk(root), chunk }
}
