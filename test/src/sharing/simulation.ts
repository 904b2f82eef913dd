import type { BaseState } from '@sealmesh/protocol/crdt/base'
import type { Block, DocumentName, TermRef } from '@sealmesh/protocol/crdt/block'
import { verifyBlock } from '@sealmesh/protocol/crdt/block-codec'
import type { Clock, VersionVector } from '@sealmesh/protocol/crdt/clock'
import { Document } from '@sealmesh/protocol/crdt/document'
import { HybridClock } from '@sealmesh/protocol/crdt/hybrid-time'
import { isIncarnationOf, mintIncarnation } from '@sealmesh/protocol/crdt/incarnation'
import { editText } from '@sealmesh/protocol/crdt/text-edit'
import { joinTips } from '@sealmesh/protocol/crdt/vector'
import type { Judge } from '@sealmesh/protocol/crdt/verdict'
import { draftBlock, type Intent } from '@sealmesh/protocol/crdt/writer'
import type { IncarnationId, NodeId, RecordHash } from '@sealmesh/protocol/ids'
import { readersOf, waitedForBy, writersOf } from '@sealmesh/protocol/membership/access'
import { judgeWith, mayEverWrite } from '@sealmesh/protocol/membership/judge'
import { isLapsedFor } from '@sealmesh/protocol/membership/lapse'
import type { Mesh } from '@sealmesh/protocol/membership/mesh'
import type { Cut, RecordBody, SignedRecord } from '@sealmesh/protocol/membership/record'
import type { SyncItem } from '@sealmesh/protocol/sync/payload'
import { PeerSync, type SharedNow } from '@sealmesh/protocol/sync/peer-sync'
import { mayHear, mayRead, sharedWith } from '@sealmesh/protocol/sync/recipients'
import { type Dice, dice } from '@sealmesh/protocol/test-dice'
import { drawn, leftIn } from './drawing.ts'
import { FakeSodium } from '../membership/fake-sodium.ts'
import { type AgentSigner, admit, assign, host, type Machine, Scene, type Signer } from '../membership/scene.ts'

/**
 * Machines of one mesh in one thread on virtual time: the real log, its fold, the judge, documents and `PeerSync`, with
 * a driver that asks the same questions as the node's. The network delays, repeats, reorders and loses. One machine
 * signs all records, so that what a machine knows of the log is a number: the length of a beginning of it.
 */
export const sodium = new FakeSodium()
export const LAYERS = ['semantic', 'episodic', 'session'] as const
const START_MS = 1_800_000_000_000

/** The checks that a run is made with: the product's own, or doubles that lack one. */
export interface Checks {
  /** What a sender asks of each document when it seals a packet. */
  readonly mayBeSent: typeof mayRead
  /** What a receiver asks before it stores a block, and before it folds one. */
  readonly isWelcome: typeof mayEverWrite
  readonly judge: (mesh: Mesh) => Judge
}
export const REAL: Checks = { mayBeSent: mayRead, isWelcome: mayEverWrite, judge: judgeWith }

interface Packet {
  readonly from: Peer
  readonly to: Peer
  readonly items: readonly SyncItem[]
  readonly blocks: readonly Block[]
  readonly bases: readonly { readonly layer: string; readonly base: BaseState }[]
  /** How much of the log the sender knew; and, if it sends records, after which number these follow. */
  readonly known: number
  readonly recordsAfter: number | null
}

export class World {
  readonly dice: Dice
  readonly checks: Checks
  readonly scene = new Scene(sodium)
  /** Who holds the agent and signs all records: it knows the whole log. */
  holder: Peer
  #assigned: SignedRecord
  readonly peers: Peer[]
  readonly claude: AgentSigner
  readonly helper: AgentSigner
  readonly blocks = new Map<string, Block>()
  readonly packets: Packet[] = []
  /** Told of each block that an honest machine sends. */
  onSent: (from: Peer, to: Peer, block: Pick<Block, 'header'>) => void = () => undefined
  nowMs = START_MS
  readonly #meshes: { mesh: Mesh; judge: Judge }[] = []
  readonly #place = new Map<RecordHash, number>()

