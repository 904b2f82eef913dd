import type { DocumentName } from '@sealmesh/protocol/crdt/block'
import type { VersionVector } from '@sealmesh/protocol/crdt/clock'
import { Failure } from '@sealmesh/protocol/errors'
import type { NodeId, PacketId } from '@sealmesh/protocol/ids'
import type { Mesh } from '@sealmesh/protocol/membership/mesh'
import { kindOf } from '@sealmesh/protocol/sync/packet-kind'
import { decodePayload, encodePayload, type SyncItem } from '@sealmesh/protocol/sync/payload'
import { unwrapPayload, wrapPayload } from '@sealmesh/protocol/sync/payload-form'
import { mayHear, mayRead } from '@sealmesh/protocol/sync/recipients'
import { keyOf, type Plan, type Reached, type Receipt, type Standing } from '@sealmesh/protocol/sync/peer-sync'
import type { Progress } from '@sealmesh/protocol/sync/stored'
import type { Outcome } from '@sealmesh/protocol/wire/frame'
import type { LinkEvent, Via } from '../uplink/link-event.ts'
import { heedAnswer } from './answers.ts'
import { isAside } from './asides.ts'
import { chunk } from './chunk.ts'
import { ClosedExchange } from './closed-exchange.ts'
import { forgetHanded, noteHanded } from './handed.ts'
import { gatherDeltas } from './gather-deltas.ts'
import { introductionOf } from './introduction.ts'
import type { AwarenessItem, MeshSyncDeps, SyncLink } from './mesh-sync-deps.ts'
import { heardNow, type PeerNow, peerNow } from './peer-now.ts'
import { interestsIn } from './interests.ts'
import { HANDED_NOTED_MS, HEARD_LATELY_MS, MAIL_TICKS, TICK_MS, TURNED_AWAY_MAX } from './mesh-sync-limits.ts'
import { type Arrived, hasRoom, isSilent, newPeer, type Peer, seenIn } from './peer.ts'
import { settled } from './settled.ts'
import { Sharing } from './sharing.ts'
import { tellAwareness } from './tell-awareness.ts'

/** Drives one `PeerSync` for each peer: between documents, membership log and the relay link. Decides nothing else. */
export class MeshSync {
  readonly #deps: MeshSyncDeps
  readonly #peers = new Map<NodeId, Peer>()
  /** Packets that are not durable yet, and how to acknowledge each copy of them. */
  readonly #inHand = new Map<string, (() => void)[]>()
  readonly #timer: NodeJS.Timeout
  readonly #sharing: Sharing
  readonly #closedSets: ClosedExchange
  /** Documents with blocks that were turned away: of an author, or under a record, that the log did not know yet. */
  readonly #turnedAway = new Map<string, DocumentName>()
  /** The relay that is live now has no memory of what was handed to one before it. */
  #relayForgot = false
  #notedAtMs = 0
  /** What waited for us at the relay: peers are asked for what is missing when it has been read. */
  #mail: 'arriving' | 'arrived' | 'read' = 'arriving'
  #mailTicks = 0
  #link: SyncLink | undefined
  #live = false
  #closed = false

