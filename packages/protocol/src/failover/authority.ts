import {
  concatBytes,
  type DecodeError,
  decode,
  encode,
  fromHex,
  readFixed,
  readId,
  readUint,
  toHex,
  writeFixed,
  writeId,
  writeUint,
} from '../bytes.ts'
import type { AgentId, MeshId, NodeId, RecordHash } from '../ids.ts'
import { SIGNATURE_BYTES, type Secret, type Signature } from '../keys.ts'
import type { Mesh, Term } from '../membership/mesh.ts'
import { fromBase64Url, toBase64Url } from '../pairing/base64url.ts'
import { err, ok, type Result } from '../result.ts'
import type { Sodium } from '../sodium.ts'
import { TAGS } from '../tags.ts'

/** Why this node must not act as the agent now. */
export type NoAct =
  | 'AGENT_UNKNOWN'
  /** The log names another holder, or none. */
  | 'NOT_THE_HOLDER'
  /** The node is out of the mesh, or not among the agent's hosts any more. */
  | 'NOT_A_HOST'
  /** A leased agent, and nobody who could say that the lease is ours alone. */
  | 'WITNESS_NEEDED'
  /** No lease of this run lists it, or the lease has run out. */
  | 'LEASE_OVER'
  /** The node has more agents than its register has room for. */
  | 'LEASE_FULL'
  /** This process may have stood still: the lease is to be confirmed first. */
  | 'LEASE_UNSURE'
  | 'DRAINING'
  /** What was written elsewhere is not all here yet. */
  | 'CATCHING_UP'
  | 'ROLLED_BACK'
  | 'QUARANTINED'

/** What the node's lease and health say of one agent at the moment of the act. */
export interface Standing {
  /** The record under which a running lease of this run lists it. */
  readonly listed: RecordHash | undefined
  /** A blob that lists it may lie at the witness: it is governed by its lease, whatever its mode says. */
  readonly mayBeListed: boolean
  readonly hasWitness: boolean
  readonly leftOut: boolean
  readonly unsure: boolean
  readonly draining: boolean
  readonly caughtUp: boolean
  /** A register gave it the term, or every other host knows of it. */
  readonly proven: boolean
  readonly rolledBack: boolean
  readonly quarantined: boolean
}

/** Whether it may act, and whether the witness excludes that another node does. In the tick of the act. */
export function judgeAct(
  mesh: Mesh,
  agentId: AgentId,
  node: NodeId,
  standing: Standing,
): Result<{ readonly term: Term; readonly witnessed: boolean }, NoAct> {
  const agent = mesh.agents.get(agentId)
  if (agent === undefined) return err('AGENT_UNKNOWN')
  const { term } = agent
  if (term?.holder !== node) return err('NOT_THE_HOLDER')
  // Of two terms of one number this node's own may be the last in order, and the other one's holder acts as well.
  if (!agent.hosts.includes(node)) return err('NOT_A_HOST')
  if (standing.quarantined) return err('QUARANTINED')
  if (standing.draining) return err('DRAINING')
  if (agent.failover.mode === 'manual' && !standing.mayBeListed) return ok({ term, witnessed: false })
  if (standing.rolledBack) return err('ROLLED_BACK')
  if (!standing.hasWitness) return err('WITNESS_NEEDED')
  if (standing.listed !== term.record) return err(standing.leftOut ? 'LEASE_FULL' : 'LEASE_OVER')
  if (standing.unsure) return err('LEASE_UNSURE')
  if (!standing.caughtUp) return err('CATCHING_UP')
  return ok({ term, witnessed: standing.proven })
}

export const ACT_ID_BYTES = 16

/**
 * What goes with every act of an agent, so that a tool can tell an act of a passed term from one of the present: it
 * refuses a term below the highest that it has seen, and an act that it has done (docs/spec/12-failover.md §7).
 *
 *   mesh 32 | agent 32 | node 32 | term | record 32 | act 16 | signature 64
 */
export interface FencingToken {
  readonly mesh: MeshId
  readonly agent: AgentId
  readonly node: NodeId
  readonly term: number
  /** Of the assign: two terms of one number are two terms. */
  readonly record: RecordHash
  /** Random, or the caller's own name for what it does once. */
  readonly act: Uint8Array
}

export interface SignedToken extends FencingToken {
  readonly signature: Signature
}

export function signToken(token: FencingToken, secret: Secret<'sign'>, sodium: Sodium): string {
  const said = tokenBytes(token)
  return `${PREFIX}${toBase64Url(concatBytes(said, sodium.sign(concatBytes(TAGS.fencingToken, said), secret)))}`
}

/** A tool is handed it by whoever wants it to act. Never throws; says nothing of who signed it. */
export function parseToken(text: string): Result<SignedToken, DecodeError> {
  if (!text.startsWith(PREFIX) || text.length > TOKEN_TEXT_MAX) return err({ code: 'BYTES_MALFORMED' })
  const bytes = fromBase64Url(text.slice(PREFIX.length))
  if (!bytes.ok) return err({ code: 'BYTES_MALFORMED' })
  return decode(bytes.value, (reader) => ({
    mesh: readId<MeshId>(reader, 32),
    agent: readId<AgentId>(reader, 32),
    node: readId<NodeId>(reader, 32),
    term: readUint(reader),
    record: readId<RecordHash>(reader, 32),
    act: readFixed(reader, ACT_ID_BYTES),
    signature: readFixed(reader, SIGNATURE_BYTES) as Signature,
  }))
}

/** Whether the node of this key signed it: all that a tool without the mesh's log needs. */
export const isSignedBy = (token: SignedToken, signKey: Uint8Array, sodium: Sodium): boolean =>
  sodium.verify(token.signature, concatBytes(TAGS.fencingToken, tokenBytes(token)), signKey)

/** Whether the holder of that very term signed it, and no higher term is known here. */
export function verifyToken(token: SignedToken, mesh: Mesh, sodium: Sodium): 'good' | 'passed' | 'bad' {
  const node = mesh.nodes.get(token.node)
  const agent = mesh.agents.get(token.agent)
  const term = agent?.terms.find(({ record }) => record === token.record)
  if (token.mesh !== mesh.id || node === undefined || term?.holder !== token.node || term.number !== token.term)
    return 'bad'
  if (!isSignedBy(token, node.signKey, sodium)) return 'bad'
  return agent?.term?.record === token.record && node.revocations.length === 0 ? 'good' : 'passed'
}

const PREFIX = 'act_'
const TOKEN_TEXT_MAX = 512

const tokenBytes = ({ mesh, agent, node, term, record, act }: FencingToken): Uint8Array =>
  encode((writer) => {
    for (const id of [mesh, agent, node]) writeFixed(writer, fromHex(id))
    writeUint(writer, term)
    writeId(writer, record)
    writeFixed(writer, act)
  })

/** For people and journals. */
export const actName = (act: Uint8Array): string => toHex(act)
