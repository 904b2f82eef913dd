import type { AgentId, MeshId, NodeId } from '@sealmesh/protocol/ids'
import { toHex } from '@sealmesh/protocol/bytes'
import type { KeyPair, LoginPublicKey, SignPublicKey } from '@sealmesh/protocol/keys'
import { MembershipLog } from '@sealmesh/protocol/membership/log'
import type { Mesh } from '@sealmesh/protocol/membership/mesh'
import type { NodeIdentity, RecordBody, RecordSigner, SignedRecord } from '@sealmesh/protocol/membership/record'
import { nodeIdOf, signRecord } from '@sealmesh/protocol/membership/record-codec'
import type { Sodium } from '@sealmesh/protocol/sodium'

/** For tests: a mesh of real records, in which one agent lives on home and office, and laptop is a member only. */
export class TestMesh {
  readonly sodium: Sodium
  readonly id: MeshId
  readonly root: KeyPair<SignPublicKey, 'root'>
  readonly agentKeys: KeyPair<SignPublicKey, 'agent'>
  readonly agent: AgentId
  readonly home: TestNode
  readonly office: TestNode
  readonly laptop: TestNode
  readonly #log: MembershipLog
  #nowMs = 1_700_000_000_000

  constructor(sodium: Sodium) {
    this.sodium = sodium
    this.root = sodium.signKeys('root', seed(1))
    this.id = toHex(this.root.publicKey) as MeshId
    this.agentKeys = sodium.signKeys('agent', seed(2))
    this.agent = toHex(this.agentKeys.publicKey) as AgentId
    this.#log = new MembershipLog(this.id, sodium)
    this.home = this.#node('home', 10, this.agent)
    this.office = this.#node('office', 20, toHex(sodium.signKeys('agent', seed(21)).publicKey) as AgentId)
    this.laptop = this.#node('laptop', 30, toHex(sodium.signKeys('agent', seed(31)).publicKey) as AgentId)
    this.append({ type: 'found', meshName: 'test', node: this.home.identity }, 'root')
    this.append({ type: 'admit', node: this.office.identity, admin: true, token: new Uint8Array() }, 'root')
    this.append({ type: 'admit', node: this.laptop.identity, admin: false, token: new Uint8Array() }, 'root')
    this.host([this.home, this.office])
    this.assign(1, this.home)
  }

  get mesh(): Mesh {
    return this.#log.mesh
  }

  host(nodes: readonly TestNode[]): SignedRecord {
    const ids = nodes.map((node) => node.id)
    return this.append(
      { type: 'host', agent: this.agent, name: 'claude', nodes: ids, delegate: true, cuts: [] },
      'agent',
    )
  }

  /** An empty basis: nothing of older terms that it could cover counts. */
  assign(term: number, holder: TestNode, basis: Extract<RecordBody, { type: 'assign' }>['basis'] = []): SignedRecord {
    const previous = this.mesh.agents.get(this.agent)?.term?.record ?? null
    return this.append(
      { type: 'assign', agent: this.agent, term, holder: holder.id, previous, reason: 'test', basis },
      holder,
    )
  }

  append(body: RecordBody, by: 'root' | 'agent' | TestNode): SignedRecord {
    const signer: RecordSigner =
      by === 'root'
        ? { type: 'root' }
        : by === 'agent'
          ? { type: 'agent', agent: this.agent }
          : { type: 'node', node: by.id }
    const secret = by === 'root' ? this.root.secretKey : by === 'agent' ? this.agentKeys.secretKey : by.keys.secretKey
    const record = signRecord(
      { mesh: this.id, parents: this.mesh.heads, timeMs: this.#nowMs++, signer, body },
      secret,
      this.sodium,
    )
    const outcome = this.#log.add(record)
    const voided = this.mesh.voided.get(record.hash)
    if (outcome !== 'added' || voided !== undefined)
      throw new Error(`The test's ${body.type} record: ${outcome}, ${voided}`)
    return record
  }

  #node(name: string, from: number, foundingAgent: AgentId): TestNode {
    const keys = this.sodium.signKeys('sign', seed(from))
    const loginKey = this.sodium.signKeys('login', seed(from + 2)).publicKey as unknown as LoginPublicKey
    const identity: NodeIdentity = {
      name,
      signKey: keys.publicKey,
      loginKey,
      foundingAgent: { id: foundingAgent, name: `${name}-founder` },
    }
    return { id: nodeIdOf(keys.publicKey, foundingAgent, this.sodium), keys, identity }
  }
}

export interface TestNode {
  readonly id: NodeId
  readonly keys: KeyPair<SignPublicKey, 'sign'>
  readonly identity: NodeIdentity
}

const seed = (byte: number): Uint8Array => new Uint8Array(32).fill(byte)