  constructor(deps: MeshSyncDeps) {
    this.#deps = deps
    this.#sharing = new Sharing({ ...deps, peers: () => this.#peers.values() })
    this.#closedSets = new ClosedExchange({
      ...deps,
      mesh: () => deps.log.mesh,
      kept: ({ core }, name) => this.#sharing.askFor(core, name, deps.monotonicMs()),
      send: ({ node }, items) =>
        this.#live && hasRoom(this.#peers.get(node)) && this.#dispatch(this.#peers.get(node), items),
    })
    deps.documents.onCommit(({ name, document, local }) => {
      this.#advanced(name, deps.documents.claimed(name, document.vector), local)
      this.#flushAll()
    })
    deps.documents.onRestated((name) => void this.#restate(name))
    this.#timer = setInterval(() => this.#tick(), TICK_MS)
    this.#timer.unref()
  }

  attach(link: SyncLink): void {
    this.#link = link
  }

  /** Who is to be spoken with. Before the relay is dialled: what comes from others is dropped. */
  meet(mesh: Mesh): void {
    for (const [node, peer] of this.#peers) {
      const known = mesh.nodes.get(node)
      if (known !== undefined && known.revocations.length === 0) continue
      this.#peers.delete(node)
      for (const { key } of peer.inbox.splice(0)) this.#acknowledge(key)
    }
    for (const node of mesh.nodes.values()) {
      if (node.id === this.#deps.node || node.revocations.length > 0 || this.#peers.has(node.id)) continue
      const peer = newPeer(this.#deps.node, node.id, this.#deps.sodium)
      this.#peers.set(node.id, peer)
      if (this.#mail !== 'read') peer.core.readMail()
      else if (this.#live) peer.core.greet(this.#deps.monotonicMs())
    }
  }

  /** The mesh, and with it who may read what, is another one. */
  async meshChanged(mesh: Mesh): Promise<void> {
    this.meet(mesh)
    const first = !this.#sharing.settled
    await this.#sharing.refresh('all')
    // The store still had what another relay, or this one before it was wiped, had answered for.
    if (first && this.#relayForgot) await this.#forgetHanded()
    for (const peer of this.#peers.values()) {
      peer.core.logChanged(mesh.heads)
      peer.pausedUntilMs = 0 // It may have a prekey now.
      await this.#receipted(
        peer,
        peer.core.confirmed((heads) => this.#deps.log.knows(heads)),
      )
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
        this.#relayForgot = event.newGeneration
        // A relay that may have forgotten what it stored is refilled; else only what it never answered is in doubt.
        if (event.newGeneration)
          this.#forgetHanded().catch(this.#failed('what a relay had answered for could not be forgotten'))
        for (const peer of this.#peers.values()) {
          if (!event.newGeneration && peer.flight.size > 0) peer.core.doubt('link')
          peer.flight.forget()
          peer.pausedUntilMs = 0
          peer.core.readMail()
        }
        this.#mail = 'arriving'
        this.#mailTicks = 0
        this.#flushAll()
        return
      case 'lost':
        return this.askAgain()
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
        return this.#delivered(event.packet, event.acknowledge, event.via)
      case 'drained':
        this.#mail = 'arrived'
        return this.#greetWhenRead()
      case 'notice':
        return
    }
  }

  /** Whether all that has been delivered until now is durable. */
  readonly settled = (): Promise<boolean> => settled(() => this.#peers.values())

  peers(): PeerNow[] {
    return [...this.#peers.values()].map((peer) => peerNow({ ...peer, inFlight: peer.flight.size }, this.#aheadMs()))
  }

  /** Where each document stands that this node has in common with a peer. Work for every document: not for every turn. */
  standings(node: NodeId): Standing[] {
    return this.#peers.get(node)?.core.standings() ?? []
  }

  /** What of a document an acknowledgement may rely on at a peer. */
  progress(node: NodeId, name: DocumentName): Progress | undefined {
    return this.#peers.get(node)?.core.progress(name)
  }

  /** It was heard of lately. */
  isThere(node: NodeId): boolean {
    const heardAtMs = this.#peers.get(node)?.core.lastHeardAtMs ?? Number.NEGATIVE_INFINITY
    return this.#deps.monotonicMs() - heardAtMs < HEARD_LATELY_MS
  }

  /** Somebody waits for a disk that has it, and what the relay delivered has brought no receipt. */
  pushAgain(node: NodeId, name: DocumentName): void {
    const peer = this.#peers.get(node)
    if (peer?.flight.size === 0 && peer.core.pushAgain(name, this.#deps.monotonicMs())) this.#flush(peer)
  }

  /** When each peer was last heard in this run. */
  heard(): { node: NodeId; atMs: number | null }[] {
    return [...this.#peers.values()].map((peer) => heardNow(peer, this.#aheadMs()))
  }

  /** Nothing is said meanwhile: what comes in is receipted under the log heads that `work` leaves. */
  quietly<T>(work: () => Promise<T>): Promise<T> {
    this.#quiet += 1
    return work().finally(() => {
      this.#quiet -= 1
      this.#flushAll()
    })
  }
  #quiet = 0

  readonly #aheadMs = (): number => this.#deps.wallMs() - this.#deps.monotonicMs()

  /** Records of ours were lost: whoever has them sends what our heads do not cover. */
  wantRecords(): void {
    for (const peer of this.#peers.values()) peer.core.wantRecords(this.#deps.monotonicMs())
    this.#flushAll()
  }

  /** Compares heads with everybody now: something was lost, or may lie somewhere. */
  askAgain(): void {
    for (const peer of this.#peers.values()) peer.core.greet(this.#deps.monotonicMs())
    this.#flushAll()
  }

  /** Who edits what, now: to those who may read it and are there. */
  tellAwareness(item: AwarenessItem, lifeMs: number): void {
    if (!this.#live || this.#closed) return
    tellAwareness(this.#deps, this.#peers.values(), (packet) => this.#link?.send(packet), item, lifeMs)
  }

  async close(): Promise<void> {
    this.#closed = true
    clearInterval(this.#timer)
    await this.#sharing.done().catch(() => undefined)
    await this.#noteHanded()
  }

  #tick(): void {
    const nowMs = this.#deps.monotonicMs()
    this.#deps.port.tick()
    if (this.#live) this.#closedSets.tick(this.#peers.values())
    for (const peer of this.#peers.values()) {
      peer.core.tick(nowMs)
      // A relay that answers nothing would stop this node for good.
      if (peer.flight.isOverdue(nowMs)) {
        peer.flight.forget()
        peer.core.doubt('link')
      }
      if (peer.inbox.length > 0 && !peer.draining) void this.#drain(peer) // What could not be stored the last time.
    }
    // A connection that lay idle and is used again is not told that its mailbox is empty.
    if (this.#mail === 'arriving' && ++this.#mailTicks > MAIL_TICKS) this.#mail = 'arrived'
    this.#greetWhenRead()
    this.#sharing.tick(nowMs)
    if (nowMs - this.#notedAtMs >= HANDED_NOTED_MS) {
      this.#notedAtMs = nowMs
      this.#noteHanded().catch(this.#failed('what the relay answered for could not be noted'))
    }
    this.#flushAll()
  }

  /** In the turn of the commit, so that vectors arrive here in their order. */
  #advanced(name: DocumentName, vector: VersionVector, authoredHere: boolean): void {
    // The first block of a document: who shares it has to be worked out once.
    if (!this.#sharing.advanced(name, vector, authoredHere)) return
    this.#sharing.refresh(name).then(() => this.#flushAll(), this.#failed('sharing could not be worked out'))
  }

  /** Damage was found, or mended: peers are told what is durable now, and asked for what is not. */
  async #restate(name: DocumentName): Promise<void> {
    try {
      await this.#sharing.restate(name)
      for (const peer of this.#peers.values()) peer.core.ask(name, this.#deps.monotonicMs())
      this.#flushAll()
    } catch (error) {
      this.#deps.logger.error({ err: error }, 'a damaged document could not be asked for')
    }
  }

  readonly #failed = (what: string) => (error: unknown) => this.#deps.logger.error({ err: error }, what)

  /** So that a restart does not fill the mailbox of a peer that is away a second time. */
  readonly #noteHanded = (): Promise<void> => noteHanded(this.#peers.values(), this.#deps.handed)

  readonly #forgetHanded = (): Promise<void> => forgetHanded(this.#peers.values(), this.#deps.handed)

  #delivered(packet: Uint8Array, acknowledge: () => void, via: Via | undefined): void {
    const { port, onUnopened } = this.#deps
    const opened = port.open(packet)
    if (!opened.ok) {
      onUnopened(packet, opened.error) // The relay is told what it is told of every packet.
      return acknowledge()
    }
    const { sender, incarnation, sequence } = opened.value
    const key = `${sender}.${incarnation}.${sequence}`
    const inHand = this.#inHand.get(key)
    // A second copy of what is being stored: the relay may forget it only together with the first.
    if (inHand !== undefined) return void inHand.push(acknowledge)
    const peer = this.#peers.get(sender)
    const unwrapped = peer && unwrapPayload(opened.value.payload, peer.deflater)
    const items = unwrapped?.ok ? decodePayload(unwrapped.value) : unwrapped
    if (peer === undefined || !items?.ok) {
      onUnopened(packet, { code: peer === undefined ? 'PACKET_SENDER_REMOVED' : 'PACKET_PAYLOAD_MALFORMED', sender })
      return acknowledge()
    }
    const asides = items.value.filter(isAside)
    const lacksRecords = (): boolean => !this.#deps.log.knows(opened.value.logHeads)
    for (const item of asides) this.#deps.onAside?.(sender, item, lacksRecords)
    if (asides.length > 0 && asides.length === items.value.length) {
      port.accept(opened.value)
      return acknowledge()
    }
    this.#inHand.set(key, [acknowledge])
    peer.inbox.push({ items: items.value, packet: opened.value, key, via })
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
    this.#greetWhenRead()
  }

  #greetWhenRead(): void {
    if (this.#mail !== 'arrived' || !this.#live) return
    for (const { inbox, draining } of this.#peers.values()) if (draining || inbox.length > 0) return
    this.#mail = 'read'
    this.askAgain()
  }

  #acknowledge(key: string): void {
    for (const acknowledge of this.#inHand.get(key) ?? []) acknowledge()
    this.#inHand.delete(key)
  }

  async #take(peer: Peer, group: readonly Arrived[]): Promise<void> {
    const { log, documents } = this.#deps
    if (!this.#sharing.settled) await this.#sharing.refresh('all')
    const items = group.flatMap((each) => each.items)
    await this.#closedSets.take(peer, items)
    const records = items.flatMap((item) => (item.type === 'records' ? item.records : []))
    if (records.length > 0) {
      const { added } = await log.receive(records)
      if (added > 0) {
        // What was turned away may be welcome now, and what was not to be read before may be there to be read.
        for (const name of this.#turnedAway.values()) peer.core.ask(name, this.#deps.monotonicMs())
        this.#turnedAway.clear()
        peer.core.compare()
      }
    }
    const blocks = items.flatMap((item) => (item.type === 'blocks' ? item.blocks : []))
    const pruned = items.filter((item) => item.type === 'pruned')
    if (blocks.length + pruned.length > 0) {
      const reports = [...(await documents.receivePruned(pruned, peer.node)), ...(await documents.receive(blocks))]
      this.#deps.onReceived?.(peer.node, reports)
      await this.#sharing.done()
      for (const report of reports) {
        if (report.stored > 0) {
          for (const each of this.#peers.values()) each.core.owesReceipt(report.name)
        } else peer.core.owesReceipt(report.name) // It sent what we had: it does not know that yet.
        if (report.refused + report.waiting > 0 && this.#turnedAway.size < TURNED_AWAY_MAX)
          this.#turnedAway.set(keyOf(report.name), report.name)
        if (report.waiting > 0) peer.core.ask(report.name, this.#deps.monotonicMs())
        for (const { digest, by } of report.unknownFloors ?? []) this.#closedSets.want(peer, report.name, digest, by)
        if (report.unknownHeads.length > 0) peer.core.wantRecords(this.#deps.monotonicMs())
      }
    }
    const interests = interestsIn(items, peer, log.mesh, this.#deps.node, this.#sharing)
    if (interests.length > 0) await this.#sharing.interestedIn(interests)
    const nowMs = this.#deps.monotonicMs()
    for (const each of group) {
      const { items: news, logHeads } = peer.latest.newsIn(each)
      const opened = await this.#closedSets.opened(peer, news)
      const lacksRecords = !log.knows(logHeads)
      const said = peer.core.heard(opened, logHeads, lacksRecords, nowMs)
      // Until its mailbox has been read, a node is behind with what came while it was away.
      if (this.#mail === 'read' && peer.latest.isChance(each, nowMs))
        this.#deps.onHeads?.(peer.node, { ...seenIn(each.packet, peer), lacksRecords, nowMs })
      await this.#receipted(peer, said)
      for (const item of news)
        if (item.type === 'failover') this.#deps.onFailover?.(peer.node, item, lacksRecords, each.via)
    }
  }

  /** Durable at the peer: noted, and told to who waits for it. */
  async #receipted({ node }: Peer, said: readonly Receipt[]): Promise<void> {
    if (said.length === 0) return
    await this.#deps.receipts.write(node, said)
    this.#deps.onProgress?.(
      node,
      said.map(({ document }) => document),
    )
  }

  #answered(packet: PacketId, outcomes: readonly Outcome[]): void {
    for (const peer of this.#peers.values())
      if (heedAnswer(peer, packet, outcomes, this.#deps)) return this.#flush(peer)
  }

  #flushAll(): void {
    for (const peer of this.#peers.values()) this.#flush(peer)
  }

  #flush(peer: Peer): void {
    if (!this.#live || this.#closed || this.#quiet > 0 || peer.sending || !hasRoom(peer)) return
    if (!this.#sharing.settled || this.#link?.reaches?.(peer.node) === false) return
    if (this.#deps.monotonicMs() < peer.pausedUntilMs) return
    this.#closedSets.answer(peer)
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
    const { deltas, left } = await gatherDeltas(this.#deps.documents, plan, peer.core.view().toSend)
    const said = await this.#closedSets.shortened(peer.node, plan.items)
    // From here to the packet nothing is awaited: rights are those of the log that the packet names.
    const { mesh } = this.#deps.log
    const pushed = deltas.filter(({ name }) => mayRead(mesh, name, peer.node))
    const items: SyncItem[] = said.map((item) =>
      item.type === 'vectors'
        ? { ...item, documents: item.documents.filter((each) => mayHear(mesh, each.document, peer.node)) }
        : item,
    )
    if (items.some((item) => item.type === 'heads' && (item.fresh || isSilent(peer, this.#deps.monotonicMs()))))
      items.unshift(...introductionOf(mesh, this.#deps.node))
    let dispatched = false
    if (plan.recordsAfter !== null) {
      for (const records of chunk(this.#deps.log.after(plan.recordsAfter).map((record) => record.bytes))) {
        if (!this.#dispatch(peer, [{ type: 'records', records }])) return false
        dispatched = true
      }
    }
    const blocks = pushed.flatMap((delta) => delta.blocks)
    const data: SyncItem[] = pushed.flatMap(({ pruned }) => pruned ?? [])
    if (blocks.length > 0) data.push({ type: 'blocks', blocks })
    // A large block and long vectors would not fit one packet; neither is ever too large alone.
    const packets = left < 0 && items.length > 0 ? [items, data] : [[...items, ...data]]
    const reached = pushed.map(({ name, after, reached: vector }) => ({ document: name, after, vector }))
    for (const [at, packet] of packets.entries()) {
      if (packet.length === 0) continue
      if (!this.#dispatch(peer, packet, at === packets.length - 1 ? reached : [])) return false
      dispatched = true
    }
    peer.core.planned(plan, reached)
    // A plan of which nothing may go (a grant has just ended) would be made again at once, for ever.
    return dispatched
  }

  #dispatch(peer: Peer | undefined, items: readonly SyncItem[], reached: readonly Reached[] = []): boolean {
    const packet =
      peer && this.#deps.port.seal(peer.node, wrapPayload(encodePayload(items), peer.deflater), kindOf(items))
    if (peer === undefined || packet === undefined || this.#link?.send(packet.bytes) !== 'sent') return false
    peer.flight.sent(packet.id, reached, this.#deps.monotonicMs())
    return true
  }
}
