import type { DocumentName } from '../crdt/block.ts'
import type { NodeId, RecordHash } from '../ids.ts'
import type { Ending, Mesh } from './mesh.ts'
import type { Cut } from './record.ts'

/** Cuts of one record by what they speak of: a record has one for each document, and every block asks for its own. */
const byDocument = new WeakMap<readonly Cut[], ReadonlyMap<string, Cut>>()

/** What a record that ends a right, or speaks of a silence, says of a document. */
export function cutFor(cuts: readonly Cut[], document: DocumentName): Cut | undefined {
  if (cuts.length === 0) return undefined
  let found = byDocument.get(cuts)
  if (found === undefined) {
    // Of two for one document the first counts.
    found = new Map(cuts.toReversed().map((cut) => [keyOf(cut.document), cut]))
    byDocument.set(cuts, found)
  }
  return found.get(keyOf(document))
}

const keyOf = ({ agent, layer }: DocumentName): string => `${agent}.${layer}`

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