  constructor(seed: number, checks: Checks) {
    this.dice = dice(seed)
    this.checks = checks
    const { scene } = this
    const machines = ['home', 'office', 'laptop', 'attic'].map((name) => scene.machine(name))
    const [home, office, laptop, attic] = machines as [Machine, Machine, Machine, Machine]
    this.claude = scene.agent('claude')
    this.helper = scene.agent('helper')
    scene.found(home)
    for (const machine of [office, laptop, attic]) scene.sign(scene.root, admit(machine))
    scene.sign(this.claude, host(this.claude, [home, office]))
    this.#assigned = scene.sign(home, assign(this.claude, home, 1, null))
    scene.sign(this.helper, host(this.helper, [attic]))
    this.peers = machines.map((machine) => new Peer(this, machine))
    this.holder = this.peers[0]!
    for (const peer of this.peers) peer.begin()
  }

  name(layer: string): DocumentName {
    return { agent: this.claude.id, layer }
  }

  /** The log's first `known` records, folded once for all who know as much. */
  at(known: number): { mesh: Mesh; judge: Judge } {
    let folded = this.#meshes[known]
    if (folded === undefined) {
      const mesh = this.scene.fold(this.scene.records.slice(0, known))
      folded = this.#meshes[known] = { mesh, judge: this.checks.judge(mesh) }
    }
    return folded
  }

  placeOf(record: RecordHash): number {
    for (let at = this.#place.size; at < this.scene.records.length; at++)
      this.#place.set(this.scene.records[at]!.hash, at + 1)
    return this.#place.get(record) ?? 0
  }

  sign(by: Signer, body: RecordBody): SignedRecord {
    const record = this.scene.sign(by, body)
    this.holder.learn(this.scene.records.length)
    return record
  }

  /** The term moves to a machine that has just heard of everything in the log, and of what it has in documents. */
  takeOver(peer: Peer): void {
    peer.learn(this.scene.records.length)
    const before = this.#assigned
    const number = before.body.type === 'assign' ? before.body.term + 1 : 1
    const document = peer.document('session')
    const basis = [{ layer: 'session', vector: document.vector, digest: document.digest() }]
    this.holder = peer
    this.#assigned = this.sign(peer.machine, assign(this.claude, peer.machine, number, before, basis))
  }

  /** The term that a machine would write under, by as much of the log as it knows. */
  termAt(known: number): TermRef | null {
    const term = this.at(known).mesh.agents.get(this.claude.id)?.term
    return term ? { number: term.number, assign: term.record } : null
  }

  /** What the holder has of these writers: all that it has receipted. */
  cutsOf(layers: readonly string[], writers: readonly NodeId[]): Cut[] {
    return layers.flatMap((layer) => {
      const document = this.name(layer)
      const vector = this.holder
        .document(layer)
        .vector.filter((dot) => writers.some((writer) => isIncarnationOf(dot.incarnation, writer, sodium)))
      return vector.length > 0 ? [{ document, vector }] : []
    })
  }

  /** One packet arrives, or is lost, or comes again. */
  deliver(options: { faulty: boolean }): void {
    const { random, pick } = this.dice
    if (this.packets.length === 0) return
    const [packet] = this.packets.splice(options.faulty ? pick(this.packets.length) : 0, 1)
    if (packet === undefined) return
    const fate = options.faulty ? random() : 1
    if (fate < 0.08) {
      // The relay lost it: the sender's guess of what is on its way was wrong.
      packet.from.core(packet.to).doubt('relay')
      return
    }
    if (fate < 0.14) this.packets.push(packet)
    packet.to.take(packet)
  }

  /** All faults end: everything arrives until nobody has anything to say. */
  heal(): void {
    for (const peer of this.peers) for (const other of this.peers) if (other !== peer) peer.core(other).doubt('relay')
    for (let round = 0; round < ROUNDS; round++) {
      this.nowMs += 11_000
      for (const peer of this.peers) peer.tick()
      // What nobody takes is offered again and again: a bound, not an end.
      for (let quiet = false, talks = 0; !quiet && talks < 6; talks++) {
        this.nowMs += 1_001
        for (const peer of this.peers) peer.flush()
        quiet = this.packets.length === 0
        while (this.packets.length > 0) this.deliver({ faulty: false })
      }
    }
  }

  lapsed(node: NodeId): boolean {
    return this.at(this.scene.records.length).mesh.nodes.get(node)?.lapsed === true
  }

  revoked(node: NodeId): boolean {
    return (this.at(this.scene.records.length).mesh.nodes.get(node)?.revocations.length ?? 0) > 0
  }
}

export class Peer {
  readonly world: World
  readonly machine: Machine
  readonly id: NodeId
  known = 0
  incarnation: IncarnationId
  readonly clock = new HybridClock()
  readonly stored = new Map<string, Block[]>()
  readonly bases = new Map<string, BaseState>()
  readonly #documents = new Map<string, Document>()
  readonly #cores = new Map<NodeId, PeerSync>()
  readonly #receipted = new Map<string, VersionVector>()
  /** The log has moved and who shares what has not been worked out yet, which takes the node a while. */
  #stale = false

