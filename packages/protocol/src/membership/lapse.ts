import type { DocumentName } from '../crdt/block.ts'
import type { NodeId, RecordHash } from '../ids.ts'
import type { Ending, Mesh } from './mesh.ts'
import type { Cut } from './record.ts'

/** What a record that ends a right, or speaks of a silence, says of a document. */
export const cutFor = (cuts: readonly Cut[], { agent, layer }: DocumentName): Cut | undefined =>
  cuts.find(({ document }) => document.agent === agent && document.layer === layer)

/** Each time that the node was too silent to be waited for in this document. */
export const lapsesFor = (mesh: Mesh, node: NodeId, document: DocumentName): RecordHash[] =>
  lapsesNaming(mesh, node, document).map(({ record }) => record)

/** Whether nobody waits for the node's receipts of this document: it has not announced itself since it lapsed. */
export function isLapsedFor(mesh: Mesh, node: NodeId, document: DocumentName): boolean {
  const prekeys = mesh.nodes.get(node)?.prekeys ?? []
  return lapsesNaming(mesh, node, document).some(
    (lapse) => !prekeys.some(({ record }) => mesh.isInPast(lapse.record, record)),
  )
}

const lapsesNaming = (mesh: Mesh, node: NodeId, document: DocumentName): Ending[] =>
  (mesh.nodes.get(node)?.lapses ?? []).filter(({ cuts }) => cutFor(cuts, document) !== undefined)
