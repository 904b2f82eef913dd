import type { DocumentName } from '@sealmesh/protocol/crdt/block'
import type { VersionVector } from '@sealmesh/protocol/crdt/clock'
import type { OpenedPacket } from '@sealmesh/protocol/envelope/packet'
import { Failure } from '@sealmesh/protocol/errors'
import type { NodeId, PacketId } from '@sealmesh/protocol/ids'
import { PAYLOAD_BYTES_TARGET } from '@sealmesh/protocol/limits'
import type { Mesh } from '@sealmesh/protocol/membership/mesh'
import { decodePayload, encodePayload, type SyncItem } from '@sealmesh/protocol/sync/payload'
import { mayHear, mayRead } from '@sealmesh/protocol/sync/recipients'
import { keyOf, PeerSync, type Plan, type SharedNow, type Standing } from '@sealmesh/protocol/sync/peer-sync'
import type { LinkEvent, RelayLink } from '../uplink/relay-link.ts'
import { chunk } from './chunk.ts'
import type { AwarenessItem, MeshSyncDeps } from './mesh-sync-deps.ts'
import { heardNow, type PeerNow, peerNow } from './peer-now.ts'

/** Drives one `PeerSync` for each peer: between documents, membership log and the relay link. Decides nothing else. */
export class MeshSync {
  readonly #deps: MeshSyncDeps
  readonly #peers = new Map<NodeId, Peer>()
  readonly #inFlight = new Map<PacketId, NodeId>()
  /** Packets that are not durable yet, and how to acknowledge each copy of them. */
  readonly #inHand = new Map<string, (() => void)[]>()
  /** Documents that a peer named and we may read, though we hold nothing of them yet. */
  readonly #interests = new Map<string, DocumentName>()
  readonly #timer: NodeJS.Timeout
  /** Of every document that is here or that a peer named: what is durable of it. */
  readonly #vectors = new Map<string, VersionVector>()
  #sharing: Promise<void> = Promise.resolve()
  #again: Promise<void> | undefined
  #link: Pick<RelayLink, 'send'> | undefined
  #live = false
  #closed = false