  constructor(world: World, machine: Machine) {
    this.world = world
    this.machine = machine
    this.id = machine.id
    this.incarnation = this.#mint()
  }

  get mesh(): Mesh {
    return this.world.at(this.known).mesh
  }

  get judge(): Judge {
    return this.world.at(this.known).judge
  }

  begin(): void {
    for (const peer of this.world.peers) {
      if (peer === this) continue
      const core = new PeerSync(sodium, { me: this.id, peer: peer.id })
      core.greet(this.world.nowMs)
      this.#cores.set(peer.id, core)
    }
    this.learn(this.world.scene.records.length)
    this.share()
  }

  core(peer: Peer): PeerSync {
    return this.#cores.get(peer.id)!
  }

  document(layer: string): Document {
    let document = this.#documents.get(layer)
    if (document === undefined) {
      document = new Document(this.world.name(layer), sodium)
      this.#documents.set(layer, document)
    }
    return document
  }

  mayWrite(layer: string): boolean {
    return writersOf(this.mesh, this.world.claude.id, layer).includes(this.id)
  }

  /** More of the log: judged at once; who shares what follows a little later. */
  learn(known: number): void {
    if (known <= this.known) return
    this.known = known
    for (const [layer, document] of this.#documents)
      if (document.needsRebuild(this.judge, this.world.nowMs)) this.#rebuild(layer)
    for (const core of this.#cores.values()) core.logChanged(this.mesh.heads)
    this.#stale = true
  }

  share(): void {
    this.#stale = false
    for (const [peer, core] of this.#cores) {
      const shared: SharedNow[] = []
      for (const layer of LAYERS) {
        const name = this.world.name(layer)
        const rights = sharedWith(this.mesh, name, this.id, peer)
        if (rights === undefined) continue
        const receipted = this.#receipted.get(peer + layer) ?? []
        shared.push({ name, ...rights, vector: this.document(layer).vector, receipted })
      }
      core.setShared(shared)
    }
  }

  /** `claim`: what a dishonest machine says that it knew of the log. */
  write(layer: string, what: readonly Intent[] | { text: string }, claim = this.known): void {
    const { world } = this
    const document = this.document(layer)
    let intents = what as readonly Intent[]
    if ('text' in what) {
      const { text } = what
      const update = editText(document, this.incarnation, (doc) => {
        const prose = doc.getText('prose')
        prose.insert(world.dice.pick(prose.length + 1), text)
      })
      if (update === undefined) return
      intents = [{ type: 'text', update }]
    }
    const { mesh } = world.at(claim)
    const block = draftBlock(
      document,
      { mesh: mesh.id, node: this.id, incarnation: this.incarnation, signKey: this.machine.secret as never },
      intents,
      {
        clock: this.clock,
        nowMs: world.nowMs,
        logHeads: mesh.heads,
        term: layer === 'session' ? world.termAt(claim) : null,
      },
      sodium,
    )
    world.blocks.set(block.hash, block)
    this.#keep(layer, [block], true)
  }

  tick(): void {
    for (const core of this.#cores.values()) core.tick(this.world.nowMs)
  }

  /** A packet for each peer that there is something to say to. */
  flush(options: { late?: boolean } = {}): void {
    if (this.#stale && options.late !== true) this.share()
    for (const peer of this.world.peers) if (peer !== this) this.#send(peer)
  }

  /** What a dishonest machine does besides: it pushes what it wrote at whoever will take it. */
  pushAt(peer: Peer, blocks: readonly Block[]): void {
    this.world.packets.push({
      from: this,
      to: peer,
      items: [],
      blocks,
      bases: [],
      known: this.known,
      recordsAfter: null,
    })
  }

  take({ from, items, blocks, bases, known, recordsAfter }: Packet): void {
    const { world } = this
    // The log of whom the mesh has removed is no longer listened to, nor anything else of it.
    if ((this.mesh.nodes.get(from.id)?.revocations.length ?? 0) > 0) return
    const core = this.core(from)
    if (recordsAfter !== null && recordsAfter <= this.known && known > this.known) {
      this.learn(known)
      for (const layer of LAYERS) core.ask(world.name(layer), world.nowMs)
    }
    for (const { layer, base } of bases) this.#adopt(from, layer, base)
    for (const layer of LAYERS) {
      const ours = blocks.filter((block) => block.header.document.layer === layer)
      if (ours.length > 0) this.#receive(from, layer, ours)
    }
    const heads = world.at(known).mesh.heads
    const missing = known > this.known
    for (const { document, vector } of core.heard(items, heads, missing, world.nowMs))
      this.#receipted.set(from.id + document.layer, vector)
  }

  #send(peer: Peer): void {
    const { world, mesh } = this
    const core = this.core(peer)
    const plan = core.plan(world.nowMs)
    if (plan === null || (mesh.nodes.get(peer.id)?.revocations.length ?? 0) > 0) return
    const pushed = plan.pushes
      .filter(({ name }) => world.checks.mayBeSent(mesh, name, peer.id))
      .map(({ name, after }) => ({ name, ...this.#after(name.layer, after) }))
    const bases = pushed.flatMap(({ name: { layer }, base }) => (base === undefined ? [] : [{ layer, base }]))
    const items = plan.items.map((item) =>
      item.type === 'vectors'
        ? { ...item, documents: item.documents.filter(({ document }) => mayHear(mesh, document, peer.id)) }
        : item,
    )
    const blocks = pushed.flatMap((each) => each.blocks)
    for (const block of [...blocks, ...bases.flatMap(({ base }) => leftIn(base))]) world.onSent(this, peer, block)
    const recordsAfter =
      plan.recordsAfter === null ? null : Math.max(0, ...plan.recordsAfter.map((head) => world.placeOf(head)))
    world.packets.push({ from: this, to: peer, items, blocks, bases, known: this.known, recordsAfter })
    core.planned(
      plan,
      pushed.map(({ name, reached }) => ({ document: name, vector: reached })),
    )
  }

  /** A few blocks that a vector does not cover, in chain order. */
  #after(
    layer: string,
    vector: VersionVector,
  ): { blocks: Block[]; base: BaseState | undefined; reached: VersionVector } {
    const tips = this.bases.get(layer)?.tips.map(({ dot }) => dot) ?? []
    const base = isAbove(vector, tips) ? undefined : this.bases.get(layer)
    let reached: Clock = base === undefined ? vector : joinTips(vector, tips)
    const has = new Map(reached.map(({ incarnation, sequence }) => [incarnation, sequence]))
    const blocks: Block[] = []
    for (const block of this.stored.get(layer) ?? []) {
      const { incarnation, sequence } = block.header
      if (sequence !== (has.get(incarnation) ?? 0) + 1 || blocks.length === BLOCKS_AT_ONCE) continue
      has.set(incarnation, sequence)
      blocks.push(block)
      reached = joinTips(reached, [{ incarnation, sequence, hash: block.hash }])
    }
    return { blocks, base, reached }
  }

  /** Keeps of what every other reader has only what still counts; others do so when they like, or never. */
  draw(layer: string): boolean {
    const { world, mesh, judge } = this
    if (!readersOf(mesh, world.claude.id, layer).includes(this.id)) return false
    const others = (nodes: readonly NodeId[]) =>
      nodes
        .filter((node) => node !== this.id && !isLapsedFor(mesh, node, { agent: world.claude.id, layer }))
        .map((node) => this.#receipted.get(node + layer) ?? [])
    const receipts = others(waitedForBy(mesh, world.claude.id, layer))
    const writerReceipts =
      receipts.length === 0 ? [] : [...receipts, ...others(writersOf(mesh, world.claude.id, layer))]
    const kept = { stored: this.stored.get(layer) ?? [], base: this.bases.get(layer) }
    const after = drawn(this.document(layer), kept, { receipts, writerReceipts, judge, nowMs: world.nowMs })
    if (after === undefined) return false
    this.bases.set(layer, after.base)
    this.stored.set(layer, after.stored)
    return true
  }

  /** In one step, and beside what is here: how the node gets there is tested with real disks. */
  #adopt(from: Peer, layer: string, base: BaseState): void {
    const { world, mesh } = this
    const tips = base.tips.map(({ dot }) => dot)
    const own = this.bases.get(layer)?.tips.map(({ dot }) => dot) ?? []
    const mayWriteIt = writersOf(mesh, world.claude.id, layer).includes(from.id)
    if (!mayWriteIt || mesh.nodes.get(from.id)?.lapsed === true) return
    if (isAbove(this.document(layer).vector, tips) || !isAbove(tips, own)) return
    this.bases.set(layer, base)
    const ends = new Map(tips.map(({ incarnation, sequence }) => [incarnation, sequence]))
    const stored = this.stored.get(layer) ?? []
    this.stored.set(
      layer,
      stored.filter(({ header }) => header.sequence > (ends.get(header.incarnation) ?? 0)),
    )
    for (const { time } of base.tips) this.clock.observe(time, world.nowMs)
    this.#rebuild(layer)
    for (const core of this.#cores.values()) core.advanced(world.name(layer), this.document(layer).vector, false)
    for (const core of this.#cores.values()) core.owesReceipt(world.name(layer))
  }

  #receive(from: Peer, layer: string, blocks: readonly Block[]): void {
    const { world, mesh } = this
    const core = this.core(from)
    const welcome = blocks.filter((block) => {
      const { author, incarnation, document } = block.header
      const signKey = mesh.nodes.get(author)?.signKey
      if (!isIncarnationOf(incarnation, author, sodium)) return false
      if (signKey === undefined || !verifyBlock(block, signKey, sodium)) return false
      if (world.checks.isWelcome(mesh, author, document)) return true
      core.wantRecords(world.nowMs) // A record that has not come may say otherwise.
      return false
    })
    const { stored, waiting } = this.#keep(layer, welcome, false)
    if (stored > 0) for (const each of this.#cores.values()) each.owesReceipt(world.name(layer))
    else core.owesReceipt(world.name(layer))
    if (waiting) core.ask(world.name(layer), world.nowMs)
  }

  #keep(layer: string, blocks: readonly Block[], own: boolean): { stored: number; waiting: boolean } {
    const { world } = this
    let [stored, waiting, rebuild] = [0, false, false]
    for (const block of blocks) {
      const outcome = this.document(layer).receive(block, this.judge, world.nowMs)
      waiting ||= outcome.type === 'waiting'
      rebuild ||= outcome.rebuild
      for (const arrived of outcome.arrived) {
        this.clock.observe(arrived.header.time, world.nowMs)
        this.stored.set(layer, [...(this.stored.get(layer) ?? []), arrived])
        stored += 1
      }
    }
    if (rebuild) this.#rebuild(layer)
    this.#renewIfAside(layer)
    if (stored > 0)
      for (const core of this.#cores.values()) core.advanced(world.name(layer), this.document(layer).vector, own)
    return { stored, waiting }
  }

  #rebuild(layer: string): void {
    const blocks = this.stored.get(layer) ?? []
    const { world } = this
    this.#documents.set(
      layer,
      Document.rebuild(world.name(layer), blocks, this.judge, world.nowMs, sodium, this.bases.get(layer)),
    )
    this.#renewIfAside(layer)
  }

  /** On top of what does not count nothing would count. */
  #renewIfAside(layer: string): void {
    const { incarnation } = this
    if (
      this.document(layer)
        .aside()
        .some(({ block }) => block.header.incarnation === incarnation)
    )
      this.incarnation = this.#mint()
  }

  #mint(): IncarnationId {
    const salt = Uint8Array.from({ length: 8 }, () => this.world.dice.pick(256))
    return mintIncarnation(this.id, salt, sodium)
  }
}

const isAbove = (vector: VersionVector, tips: VersionVector): boolean =>
  tips.every((tip) => vector.some((dot) => dot.incarnation === tip.incarnation && dot.sequence >= tip.sequence))

/** So that catching up takes several packets, and a grant may end between two of them. */
const BLOCKS_AT_ONCE = 3
/** Heartbeats after the last fault: what a peer holds back for half a minute is sent again within these. */
const ROUNDS = 8
