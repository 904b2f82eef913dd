import type { Judge } from '@sealmesh/protocol/crdt/verdict'
import type { NodeId, RecordHash } from '@sealmesh/protocol/ids'
import { AEAD_TAG_BYTES, SEALED_BOX_EXTRA_BYTES } from '@sealmesh/protocol/keys'
import { PREKEY_LIFE_MS } from '@sealmesh/protocol/limits'
import { writersOf } from '@sealmesh/protocol/membership/access'
import { agrees, checkpointOf } from '@sealmesh/protocol/membership/checkpoint'
import { judgeWith } from '@sealmesh/protocol/membership/judge'
import type { Mesh } from '@sealmesh/protocol/membership/mesh'
import type { RecordBody, SignedRecord } from '@sealmesh/protocol/membership/record'
import { mayRead } from '@sealmesh/protocol/sync/recipients'
import { type Dice, dice } from '@sealmesh/protocol/test-dice'
import { FakeSodium } from '../membership/fake-sodium.ts'
import { meshView } from '../membership/record-vectors.ts'
import {
  type AgentSigner,
  admit,
  assign,
  grant,
  host,
  type Machine,
  prekey,
  revoke,
  Scene,
  type Signer,
} from '../membership/scene.ts'
import { isInACut, RemovalOracle } from './oracle.ts'
import { type Item, LAYERS, Replica } from './replica.ts'

/** The checks that a run is made with: the product's own, or doubles that lack one. */
export interface Checks {
  readonly judge: (mesh: Mesh) => Judge
  readonly mayRead: typeof mayRead
  /** What a sender is handed to seal with: the mesh by its own log. */
  readonly sealsTo: (from: Replica, to: NodeId) => boolean
}
export const REAL: Checks = {
  judge: judgeWith,
  mayRead,
  sealsTo: ({ port }, to) => port.seal(to, new Uint8Array(8)) !== undefined,
}

/** What a run has shown; empty lists are what is hoped for. */
export interface Findings {
  readonly sealedToRemoved: string[]
  readonly foldedBeyondCut: string[]
  readonly removalLost: string[]
  readonly different: string[]
  /** That it was about something. */
  readonly did: {
    removed: number
    mutual: number
    refused: number
    sealed: number
    beyond: number
    rebuilt: number
    admitted: number
    checkpoints: number
  }
}

/** As the membership log's, with sealing that costs nothing: who is sealed to is the question here, not how. */
class SealingSodium extends FakeSodium {
  override sealBox(message: Uint8Array): Uint8Array {
    return new Uint8Array([...message, ...new Uint8Array(SEALED_BOX_EXTRA_BYTES)])
  }
  override encrypt(plain: Uint8Array): Uint8Array {
    return new Uint8Array([...plain, ...new Uint8Array(AEAD_TAG_BYTES)])
  }
}

/**
 * Machines that each know another part of one log: two admins and three members, later newcomers. They admit, remove
 * (also one another), grant, move hosts and terms and write, each over what it knows; records and blocks reach each in
 * an order of its own, repeats included. Removed machines go on, and say that they know less than they do.
 */
export class ForkedMesh {
  readonly dice: Dice
  readonly checks: Checks
  readonly sodium = new SealingSodium()
  readonly scene = new Scene(this.sodium)
  readonly agent: AgentSigner
  readonly replicas: Replica[] = []
  readonly findings: Findings = {
    sealedToRemoved: [],
    foldedBeyondCut: [],
    removalLost: [],
    different: [],
    did: { removed: 0, mutual: 0, refused: 0, sealed: 0, beyond: 0, rebuilt: 0, admitted: 0, checkpoints: 0 },
  }
  nowMs = 1_800_000_000_000
  readonly #oracle = new RemovalOracle(this.sodium)
  readonly #items: Item[] = []
  readonly #checkpoints = new Map<RecordHash, boolean>()
  #writes = 0

  constructor(seed: number, checks: Checks) {
    this.dice = dice(seed)
    this.checks = checks
    this.agent = this.scene.agent('claude')
    const machines = ['m0', 'm1', 'm2', 'm3', 'm4'].map((name) => this.scene.machine(name))
    for (const machine of machines) this.replicas.push(new Replica(this, machine))
    const [first, second, ...members] = this.replicas as [Replica, Replica, ...Replica[]]
    this.#sign(first, this.scene.root, { type: 'found', meshName: 'ours', node: first.machine.identity })
    this.#sign(first, first.machine, admit(second.machine, true))
    for (const [at, { machine }] of members.entries()) this.#sign(first, first.machine, admit(machine, at === 0))
    this.#sign(first, this.agent, host(this.agent, machines.slice(0, 3)))
    this.#sign(first, first.machine, assign(this.agent, first.machine, 1, null))
    for (const layer of LAYERS) this.#sign(first, this.agent, grant(this.agent, layer, 'standby'))
    for (const { machine } of members) this.#sign(first, this.agent, grant(this.agent, 'semantic', machine, 'write'))
    for (const replica of this.replicas) {
      this.#deliverAll(replica)
      this.#sign(replica, replica.machine, this.#prekeyOf(replica.machine))
    }
    for (const replica of this.replicas) this.#deliverAll(replica)
  }

