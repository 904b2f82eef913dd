import { fromHex, toHex } from '@sealmesh/protocol/bytes'
import type { Block, DocumentName, TermRef } from '@sealmesh/protocol/crdt/block'
import type { Clock } from '@sealmesh/protocol/crdt/clock'
import type { Covers } from '@sealmesh/protocol/crdt/verdict'
import { mailboxesBytes } from '@sealmesh/protocol/envelope/daily-mailboxes'
import type { AgentId, BlockHash, IncarnationId, MailboxId, MeshId, NodeId, RecordHash } from '@sealmesh/protocol/ids'
import type { KeyPair, LoginPublicKey, SealPublicKey, Secret, Signature, SignPublicKey } from '@sealmesh/protocol/keys'
import { foldMesh } from '@sealmesh/protocol/membership/fold'
import type { Mesh } from '@sealmesh/protocol/membership/mesh'
import type {
  Basis,
  Cut,
  FailoverMode,
  NodeIdentity,
  RecordBody,
  RecordSigner,
  SignedRecord,
} from '@sealmesh/protocol/membership/record'
import { nodeIdOf, signRecord, verifyRecord } from '@sealmesh/protocol/membership/record-codec'
import type { Sodium } from '@sealmesh/protocol/sodium'

/** Somebody who signs: the root, a node, or an agent. */
export interface Signer {
  readonly as: RecordSigner
  readonly secret: Secret<'root' | 'sign' | 'agent'>
}

export interface Machine extends Signer {
  readonly id: NodeId
  readonly identity: NodeIdentity
  /** Its founding agent. */
  readonly agent: AgentSigner
}

export interface AgentSigner extends Signer {
  readonly id: AgentId
  readonly name: string
}

/** Seeds that differ by their label, the same in every run. */
const seedOf = (sodium: Sodium, label: string): Uint8Array => sodium.hash([new TextEncoder().encode(label)])

/** People and machines of one mesh, and the records that they have signed so far. */
export class Scene {
  readonly sodium: Sodium
  readonly root: Signer
  readonly mesh: MeshId
  readonly records: SignedRecord[] = []
  /** Moves by a second with every record, unless one says otherwise. */
  nowMs = 1_800_000_000_000

  constructor(sodium: Sodium, label = 'root') {
    this.sodium = sodium
    const keys = sodium.signKeys('root', seedOf(sodium, label))
    this.mesh = toHex(keys.publicKey) as MeshId
    this.root = { as: { type: 'root' }, secret: keys.secretKey }
  }

  agent(name: string): AgentSigner {
    const keys = this.#keys('agent', `agent ${name}`)
    const id = toHex(keys.publicKey) as AgentId
    return { id, name, as: { type: 'agent', agent: id }, secret: keys.secretKey }
  }

  machine(name: string): Machine {
    const keys = this.#keys('sign', `node ${name}`)
    const login = this.#keys('login', `login ${name}`)
    const agent = this.agent(`of-${name}`)
    const id = nodeIdOf(keys.publicKey, agent.id, this.sodium)
    const identity: NodeIdentity = {
      name,
      signKey: keys.publicKey,
      loginKey: login.publicKey as Uint8Array as LoginPublicKey,
      foundingAgent: { id: agent.id, name: agent.name },
    }
    return { id, identity, agent, as: { type: 'node', node: id }, secret: keys.secretKey }
  }

  /** Signs over all that the scene holds, or over `after` only: what the signer knew, or says that it knew. */
  sign(by: Signer, body: RecordBody, options: { after?: readonly SignedRecord[]; timeMs?: number } = {}): SignedRecord {
    this.nowMs += 1_000
    const parents = body.type === 'found' ? [] : (options.after?.map(({ hash }) => hash) ?? this.heads())
    const draft = { mesh: this.mesh, parents, timeMs: options.timeMs ?? this.nowMs, signer: by.as, body }
    const record = signRecord(draft, by.secret, this.sodium)
    this.records.push(record)
    return record
  }

  heads(): RecordHash[] {
    const followed = new Set(this.records.flatMap(({ parents }) => parents))
    return this.records.map(({ hash }) => hash).filter((hash) => !followed.has(hash))
  }

  fold(records: Iterable<SignedRecord> = this.records): Mesh {
    return foldMesh(this.mesh, records, (record, key) => verifyRecord(record, key, this.sodium), this.sodium)
  }

  /** The mesh with its first machine, which is an admin. */
  found(machine: Machine): SignedRecord {
    return this.sign(this.root, { type: 'found', meshName: 'ours', node: machine.identity })
  }

  #keys<Role extends 'sign' | 'login' | 'agent'>(role: Role, label: string): KeyPair<SignPublicKey, Role> {
    return this.sodium.signKeys(role, seedOf(this.sodium, label))
  }
}

