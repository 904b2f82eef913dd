import type { DocumentName } from '@sealmesh/protocol/crdt/block'
import type { VersionVector } from '@sealmesh/protocol/crdt/clock'
import { type Delta, deltaAfter, type DeltaSource } from './delta.ts'
import { prunedAfter } from './pruned-delta.ts'

/** What a peer with `vector` lacks: of what lies below the base what is left there, then whole blocks. */
export async function outgoing(
  source: Omit<DeltaSource, 'base'>,
  name: DocumentName,
  damaged: boolean,
  vector: VersionVector,
  bytesMax: number,
): Promise<Delta> {
  const { blocks, document: id } = source
  const record = damaged ? undefined : await blocks.bases.read(id)
  const pruned = record && (await prunedAfter(blocks, { id, name }, record, vector, bytesMax))
  // What is still on its way to this node is for nobody else.
  if (pruned !== undefined && record?.target.length === 0) return pruned
  if (pruned !== undefined) return { blocks: [], reached: vector, more: false }
  return deltaAfter({ ...source, base: record?.tips.map(({ dot }) => dot) ?? [] }, vector, bytesMax)
}