  run(): Findings {
    const { dice, findings } = this
    for (let steps = 40 + dice.pick(40); steps > 0; steps--) {
      this.nowMs += dice.pick(2_000)
      const by = dice.one(this.replicas)
      const what = dice.random()
      if (what < 0.06) this.#remove(by)
      else if (what < 0.1) this.#admit(by)
      else if (what < 0.15) this.#changeRights(by)
      else if (what < 0.18) this.#checkpoint(by)
      else if (what < 0.45) this.#write(by)
      else if (what < 0.92) for (let some = 1 + dice.pick(5); some > 0; some--) this.#deliver(dice.one(this.replicas))
      else this.#look(by)
    }
    // Everything arrives everywhere, in an order of its own at each: also what only removed machines ever saw.
    for (const replica of this.replicas) {
      const rest = dice.shuffled([...replica.inbox.splice(0), ...this.#items])
      for (const item of rest) replica.take(item)
    }
    for (const replica of this.replicas) this.#look(replica)
    this.#compare()
    findings.did.rebuilt += this.replicas.reduce((sum, { rebuilt }) => sum + rebuilt, 0)
    return findings
  }

  #sign(at: Replica, by: Signer, body: RecordBody): SignedRecord {
    const { mesh } = at
    const after = mesh.heads.flatMap((hash) => mesh.records.get(hash) ?? [])
    const record = this.scene.sign(by, body, { after, timeMs: this.nowMs })
    this.#oracle.note(record)
    this.#spread(at, { type: 'record', record })
    at.learn(record)
    return record
  }

  #spread(from: Replica, item: Item): void {
    this.#items.push(item)
    for (const replica of this.replicas) if (replica !== from) replica.inbox.push(item)
  }

