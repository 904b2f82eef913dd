import { toHex } from '@sealmesh/protocol/bytes'
import { mailboxOf } from '@sealmesh/protocol/envelope/mailbox'
import type { AgentId, MeshId, NodeId, RelayId } from '@sealmesh/protocol/ids'
import { type KeyPair, type LoginPublicKey, Secret, type SignPublicKey } from '@sealmesh/protocol/keys'
import type { NodeIdentity, RecordBody, RecordSigner, SignedRecord } from '@sealmesh/protocol/membership/record'
import { nodeIdOf, signRecord } from '@sealmesh/protocol/membership/record-codec'
import type { Admission } from '@sealmesh/protocol/pairing/admission'
import type { JoinerKeys } from '@sealmesh/protocol/pairing/canary'
import type { PairingLink } from '@sealmesh/protocol/pairing/link'
import type { Sodium } from '@sealmesh/protocol/sodium'
import { encodeTokenChain, issueToken } from '@sealmesh/protocol/wire/token'
import { seededRandom } from '../envelope/scene.ts'

export interface Machine {
  readonly identity: NodeIdentity
  readonly node: NodeId
  readonly keys: JoinerKeys
}

export const MINUTE_MS = 60_000
export const START_MS = 1_800_000_000_000

/** A mesh of one machine, and strangers who may want to join it. */
export class PairingScene {
  readonly sodium: Sodium
  readonly random: (bytes: number) => Uint8Array
  readonly root: KeyPair<SignPublicKey, 'root'>
  readonly mesh: MeshId
  readonly inviter: Machine
  readonly found: SignedRecord

  constructor(sodium: Sodium, seed: string) {
    this.sodium = sodium
    this.random = seededRandom(seed)
    this.root = sodium.signKeys('root', this.random(32))
    this.mesh = toHex(this.root.publicKey) as MeshId
    this.inviter = this.machine('home')
    this.found = this.#sign({ type: 'found', meshName: 'test', node: this.inviter.identity }, [], { type: 'root' })
  }

  machine(name: string): Machine {
    const { sodium, random } = this
    const sign = sodium.signKeys('sign', random(32))
    const login = sodium.signKeys('login', random(32)) as unknown as KeyPair<LoginPublicKey, 'login'>
    const loginKey = login.publicKey
    const agent = toHex(sodium.signKeys('agent', random(32)).publicKey) as AgentId
    const identity = { name, signKey: sign.publicKey, loginKey, foundingAgent: { id: agent, name } }
    // Not drawn: what the seeds of other tests give stays as it is.
    const prekey = sodium.sealKeys(sodium.hash([sign.publicKey]))
    return { identity, keys: { sign, login, prekey }, node: nodeIdOf(sign.publicKey, agent, sodium) }
  }

  link(changes: Partial<PairingLink> = {}): PairingLink {
    return {
      relayAddress: { url: 'ws://127.0.0.1:9', relay: toHex(this.random(32)) as RelayId, pin: null },
      rootFingerprint: this.mesh,
      secret: new Secret('pairing', this.random(32)),
      inviterMailbox: mailboxOf(this.inviter.identity.loginKey, this.sodium),
      expiresMs: START_MS + 10 * MINUTE_MS,
      ...changes,
    }
  }

  /** What the inviter sends to this machine; `weight` more records of 8 KB each make it long. */
  admission(identity: NodeIdentity, weight = 0): Admission {
    const signer: RecordSigner = { type: 'node', node: this.inviter.node }
    const records = [this.found]
    const add = (body: RecordBody): void => {
      const last = records.at(-1)
      records.push(this.#sign(body, last === undefined ? [] : [last], signer))
    }
    for (let each = 0; each < weight; each++)
      add({
        type: 'relay',
        relays: Array.from({ length: 16 }, (_, at) => {
          const relay = toHex(this.random(32)) as RelayId
          return { address: `wss://relay-${each}-${at}.example/${'x'.repeat(400)}#relay=${relay}`, relay }
        }),
      })
    add({ type: 'admit', node: identity, admin: false, token: new Uint8Array() })
    return {
      records: records.map(({ bytes }) => bytes),
      token: this.token(identity.loginKey),
      relays: ['wss://relay.example'],
    }
  }

  token(loginKey: LoginPublicKey): Uint8Array {
    const draft = { mesh: this.mesh, loginKey, adminKey: null, kind: 'node', mailbox: null, expiresMs: 0 } as const
    return encodeTokenChain([issueToken(draft, 'root', this.root.secretKey, this.sodium)])
  }

  #sign(body: RecordBody, parents: readonly SignedRecord[], signer: RecordSigner): SignedRecord {
    const secret = signer.type === 'root' ? this.root.secretKey : this.inviter.keys.sign.secretKey
    const draft = { mesh: this.mesh, parents: parents.map(({ hash }) => hash), timeMs: START_MS, signer, body }
    return signRecord(draft, secret, this.sodium)
  }
}
