import type { VersionVector } from '../crdt/clock.ts'
import type { AgentId, NodeId } from '../ids.ts'
import { RECORD_BYTES_MAX } from '../limits.ts'
import type { Mesh } from '../membership/mesh.ts'
import type { RecordBody } from '../membership/record.ts'
import { recordBytesMax } from '../membership/record-codec.ts'
import { err, ok, type Result } from '../result.ts'

/** Refusals of a takeover; all are codes of the table in errors.ts. */
export interface TakeoverError {
  code: 'AGENT_UNKNOWN' | 'NODE_UNKNOWN' | 'NODE_REVOKED' | 'NOT_A_HOST' | 'ALREADY_HOLDER' | 'BASIS_TOO_LARGE'
}

/** One document as the node that takes over has it. */
export interface DocumentState {
  readonly layer: string
  readonly vector: VersionVector
  readonly digest: Uint8Array
}

/**
 * The record by which `node` becomes the agent's holder, starting from what it has of each document
 * (docs/spec/02-membership.md §13). Manual takeover needs nobody else's word: the authority lies in the host record
 * that was signed beforehand.
 */
export function planTakeover(plan: {
  mesh: Mesh
  agent: AgentId
  node: NodeId
  documents: readonly DocumentState[]
  reason: string
  /** The holder itself, by a person's word: somebody took it and is gone with the record. */
  again?: boolean
}): Result<Extract<RecordBody, { type: 'assign' }>, TakeoverError> {
  const { mesh, node, documents, reason } = plan
  const agent = mesh.agents.get(plan.agent)
  if (agent === undefined) return err({ code: 'AGENT_UNKNOWN' })
  const member = mesh.nodes.get(node)
  if (member === undefined) return err({ code: 'NODE_UNKNOWN' })
  if (member.revocations.length > 0) return err({ code: 'NODE_REVOKED' })
  if (!agent.hosts.includes(node)) return err({ code: 'NOT_A_HOST' })
  // In an overlap of two terms of one number either holder may settle it by taking the next.
  const contested = agent.terms.some(({ number, holder }) => number === agent.term?.number && holder !== node)
  if (agent.term?.holder === node && !contested && plan.again !== true) return err({ code: 'ALREADY_HOLDER' })

  const body: Extract<RecordBody, { type: 'assign' }> = {
    type: 'assign',
    agent: plan.agent,
    term: (agent.term?.number ?? 0) + 1,
    holder: node,
    previous: agent.term?.record ?? null,
    reason,
    basis: documents.toSorted((a, b) => (a.layer < b.layer ? -1 : 1)),
  }
  return recordBytesMax(body) > RECORD_BYTES_MAX ? err({ code: 'BASIS_TOO_LARGE' }) : ok(body)
}