  #deliver(to: Replica): void {
    if (to.inbox.length === 0) return
    const at = this.dice.pick(to.inbox.length)
    const item = to.inbox[at]
    // Some come again.
    if (this.dice.random() > 0.1) to.inbox.splice(at, 1)
    if (item !== undefined) to.take(item)
  }

  #deliverAll(to: Replica): void {
    for (const item of to.inbox.splice(0)) to.take(item)
  }

  /** By an admin, as far as it knows; sometimes by somebody who is none, or is no more. */
  #remove(by: Replica): void {
    const { dice, scene } = this
    const admins = this.replicas.filter(({ id }) => id !== by.id && by.mesh.nodes.get(id)?.admin === true)
    const victim = dice.one(admins.length > 0 && dice.random() < 0.4 ? admins : this.replicas)
    if (victim === by && dice.random() < 0.8) return
    if (by.mesh.nodes.get(by.id)?.admin !== true && dice.random() < 0.5) return
    const signer = dice.random() < 0.1 ? scene.root : by.machine
    this.#sign(by, signer, revoke(victim.machine, dice.random() < 0.2 ? [] : by.cutsOf(victim.id)))
    // Each removes the other, and neither has heard of it.
    if (victim !== by && victim.mesh.nodes.get(victim.id)?.admin === true && dice.random() < 0.5)
      this.#sign(victim, victim.machine, revoke(by.machine, victim.cutsOf(by.id)))
  }

  #admit(by: Replica): void {
    const { dice } = this
    if (by.mesh.nodes.get(by.id)?.admin !== true && dice.random() < 0.7) return
    if (this.replicas.length >= MACHINES_MAX || dice.random() < 0.3)
      // Again: as an admin now, or a removed one that somebody would have back.
      return void this.#sign(by, by.machine, admit(dice.one(this.replicas).machine, dice.random() < 0.5))
    const machine = this.scene.machine(`m${this.replicas.length}`)
    this.#sign(by, by.machine, admit(machine, dice.random() < 0.4))
    const newcomer = new Replica(this, machine)
    // It is handed the log of whoever let it in.
    for (const record of by.mesh.records.values()) newcomer.learn(record)
    this.replicas.push(newcomer)
    newcomer.inbox.push(...this.#items)
    this.findings.did.admitted += 1
    this.#sign(newcomer, machine, this.#prekeyOf(machine))
    this.#sign(by, this.agent, grant(this.agent, 'semantic', machine, 'write'))
  }

  #changeRights(by: Replica): void {
    const { dice, agent } = this
    const known = by.mesh.agents.get(agent.id)
    if (known === undefined) return
    const what = dice.random()
    if (what < 0.4) {
      const nodes = this.replicas.filter(() => dice.random() < 0.5)
      if (nodes.length > 0)
        this.#sign(
          by,
          agent,
          host(
            agent,
            nodes.map(({ machine }) => machine),
          ),
        )
    } else if (what < 0.7) {
      const previous = known.term === null ? undefined : by.mesh.records.get(known.term.record)
      const document = by.document('session')
      const basis = [{ layer: 'session', vector: document.vector, digest: document.digest() }]
      if (previous !== undefined && known.term !== null)
        this.#sign(by, by.machine, assign(agent, by.machine, known.term.number + 1, previous, basis))
    } else {
      const to = dice.one(this.replicas).machine
      this.#sign(by, dice.random() < 0.5 ? agent : by.machine, grant(agent, 'semantic', to, 'write'))
    }
  }

  /** An honest machine asks its log; one that was removed asks nobody, and may say that it had not heard of it. */
  #write(by: Replica): void {
    const { dice } = this
    const layer = dice.random() < 0.75 ? 'semantic' : 'session'
    const isRemoved = (by.mesh.nodes.get(by.id)?.revocations.length ?? 0) > 0
    if (!isRemoved && !writersOf(by.mesh, this.agent.id, layer).includes(by.id)) return
    const heads = isRemoved && dice.random() < 0.6 ? dice.one(by.heads) : by.mesh.heads
    this.#writes += 1
    const what =
      dice.random() < 0.25
        ? { text: `${this.#writes} ` }
        : [{ type: 'set', key: `k${dice.pick(3)}`, value: `"${this.#writes}"` } as const]
    const block = by.write(layer, what, heads)
    if (block !== undefined) this.#spread(by, { type: 'block', block })
  }

  /** Anybody says it, some of them falsely, and some after they were removed. */
  #checkpoint(by: Replica): void {
    const said = checkpointOf(by.mesh, this.sodium)
    if (said.type !== 'checkpoint') return
    const isFalse = this.dice.random() < 0.3
    const body = isFalse ? { ...said, digest: said.digest.map((byte) => byte ^ 1) } : said
    this.#checkpoints.set(this.#sign(by, by.machine, body).hash, !isFalse)
  }

  /** What one machine would do at this moment, by what it knows. */
  #look(at: Replica): void {
    const { findings, agent, checks } = this
    const { mesh, machine } = at
    const removals = this.#oracle.removals(mesh.records.values())
    const name = machine.identity.name
    for (const other of this.replicas) {
      if (other === at) continue
      const isRemoved = removals.has(other.id)
      const isSealed = checks.sealsTo(at, other.id)
      const reads = LAYERS.some((layer) => checks.mayRead(mesh, { agent: agent.id, layer }, other.id))
      if (isRemoved) findings.did.refused += 1
      else if (isSealed) findings.did.sealed += 1
      if (isRemoved && (isSealed || reads)) findings.sealedToRemoved.push(`${name} to ${other.machine.identity.name}`)
      const fold = mesh.nodes.get(other.id)
      if (isRemoved && fold !== undefined && fold.revocations.length === 0)
        findings.removalLost.push(`${name} counts ${other.machine.identity.name}`)
    }
    for (const layer of LAYERS) {
      const document = at.document(layer)
      const aside = new Set(document.aside().map(({ block }) => block.hash))
      // What waits for a record or for another block is neither folded nor listed.
      if (document.held > 0) continue
      for (const block of at.stored(layer)) {
        const against = removals.get(block.header.author)
        if (against === undefined || isInACut(block, against)) continue
        if (aside.has(block.hash)) findings.did.beyond += 1
        else
          findings.foldedBeyondCut.push(
            `${name}: ${layer} ${block.header.sequence} of ${block.header.author.slice(0, 8)}`,
          )
      }
    }
  }

  #compare(): void {
    const { findings, replicas } = this
    const views = new Set(replicas.map(({ mesh }) => JSON.stringify(meshView(mesh))))
    if (views.size > 1) findings.different.push(`${views.size} meshes`)
    for (const layer of LAYERS) {
      const digests = new Set(replicas.map((replica) => Buffer.from(replica.document(layer).digest()).toString('hex')))
      if (digests.size > 1) findings.different.push(`${digests.size} states of ${layer}`)
    }
    for (const { mesh, machine } of replicas)
      for (const [record, isTrue] of this.#checkpoints) {
        findings.did.checkpoints += 1
        if (agrees(mesh, record, this.sodium) !== isTrue)
          findings.different.push(`${machine.identity.name} of the checkpoint ${record.slice(0, 8)}`)
      }
    const removals = this.#oracle.removals((replicas[0] as Replica).mesh.records.values())
    findings.did.removed += removals.size
    const signers = (node: NodeId) =>
      (removals.get(node) ?? []).flatMap(({ signer }) => (signer.type === 'node' ? [signer.node] : []))
    for (const node of removals.keys())
      if (signers(node).some((other) => other !== node && signers(other).includes(node))) findings.did.mutual += 1
  }

  #prekeyOf(machine: Machine): RecordBody {
    return prekey(machine, this.nowMs, this.nowMs + PREKEY_LIFE_MS)
  }
}

const MACHINES_MAX = 8

export const runForks = (seed: number, checks: Checks = REAL): Findings => new ForkedMesh(seed, checks).run()

/** Everything that a run found wrong. */
export const wrongIn = ({ sealedToRemoved, foldedBeyondCut, removalLost, different }: Findings): string[] => [
  ...sealedToRemoved,
  ...foldedBeyondCut,
  ...removalLost,
  ...different,
]
