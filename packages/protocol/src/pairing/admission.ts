import {
  concatBytes,
  decode,
  encode,
  readBytes,
  readList,
  readText,
  writeBytes,
  writeList,
  writeText,
} from '../bytes.ts'
import type { NodeId } from '../ids.ts'
import { RECORD_BYTES_MAX, RECORDS_MAX, RELAY_ADDRESS_BYTES_MAX, RELAYS_MAX } from '../limits.ts'
import { MembershipLog } from '../membership/log.ts'
import type { Mesh, MeshNode } from '../membership/mesh.ts'
import type { NodeIdentity } from '../membership/record.ts'
import { decodeRecord, nodeIdOf } from '../membership/record-codec.ts'
import { assert, err, ok, type Result } from '../result.ts'
import type { Sodium } from '../sodium.ts'
import { decodeTokenChain, TOKEN_CHAIN_BYTES_MAX, verifyTokenChain } from '../wire/token.ts'
import { equalBytes } from '../bytes.ts'
import type { PairingLink } from './link.ts'
import { CHUNK_BYTES, CHUNKS_MAX } from './message.ts'

/** All that a new node needs to begin: nothing in it is secret from members, and nothing in it is content. */
export interface Admission {
  /** The membership log, in causal order, with the record that admits the joiner. */
  readonly records: readonly Uint8Array[]
  /** Lets the joiner's own login key into the relay: an encoded token chain. */
  readonly token: Uint8Array
  /** Addresses, in order of preference. */
  readonly relays: readonly string[]
}

/** docs/spec/05-pairing.md §5. */
export function encodeAdmission(admission: Admission): readonly Uint8Array[] {
  const whole = encode((writer) => {
    writeList(writer, admission.records, (record) => writeBytes(writer, record))
    writeBytes(writer, admission.token)
    writeList(writer, admission.relays, (relay) => writeText(writer, relay))
  })
  const chunks: Uint8Array[] = []
  for (let at = 0; at < whole.length; at += CHUNK_BYTES) chunks.push(whole.subarray(at, at + CHUNK_BYTES))
  assert(chunks.length <= CHUNKS_MAX, 'an admission fits the chunks that a joiner takes')
  return chunks
}

/** Bytes from whoever has the link. Never throws. */
export const decodeAdmission = (chunks: readonly Uint8Array[]): Result<Admission, { code: 'BYTES_MALFORMED' }> =>
  decode(concatBytes(...chunks), (reader) => ({
    records: readList(reader, RECORDS_MAX, () => readBytes(reader, RECORD_BYTES_MAX)),
    token: readBytes(reader, TOKEN_CHAIN_BYTES_MAX),
    relays: readList(reader, RELAYS_MAX, () => readText(reader, RELAY_ADDRESS_BYTES_MAX)),
  }))

export type AdmissionProblem =
  | 'record-unreadable'
  /** A record of another mesh, or one that nobody in this log may have signed. */
  | 'record-refused'
  | 'not-admitted'
  | 'inviter-not-a-member'
  | 'token'

/**
 * Whether an admission is what the link promised: a log that goes back to the link's root, that admits exactly this
 * joiner, with the inviter in it, and a token for the joiner's login. Returns the inviter's id.
 */
export function checkAdmission(
  admission: Admission,
  link: PairingLink,
  identity: NodeIdentity,
  nowMs: number,
  sodium: Sodium,
): Result<NodeId, AdmissionProblem> {
  const log = new MembershipLog(link.rootFingerprint, sodium)
  for (const bytes of admission.records) {
    const record = decodeRecord(bytes, sodium)
    if (!record.ok) return err('record-unreadable')
    // In causal order: one that has to wait has been torn out of its past.
    const added = log.add(record.value)
    if (added !== 'added' && added !== 'duplicate') return err('record-refused')
  }
  const { nodes } = log.mesh
  const own = nodes.get(nodeIdOf(identity.signKey, identity.foundingAgent.id, sodium))
  if (own === undefined || own.revocations.length > 0 || !equalBytes(own.loginKey, identity.loginKey))
    return err('not-admitted')
  const inviter = admitterOf(own, log.mesh)
  if (inviter === undefined) return err('inviter-not-a-member')
  const chain = decodeTokenChain(admission.token)
  if (!chain.ok) return err('token')
  const login = verifyTokenChain(chain.value, link.rootFingerprint, nowMs, sodium)
  if (!login.ok || login.value.kind !== 'node' || !equalBytes(login.value.loginKey, identity.loginKey))
    return err('token')
  return ok(inviter.id)
}

/** The member that signed for this one. A machine that joined once before may have been let in by several. */
function admitterOf(own: MeshNode, mesh: Mesh): MeshNode | undefined {
  for (const { hash, body, signer } of mesh.records.values()) {
    if (body.type !== 'admit' || signer.type !== 'node' || mesh.voided.has(hash)) continue
    if (!equalBytes(body.node.signKey, own.signKey)) continue
    const node = mesh.nodes.get(signer.node)
    if (node?.revocations.length === 0) return node
  }
  return undefined
}