// Bodies, with what a test does not care about filled in.
export const admit = (machine: Machine, admin = false, token = new Uint8Array()): RecordBody => ({
  type: 'admit',
  node: machine.identity,
  admin,
  token,
})
export const recovery = (machine: Machine): RecordBody => ({
  type: 'recovery',
  loginKey: machine.identity.loginKey,
  sealKey: fromHex(toHex(machine.identity.signKey)) as SealPublicKey,
  mailbox: toHex(machine.identity.loginKey) as MailboxId,
})
export const rename = (machine: Machine, name: string): RecordBody => ({ type: 'rename', node: machine.id, name })
export const revoke = (machine: Machine, cuts: readonly Cut[] = []): RecordBody => ({
  type: 'revoke',
  node: machine.id,
  reason: 'lost',
  cuts,
})
export const lapse = (machine: Machine, cuts: readonly Cut[] = []): RecordBody => ({
  type: 'lapse',
  node: machine.id,
  cuts,
})
export const host = (
  agent: AgentSigner,
  nodes: readonly Machine[],
  options: { name?: string; delegate?: boolean; cuts?: readonly { node: NodeId; cuts: readonly Cut[] }[] } = {},
): RecordBody => ({
  type: 'host',
  agent: agent.id,
  name: options.name ?? agent.name,
  nodes: nodes.map(({ id }) => id),
  delegate: options.delegate ?? true,
  cuts: options.cuts ?? [],
})
export const assign = (
  agent: AgentSigner,
  holder: Machine,
  term: number,
  previous: SignedRecord | null,
  basis: readonly Basis[] = [],
): RecordBody => ({
  type: 'assign',
  agent: agent.id,
  term,
  holder: holder.id,
  previous: previous?.hash ?? null,
  reason: '',
  basis,
})
export const witness = (...machines: readonly Machine[]): RecordBody => ({
  type: 'witness',
  relays: machines.map(({ id }) => id as never),
  profile: 'fast',
})
export const failover = (agent: AgentSigner, mode: FailoverMode): RecordBody => ({
  type: 'failover',
  agent: agent.id,
  mode,
  durability: 'strict',
})
export const syncSet = (agent: AgentSigner, term: SignedRecord, members: readonly Machine[]): RecordBody => ({
  type: 'sync',
  agent: agent.id,
  term: term.hash,
  members: members.map(({ id }) => id),
})
export const grant = (
  agent: AgentSigner,
  layer: string,
  to: Machine | AgentSigner | 'standby',
  access: 'read' | 'write' = 'read',
): RecordBody => ({
  type: 'grant',
  agent: agent.id,
  layer,
  to:
    to === 'standby'
      ? { type: 'standby' }
      : 'identity' in to
        ? { type: 'node', node: to.id }
        : { type: 'agent', agent: to.id },
  access,
})
export const ungrant = (agent: AgentSigner, taken: SignedRecord, cuts: readonly Cut[] = []): RecordBody => ({
  type: 'ungrant',
  agent: agent.id,
  grant: taken.hash,
  cuts,
})
export const prekey = (machine: Machine, notBeforeMs: number, expiresMs: number): RecordBody => ({
  type: 'prekey',
  node: machine.id,
  publicKey: fromHex(toHex(machine.identity.signKey)) as SealPublicKey,
  notBeforeMs,
  expiresMs,
  mailboxes: new Uint8Array(mailboxesBytes({ notBeforeMs, expiresMs })).fill(machine.identity.signKey[0] ?? 0),
})

/** A block as the judge sees it: the judge reads headers, and asks `covers` about the rest. */
export function blockBy(
  author: Machine,
  document: DocumentName,
  options: { mesh: MeshId; sequence?: number; heads?: readonly RecordHash[]; term?: TermRef | null },
): Block {
  const sequence = options.sequence ?? 1
  const incarnation = author.id.slice(0, 32) as IncarnationId
  return {
    header: {
      mesh: options.mesh,
      document,
      author: author.id,
      incarnation,
      sequence,
      previous: null,
      time: { wallMs: 0, counter: 0 },
      logHeads: options.heads ?? [],
      floor: null,
      received: [],
      term: options.term ?? null,
      writesRoot: new Uint8Array(32),
    },
    writes: [],
    signature: new Uint8Array(64) as Signature,
    hash: blockHash(incarnation, sequence),
    bytes: new Uint8Array(),
  }
}

const blockHash = (incarnation: IncarnationId, sequence: number): BlockHash =>
  (incarnation + sequence.toString(16).padStart(32, '0')) as BlockHash

/** What somebody received of a machine's only incarnation. */
export const upTo = (author: Machine, sequence: number): Clock => {
  const incarnation = author.id.slice(0, 32) as IncarnationId
  return [{ incarnation, sequence, hash: blockHash(incarnation, sequence) }]
}

/** Coverage of incarnations that have not forked. */
export const bySequence: Covers = (vector, block) =>
  vector.some(
    ({ incarnation, sequence }) => incarnation === block.header.incarnation && sequence >= block.header.sequence,
  )
