import type { DocumentName } from '@sealmesh/protocol/crdt/block'
import type { VersionVector } from '@sealmesh/protocol/crdt/clock'
import type { ClosedSets } from './closed-sets.ts'
import { type Delta, deltaAfter, type DeltaSource, recentDelta } from './delta.ts'
import { prunedAfter } from './pruned-delta.ts'

/** What a peer with `vector` lacks: of what lies below the base what is left there, then whole blocks. */
export async function outgoing(
  source: Omit<DeltaSource, 'base'> & { readonly closed: Pick<ClosedSets, 'of'> },
  name: DocumentName,
  damaged: boolean,
  vector: VersionVector,
  bytesMax: number,
): Promise<Delta> {
  const { blocks, document: id } = source
  const record = damaged ? undefined : await blocks.bases.read(id)
  const above = { ...source, base: record?.tips.map(({ dot }) => dot) ?? [] }
  const isWhole = !damaged && (record === undefined || record.target.length === 0)
  const last = isWhole ? recentDelta(above, vector, bytesMax) : undefined
  if (last !== undefined) return last
  const pruned =
    record && (await prunedAfter(blocks, { id, name }, record, vector, bytesMax, await source.closed.of(id)))
  // What is still on its way to this node is for nobody else.
  if (pruned !== undefined && record?.target.length === 0) return pruned
  if (pruned !== undefined) return { blocks: [], reached: vector, more: false }
  return deltaAfter(above, vector, bytesMax)
}
