import type { DocumentName, TermRef } from '@sealmesh/protocol/crdt/block'
import { Failure } from '@sealmesh/protocol/errors'
import type { AgentId, NodeId } from '@sealmesh/protocol/ids'
import { isSingleWriter, writersOf } from '@sealmesh/protocol/membership/access'
import type { Mesh } from '@sealmesh/protocol/membership/mesh'
import { err, ok, type Result } from '@sealmesh/protocol/result'

/** Whether this node may write the document now, and under which term. Asked at the moment of the write. */
export function permissionToWrite(
  mesh: Mesh,
  node: NodeId,
  name: DocumentName,
  fence?: (agent: AgentId) => Failure | null,
): Result<TermRef | null, Failure> {
  const agent = mesh.agents.get(name.agent)
  if (agent === undefined) return err(new Failure('AGENT_UNKNOWN', 'The mesh has no such agent.'))
  const single = isSingleWriter(name.layer)
  if (!writersOf(mesh, name.agent, name.layer).includes(node)) {
    return err(
      single
        ? new Failure('NOT_THE_HOLDER', 'Another node holds this agent, and only its holder writes this layer.')
        : new Failure('NOT_A_WRITER', 'This node was not given the right to write this layer.'),
    )
  }
  const fenced = single ? (fence?.(name.agent) ?? null) : null
  if (fenced !== null) return err(fenced)
  const { term } = agent
  return ok(single && term !== null ? { number: term.number, assign: term.record } : null)
}
