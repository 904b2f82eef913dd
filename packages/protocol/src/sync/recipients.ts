import type { DocumentName } from '../crdt/block.ts'
import type { NodeId } from '../ids.ts'
import { isSingleWriter, readersOf, writersOf } from '../membership/access.ts'
import type { Mesh } from '../membership/mesh.ts'
import type { Rights } from './peer-plan.ts'

/**
 * The sender's half of every grant (docs/spec/08-sync.md §4): taken from the log that the packet names, in the turn
 * in which it is sealed, never from the relay or from what a peer asks for.
 */

/** Blocks of a document, and who edits it, go to these only. */
export const mayRead = (mesh: Mesh, { agent, layer }: DocumentName, node: NodeId): boolean =>
  readersOf(mesh, agent, layer).includes(node)

/** Whether a node writes a document now or, in a single-writer layer, held a term that it wrote under. */
export function wrote(mesh: Mesh, { agent, layer }: DocumentName, node: NodeId): boolean {
  if (!isSingleWriter(layer)) return writersOf(mesh, agent, layer).includes(node)
  return mesh.agents.get(agent)?.terms.some((term) => term.holder === node) ?? false
}

/** A peer that writes what it may not read still wants to know that it arrived: vectors of its own blocks. */
export const mayHear = (mesh: Mesh, name: DocumentName, node: NodeId): boolean =>
  mayRead(mesh, name, node) || wrote(mesh, name, node)

/** What one peer has to do with a document that we hold or write; undefined when it is none of its business. */
export function sharedWith(mesh: Mesh, name: DocumentName, me: NodeId, peer: NodeId): Rights | undefined {
  if (!mayHear(mesh, name, peer)) return undefined
  const [peerReads, iRead] = [mayRead(mesh, name, peer), mayRead(mesh, name, me)]
  return { peerReads, bothRead: peerReads && iRead, iRead }
}