  constructor(deps: MeshSyncDeps) {
    this.#deps = deps
    deps.documents.onCommit(({ name, document, local }) => {
      this.#advanced(name, document.vector, local)
      this.#flushAll()
    })
    deps.documents.onRestated((name) => void this.#restate(name))
    this.#timer = setInterval(() => this.#tick(), TICK_MS)
    this.#timer.unref()
  }

  attach(link: Pick<RelayLink, 'send'>): void {
    this.#link = link
  }

  /** The mesh, and with it who may read what, is another one. */
  async meshChanged(mesh: Mesh): Promise<void> {
    for (const [node, peer] of this.#peers) {
      const known = mesh.nodes.get(node)
      if (known !== undefined && known.revocations.length === 0) continue
      this.#peers.delete(node)
      for (const { key } of peer.inbox.splice(0)) this.#acknowledge(key)
    }
    for (const node of mesh.nodes.values()) {
      if (node.id === this.#deps.node || node.revocations.length > 0 || this.#peers.has(node.id)) continue
      const core = new PeerSync(this.#deps.sodium, { me: this.#deps.node, peer: node.id })
      this.#peers.set(node.id, {
        node: node.id,
        core,
        inbox: [],
        draining: false,
        sending: false,
        inFlight: 0,
        pausedUntilMs: 0,
        refused: null,
        due: undefined,
        interests: 0,
      })
      if (this.#live) core.greet(this.#deps.monotonicMs())
    }
    await this.#refreshShared()
    for (const peer of this.#peers.values()) {
      peer.core.logChanged(mesh.heads)
      peer.pausedUntilMs = 0 // It may have a prekey now.
    }
    this.#flushAll()
  }

  /** Never throws: it runs in the socket's turn, where that would end the process. */
  onLinkEvent(event: LinkEvent): void {
    try {
      this.#heed(event)
    } catch (error) {
      this.#deps.logger.error({ err: error, event: event.type }, 'an event of the relay link was not dealt with')
    }
  }

  #heed(event: LinkEvent): void {
    switch (event.type) {
      case 'live':
        this.#live = true
        this.#inFlight.clear()
        for (const peer of this.#peers.values()) {
          // A relay that may have forgotten what it stored is refilled; else only what it never answered is in doubt.
          if (event.newGeneration || peer.inFlight > 0) peer.core.doubt()
          peer.inFlight = 0
          peer.pausedUntilMs = 0
          peer.core.greet(this.#deps.monotonicMs())
        }
        this.#flushAll()
        return
      case 'lost':
        for (const peer of this.#peers.values()) peer.core.greet(this.#deps.monotonicMs())
        this.#flushAll()
        return
      case 'room':
        for (const peer of this.#peers.values()) peer.pausedUntilMs = 0
        this.#flushAll()
        return
      case 'down':
        this.#live = false
        return
      case 'answer':
        return this.#answered(event.packet, event.outcomes)
      case 'deliver':
        return this.#delivered(event.packet, event.acknowledge)
      case 'drained':
      case 'notice':
        return
    }
  }

  peers(): PeerNow[] {
    return [...this.#peers.values()].map((peer) => peerNow(peer, this.#aheadMs()))
  }

  /** Where each document stands that this node has in common with a peer. Work for every document: not for every turn. */
  standings(node: NodeId): Standing[] {
    return this.#peers.get(node)?.core.standings() ?? []
  }

  /** When each peer was last heard in this run. */
  heard(): { node: NodeId; atMs: number | null }[] {
    return [...this.#peers.values()].map((peer) => heardNow(peer, this.#aheadMs()))
  }

  #aheadMs(): number {
    return this.#deps.wallMs() - this.#deps.monotonicMs()
  }

  /**
   * Who edits what, to those who may read it and were heard of lately. No answer is awaited and nothing is sent again;
   * a mailbox drops it after `lifeMs`, so that nobody learns tomorrow who was editing today.
   */
  tellAwareness(item: AwarenessItem, lifeMs: number): void {
    if (!this.#live || this.#closed) return
    const { log, port } = this.#deps
    const heardAfterMs = this.#deps.monotonicMs() - HEARD_LATELY_MS
    const payload = encodePayload([item])
    for (const { node, core } of this.#peers.values()) {
      if ((core.view().lastHeardAtMs ?? Number.NEGATIVE_INFINITY) < heardAfterMs) continue
      if (!mayRead(log.mesh, item.document, node)) continue
      const packet = port.seal(node, payload, lifeMs)
      if (packet !== undefined) this.#link?.send(packet.bytes)
    }
  }

  close(): void {
    this.#closed = true
    clearInterval(this.#timer)
  }

  #tick(): void {
    const nowMs = this.#deps.monotonicMs()
    this.#deps.port.tick()
    for (const peer of this.#peers.values()) {
      peer.core.tick(nowMs)
      if (peer.inbox.length > 0 && !peer.draining) void this.#drain(peer) // What could not be stored the last time.
    }
    this.#flushAll()
  }

  /** In the turn of the commit, so that vectors arrive here in their order. */
  #advanced(name: DocumentName, vector: VersionVector, authoredHere: boolean): void {
    const known = this.#vectors.has(keyOf(name))
    this.#vectors.set(keyOf(name), vector)
    for (const peer of this.#peers.values()) peer.core.advanced(name, vector, authoredHere)
    if (known) return
    // The first block of a document: who shares it has to be worked out once.
    this.#refreshShared().then(
      () => this.#flushAll(),
      (error: unknown) => this.#deps.logger.error({ err: error }, 'sharing could not be worked out'),
    )
  }

  /** Damage was found, or mended: peers are told what is durable now, and asked for what is not. */
  async #restate(name: DocumentName): Promise<void> {
    try {
      this.#vectors.set(keyOf(name), await this.#deps.documents.vectorOf(name))
      await this.#refreshShared()
      for (const peer of this.#peers.values()) peer.core.ask(name, this.#deps.monotonicMs())
      this.#flushAll()
    } catch (error) {
      this.#deps.logger.error({ err: error }, 'a damaged document could not be asked for')
    }
  }

  /** One at a time over the newest state: an older run that overtakes a newer one would drop its documents. */
  #refreshShared(): Promise<void> {
    this.#again ??= this.#sharing
      .catch(() => undefined)
      .then(() => {
        this.#again = undefined
        this.#sharing = this.#workOutShared()
        return this.#sharing
      })
    return this.#again
  }

  async #workOutShared(): Promise<void> {
    const { documents, receipts, log, node: me } = this.#deps
    const names = new Map(this.#interests)
    for (const name of documents.names()) names.set(keyOf(name), name)
    for (const [key, name] of names) {
      if (this.#vectors.has(key)) continue
      const vector = await documents.vectorOf(name)
      if (!this.#vectors.has(key)) this.#vectors.set(key, vector) // A commit meanwhile knows better.
    }
    for (const peer of this.#peers.values()) {
      const receipted = new Map<string, VersionVector>()
      for (const [key, name] of names) receipted.set(key, await receipts.read(peer.node, name))
      const { mesh } = log
      const shared: SharedNow[] = []
      for (const [key, name] of names) {
        if (!mayHear(mesh, name, peer.node)) continue
        const peerReads = mayRead(mesh, name, peer.node)
        const bothRead = peerReads && mayRead(mesh, name, me)
        const vector = this.#vectors.get(key) ?? []
        shared.push({ name, peerReads, bothRead, vector, receipted: receipted.get(key) ?? [] })
      }
      peer.core.setShared(shared)
    }
  }

  #delivered(packet: Uint8Array, acknowledge: () => void): void {
    const { port, logger } = this.#deps
    const opened = port.open(packet)
    if (!opened.ok) {
      // Somebody else's packet, or kept out and said: nothing else stalls, and heads show what is missing.
      if (!this.#deps.onUnopened(packet)) logger.warn({ code: opened.error.code }, 'packet not opened')
      return acknowledge()
    }
    const { sender, incarnation, sequence } = opened.value
    const key = `${sender}.${incarnation}.${sequence}`
    const inHand = this.#inHand.get(key)
    // A second copy of what is being stored: the relay may forget it only together with the first.
    if (inHand !== undefined) return void inHand.push(acknowledge)
    const peer = this.#peers.get(sender)
    const items = decodePayload(opened.value.payload)
    if (peer === undefined || !items.ok) {
      logger.warn({ code: peer === undefined ? 'SENDER_REMOVED' : 'PAYLOAD_MALFORMED' }, 'packet not used')
      return acknowledge()
    }
    // News of the moment: passed on at once, never stored and in nobody's way.
    for (const item of items.value) if (item.type === 'awareness') this.#deps.onAwareness(sender, item)
    if (items.value.length > 0 && items.value.every(({ type }) => type === 'awareness')) {
      port.accept(opened.value)
      return acknowledge()
    }
    this.#inHand.set(key, [acknowledge])
    peer.inbox.push({ items: items.value, packet: opened.value, key })
    if (!peer.draining) void this.#drain(peer)
  }

  /**
   * While one group is being stored the next one gathers, so that load shares fsyncs. Never rejects. What cannot be
   * stored stays, unacknowledged, and is tried again; damage to one document of ours must not keep out the others.
   */
  async #drain(peer: Peer): Promise<void> {
    peer.draining = true
    let together = Number.POSITIVE_INFINITY
    while (peer.inbox.length > 0 && !this.#closed) {
      const group = peer.inbox.splice(0, together)
      try {
        await this.#take(peer, group)
      } catch (error) {
        this.#deps.logger.error({ err: error }, 'received data could not be stored')
        if (!(error instanceof Failure) || error.code !== 'STORE_DAMAGED') {
          peer.inbox.unshift(...group)
          break
        }
        if (group.length > 1) {
          peer.inbox.unshift(...group)
          together = 1
          continue
        }
      }
      for (const each of group) {
        this.#deps.port.accept(each.packet)
        this.#acknowledge(each.key)
      }
      this.#flushAll()
    }
    peer.draining = false
  }

  #acknowledge(key: string): void {
    for (const acknowledge of this.#inHand.get(key) ?? []) acknowledge()
    this.#inHand.delete(key)
  }

  async #take(peer: Peer, group: readonly Arrived[]): Promise<void> {
    const { log, documents, receipts } = this.#deps
    const items = group.flatMap((each) => each.items)
    const records = items.flatMap((item) => (item.type === 'records' ? item.records : []))
    if (records.length > 0) {
      const { added } = await log.receive(records)
      // Blocks that nobody could be asked about before may be welcome now.
      if (added > 0) for (const name of documents.names()) peer.core.ask(name, this.#deps.monotonicMs())
    }
    const blocks = items.flatMap((item) => (item.type === 'blocks' ? item.blocks : []))
    if (blocks.length > 0) {
      const reports = await documents.receive(blocks)
      this.#deps.onReceived?.(peer.node, reports)
      await (this.#again ?? this.#sharing)
      for (const report of reports) {
        if (report.stored > 0) {
          for (const each of this.#peers.values()) each.core.owesReceipt(report.name)
        } else peer.core.owesReceipt(report.name) // It sent what we had: it does not know that yet.
        if (report.waiting > 0) peer.core.ask(report.name, this.#deps.monotonicMs())
        if (report.unknownHeads.length > 0) peer.core.wantRecords(this.#deps.monotonicMs())
      }
    }
    await this.#noteInterests(peer, items)
    const nowMs = this.#deps.monotonicMs()
    for (const each of group) {
      const said = peer.core.heard(each.items, each.packet.logHeads, !log.knows(each.packet.logHeads), nowMs)
      if (said.length > 0) await receipts.write(peer.node, said)
    }
  }

  /** A document that the peer named and we may read, of which nobody has sent us anything yet. */
  async #noteInterests(peer: Peer, items: readonly SyncItem[]): Promise<void> {
    const mesh = this.#deps.log.mesh
    let added = false
    for (const item of items) {
      if (item.type !== 'vectors') continue
      for (const { document } of item.documents) {
        const key = keyOf(document)
        if (this.#vectors.has(key) || peer.interests >= INTERESTS_MAX) continue
        if (!mayRead(mesh, document, this.#deps.node)) continue
        peer.interests += 1
        this.#interests.set(key, document)
        added = true
      }
    }
    if (added) await this.#refreshShared()
  }

  #answered(packet: PacketId, outcomes: readonly { outcome: string; reason?: string }[]): void {
    const node = this.#inFlight.get(packet)
    const peer = node === undefined ? undefined : this.#peers.get(node)
    if (peer === undefined) return
    this.#inFlight.delete(packet)
    peer.inFlight -= 1
    const refusal = outcomes.find((each) => each.outcome === 'refused')
    if (refusal !== undefined) {
      this.#deps.logger.warn({ code: refusal.reason }, 'the relay refused a packet')
      peer.refused = refusal.reason ?? null
      peer.pausedUntilMs = this.#deps.monotonicMs() + REFUSED_PAUSE_MS
      peer.core.doubt()
    } else peer.refused = null
    this.#flush(peer)
  }

  #flushAll(): void {
    for (const peer of this.#peers.values()) this.#flush(peer)
  }

  #flush(peer: Peer): void {
    if (!this.#live || this.#closed || peer.sending || peer.inFlight >= IN_FLIGHT_MAX) return
    if (this.#deps.monotonicMs() < peer.pausedUntilMs) return
    const plan = peer.core.plan(this.#deps.monotonicMs())
    if (plan === null) return this.#flushWhenDue(peer)
    peer.sending = true
    void this.#send(peer, plan)
      .catch((error: unknown) => {
        this.#deps.logger.error({ err: error }, 'a packet could not be made')
        return false
      })
      .then((sent) => {
        peer.sending = false
        if (sent) this.#flush(peer)
        else peer.pausedUntilMs = this.#deps.monotonicMs() + TICK_MS
      })
  }

  /** Receipts wait a moment for others to share their packet. */
  #flushWhenDue(peer: Peer): void {
    const dueMs = peer.core.receiptsDueMs()
    if (dueMs === undefined || peer.due !== undefined) return
    peer.due = setTimeout(
      () => {
        peer.due = undefined
        this.#flush(peer)
      },
      Math.max(1, dueMs - this.#deps.monotonicMs()),
    )
    peer.due.unref()
  }

  async #send(peer: Peer, plan: Plan): Promise<boolean> {
    const deltas: { name: DocumentName; blocks: readonly Uint8Array[]; reached: VersionVector }[] = []
    let left = PAYLOAD_BYTES_TARGET
    for (const push of plan.pushes) {
      if (left <= 0) break
      const { blocks, reached } = await this.#deps.documents.after(push.name, push.after, left)
      const bytes = blocks.reduce((total, block) => total + block.length, 0)
      // A delta is one block at least, however large: with others before it, it waits for a packet of its own.
      if (deltas.length > 0 && bytes > left) break
      left -= bytes
      deltas.push({ name: push.name, blocks, reached })
    }
    // From here to the packet nothing is awaited: rights are those of the log that the packet names.
    const { mesh } = this.#deps.log
    const pushed = deltas.filter(({ name }) => mayRead(mesh, name, peer.node))
    const items: SyncItem[] = plan.items.map((item) =>
      item.type === 'vectors'
        ? { ...item, documents: item.documents.filter((each) => mayHear(mesh, each.document, peer.node)) }
        : item,
    )
    if (items.some((item) => item.type === 'heads' && item.fresh)) items.unshift(...this.#introduction())
    let dispatched = false
    if (plan.recordsAfter !== null) {
      for (const records of chunk(this.#deps.log.after(plan.recordsAfter).map((record) => record.bytes))) {
        if (!this.#dispatch(peer, [{ type: 'records', records }])) return false
        dispatched = true
      }
    }
    const blocks = pushed.flatMap((delta) => delta.blocks)
    const data: SyncItem[] = blocks.length > 0 ? [{ type: 'blocks', blocks }] : []
    // A large block and long vectors would not fit one packet; neither is ever too large alone.
    const packets = left < 0 && items.length > 0 ? [items, data] : [[...items, ...data]]
    for (const packet of packets) {
      if (packet.length === 0) continue
      if (!this.#dispatch(peer, packet)) return false
      dispatched = true
    }
    peer.core.planned(
      plan,
      pushed.map(({ name, reached }) => ({ name, vector: reached })),
    )
    // A plan of which nothing may go (a grant has just ended) would be made again at once, for ever.
    return dispatched
  }

  /**
   * Our newest prekey, unasked: a peer that has not got it (we have just joined, or it was away for a month) cannot
   * seal anything to us, not even the question for our records.
   */
  #introduction(): SyncItem[] {
    const { mesh } = this.#deps.log
    const prekey = mesh.nodes.get(this.#deps.node)?.prekeys[0]
    const record = prekey === undefined ? undefined : mesh.records.get(prekey.record)
    return record === undefined ? [] : [{ type: 'records', records: [record.bytes] }]
  }

  #dispatch(peer: Peer, items: readonly SyncItem[]): boolean {
    const packet = this.#deps.port.seal(peer.node, encodePayload(items))
    if (packet === undefined || this.#link?.send(packet.bytes) !== 'sent') return false
    this.#inFlight.set(packet.id, peer.node)
    peer.inFlight += 1
    return true
  }
}

/** Packets to one peer that the relay has not answered: enough to hide its round trip, few enough to make batches. */
const IN_FLIGHT_MAX = 4
const TICK_MS = 1_000
/** After a refusal (a full mailbox, a peer that never logged in) the same packets wait this long. */
const REFUSED_PAUSE_MS = 5_000
/** Documents that one peer may make us ask about, since it can invent names; a start forgets them. */
const INTERESTS_MAX = 256

/** Three and a half heartbeats: a peer that is there has spoken. */
const HEARD_LATELY_MS = 35_000

interface Arrived {
  readonly items: readonly SyncItem[]
  readonly packet: OpenedPacket
  readonly key: string
}

interface Peer {
  readonly node: NodeId
  readonly core: PeerSync
  readonly inbox: Arrived[]
  draining: boolean
  sending: boolean
  inFlight: number
  pausedUntilMs: number
  /** Why the relay refused the last packet that it answered. */
  refused: string | null
  due: NodeJS.Timeout | undefined
  interests: number
}
