import type { Duplex } from 'node:stream'
import type { MeshId } from '@sealmesh/protocol/ids'
import { FRAME_BYTES_MAX } from '@sealmesh/protocol/limits'
import { decodeFrame, type Frame } from '@sealmesh/protocol/wire/frame'
import type { NumberedPacket } from '@sealmesh/protocol/wire/packets'
import type { Logger } from 'pino'
import type { WebSocket } from 'ws'
import type { ClaimKey, Effect, Note, RelayEvent } from './core/event.ts'
import { isBarred } from './core/addresses.ts'
import { stepRelay } from './core/relay.ts'
import type { Slab } from './core/slabs.ts'
import type { ConnectionId, RelayState, World } from './core/state.ts'
import { DropLog } from './drop-log.ts'
import { Inflow } from './socket/inflow.ts'
import type { GoodbyeLog } from './goodbye-log.ts'
import { writeMessage } from './socket/message.ts'
import { Outgoing } from './socket/outgoing.ts'
import { readAheadOfWs } from './socket/reads.ts'
import type { Receiver } from './socket/receiver.ts'
import { Scratch } from './socket/scratch.ts'
import type { Store } from './store/store.ts'
import { Tally } from './tally.ts'

export interface DriverDeps {
  readonly state: RelayState
  readonly store: Pick<Store, 'persist' | 'read' | 'readChunk'>
  readonly world: Omit<World, 'nowMs' | 'steadyMs'>
  readonly now: () => number
  readonly steady: () => number
  readonly random: (bytes: number) => Uint8Array
  readonly claims: { open(): readonly ClaimKey[]; spend(claim: string): void }
  /** Its owner has let it in, and it outlives the database. */
  readonly admitted: (mesh: MeshId) => void
  readonly expelled: (mesh: MeshId) => void
  readonly tally: Tally
  readonly log: Logger
  readonly goodbyes: Pick<GoodbyeLog, 'note'>
  /** Ids as logs may show them. */
  readonly pseudonym: (id: string) => string
}

/** What a relay of a cluster has heard of a connection that it hands to the mesh's home. */
export interface Greeted {
  readonly nonce: Uint8Array
  readonly login: Uint8Array
}

interface Wire {
  readonly ws: WebSocket
  readonly socket: Duplex
  readonly outgoing: Outgoing
  readonly inflow: Inflow
  /** Null where ws reads alone. */
  readonly receiver: Receiver | null
  /** Set when the core has said to close, after what waits has left. */
  closing: 'softly' | 'at once' | null
  welcomed(): void
}

/** So much is still in the processor's caches when it is written; at the end of a busy turn it would not be. */
const EARLY_FLUSH_BYTES = 524_288
const TICK_MS = 250
/** While strangers are sent away, a few at a time. */
const TICK_STRANGERS_MS = 20
/** Between looks whether a sender that is over its rate may go on: what it brings then is one turn's worth. */
const PACE_MS = 10
/** How long a peer may take to answer a close before its socket is destroyed. */
const CLOSE_WAIT_MS = 2_000

/** Runs the core: sockets and disk speak to it in events, and do what its effects say. Decides nothing. */
export class RelayDriver {
  readonly #deps: DriverDeps
  readonly #wires = new Map<ConnectionId, Wire>()
  readonly #dirty = new Set<Wire>()
  /** Of this turn. Not `#dirty`: what a sender is answered leaves after what its packets bring to others. */
  #heard: Wire[] = []
  readonly #scratch = new Scratch()
  readonly #drops = new DropLog()
  /** Where the message stands whose effects run, if that is used again. */
  #reading: Slab | null = null
  /** What this turn's answers and frames of small packets are made from. */
  #spent: Slab[] = []
  /** Of what has been heard since the last flush. */
  #unflushedBytes = 0
  #flushing: NodeJS.Immediate | null = null
  #ticking: NodeJS.Timeout | null = null
  #pacing: NodeJS.Timeout | null = null
  #nextId = 1
  /** Of the event whose effects run: a look at the clock for each packet would cost as much as counting it. */
  #steadyMs = 0

  constructor(deps: DriverDeps) {
    this.#deps = deps
  }

  start(): void {
    this.#tickAfter(TICK_MS)
  }

  /**
   * Takes over an open WebSocket. `welcomed` is called when its peer has logged in. `greeted`: it has answered a
   * challenge with this nonce by this login.
   */
  connect(ws: WebSocket, socket: Duplex, address: string, welcomed: () => void, greeted?: Greeted): void {
    const id = this.#nextId++
    const { slabs } = this.#deps.state
    const outgoing = new Outgoing(
      { send: (parts) => writeMessage(socket, parts) },
      socket,
      this.#scratch,
      slabs,
      // One packet is handed out whatever the limit is, and limits change while it runs.
      () => 2 * this.#deps.state.limits.unackedBytesMax + FRAME_BYTES_MAX,
    )
    // Of a connection that somebody else has read from, nobody knows where a frame begins.
    const receiver =
      greeted !== undefined
        ? null
        : readAheadOfWs(socket, FRAME_BYTES_MAX, {
            allocate: (bytes) => slabs.take(bytes),
            grow: (slab, bytes) => slabs.grow(slab, bytes),
            message: (slab) => {
              this.#count(wire, slab.length)
              this.#hearIn(id, slab)
              this.#unflushedBytes += slab.length
              if (this.#unflushedBytes >= EARLY_FLUSH_BYTES) this.#flushDirty()
            },
          })
    const wire: Wire = { ws, socket, outgoing, inflow: new Inflow(ws), receiver, closing: null, welcomed }
    this.#wires.set(id, wire)
    ws.on('message', (data, isBinary) => {
      if (isBinary && data instanceof Uint8Array) {
        this.#count(wire, data.length)
        this.#hear(id, data)
      } else this.feed({ type: 'badFrame', connection: id, reason: 'FRAME_MALFORMED' })
    })
    ws.on('error', (error) => {
      // ws ends the connection itself after an error; a frame over the limit is worth a word in the log.
      const reason =
        'code' in error && error.code === 'WS_ERR_UNSUPPORTED_MESSAGE_LENGTH' ? 'FRAME_SIZE' : 'FRAME_MALFORMED'
      this.feed({ type: 'badFrame', connection: id, reason })
    })
    socket.on('drain', () => this.#touch(wire))
    ws.on('close', () => {
      this.#wires.delete(id)
      this.#dirty.delete(wire)
      this.feed({ type: 'closed', connection: id })
    })
    const nonce = greeted?.nonce ?? this.#deps.random(32)
    this.feed({ type: 'connected', connection: id, address, nonce, isGreeted: greeted !== undefined })
    if (greeted !== undefined) this.#hear(id, greeted.login)
  }

  /** Whether this address has failed so often that it is not listened to for now. */
  isBarred(address: string): boolean {
    return isBarred(this.#deps.state, address, this.#deps.now())
  }

  feed(event: RelayEvent): void {
    const { state, world, now, steady } = this.#deps
    const { sodium, secretKey } = world
    const steadyMs = steady()
    this.#steadyMs = steadyMs
    for (const effect of stepRelay(state, event, { sodium, secretKey, nowMs: now(), steadyMs })) this.#run(effect)
    if (state.slowed.size > 0) this.#pace()
  }

  /** Says goodbye to everybody and resolves when all sockets are closed. The store is still open then. */
  async stop(): Promise<void> {
    if (this.#ticking !== null) clearTimeout(this.#ticking)
    this.#ticking = null
    this.feed({ type: 'stop' })
    if (this.#pacing !== null) clearTimeout(this.#pacing)
    this.#logDrops(Number.POSITIVE_INFINITY)
    this.#flushAll()
    await Promise.all([...this.#wires.values()].map(({ ws }) => new Promise((resolve) => ws.once('close', resolve))))
  }

  #tickAfter(ms: number): void {
    this.#ticking = setTimeout(() => {
      const { turnedAway } = this.#deps.tally
      const before = turnedAway.get('HELLO_TIMEOUT')
      this.feed({ type: 'tick' })
      this.#logDrops(this.#steadyMs)
      this.#tickAfter(turnedAway.get('HELLO_TIMEOUT') === before ? TICK_MS : TICK_STRANGERS_MS)
    }, ms)
  }

  #pace(): void {
    this.#pacing ??= setTimeout(() => {
      this.#pacing = null
      this.feed({ type: 'pace' })
    }, PACE_MS)
  }

  /** What a connection has brought counts for its share of this turn. */
  #count(wire: Wire, bytes: number): void {
    if (!wire.inflow.take(bytes)) return
    this.#heard.push(wire)
    this.#flushSoon()
  }

  /** A frame in memory that is used again. Of most types the core keeps parts, and those keep the memory. */
  #hearIn(id: ConnectionId, slab: Slab): void {
    const bytes = slab.memory.subarray(0, slab.length)
    slab.holders += 1
    this.#reading = slab
    const type = this.#hear(id, bytes, slab)
    this.#reading = null
    if (type === 'send') this.#spent.push(slab)
    else if (type === 'ack' || type === 'ping') this.#deps.state.slabs.release(slab)
  }

  /** Null for what is no frame. */
  #hear(id: ConnectionId, bytes: Uint8Array, slab?: Slab): Frame['type'] | null {
    const decoded = decodeFrame(bytes)
    if (!decoded.ok) {
      this.feed({ type: 'badFrame', connection: id, reason: decoded.error.code })
      return null
    }
    const frame = decoded.value
    if (frame.type === 'send') this.#deps.tally.packetBytesIn += bytes.length
    const claims = frame.type === 'login' && frame.claim !== null ? this.#deps.claims.open() : []
    this.feed({ type: 'frame', connection: id, frame, claims, ...(slab === undefined ? {} : { slab }) })
    return frame.type
  }

  #run(effect: Effect): void {
    const { store, tally, claims } = this.#deps
    switch (effect.type) {
      case 'send':
        return this.#send(this.#wireOf(effect.connection), effect.frame)
      case 'answer':
        for (const outcome of effect.answer.outcomes) {
          if (outcome.outcome === 'refused') Tally.count(tally.refused, outcome.reason)
          else tally[outcome.outcome] += 1
        }
        tally.queueMs.observe(this.#steadyMs - effect.sinceMs)
        return this.#wireOf(effect.connection)?.outgoing.answer(effect.answer)
      case 'deliver':
        tally.packetsOut += 1
        tally.packetBytesOut += effect.packet.packet.length
        return this.#deliver(this.#wireOf(effect.connection), effect.packet)
      case 'close':
        return this.#close(effect.connection, effect.atOnce ? 'at once' : 'softly')
      case 'welcomed':
        return this.#welcome(this.#wireOf(effect.connection))
      case 'pause':
        return this.#wireOf(effect.connection)?.inflow.hold()
      case 'resume':
        return this.#wireOf(effect.connection)?.inflow.letGo()
      case 'persist':
        return store.persist(effect.operations, effect.receipt)
      case 'read':
        void this.#read(effect)
        return
      case 'readChunk':
        void this.#readChunk(effect)
        return
      case 'claimSpent':
        return claims.spend(effect.claim)
      case 'note':
        return this.#note(effect.note)
    }
  }

  async #read(effect: Extract<Effect, { type: 'read' }>): Promise<void> {
    const { read, connection, mesh, mailbox, first, last } = effect
    try {
      const packets = await this.#deps.store.read(mesh, mailbox, first, last)
      this.feed({ type: 'read', read, connection, last, packets })
    } catch (error) {
      // The reader keeps its place and is cut; what it did not get waits for its next visit.
      this.#deps.log.error({ error: String(error) }, 'mailbox cannot be read')
      this.#close(connection, 'at once')
    }
  }

  async #readChunk({ connection, request, mesh, vault, chunk }: Extract<Effect, { type: 'readChunk' }>): Promise<void> {
    let bytes: Uint8Array | null = null
    try {
      bytes = await this.#deps.store.readChunk(mesh, vault, chunk)
    } catch (error) {
      // Like one that is gone: its reader has others to fall back to.
      this.#deps.log.error({ error: String(error) }, 'a piece of a snapshot cannot be read')
    }
    this.feed({ type: 'chunkRead', connection, request, bytes })
  }

  #deliver(wire: Wire | undefined, packet: NumberedPacket): void {
    if (this.#reading !== null) wire?.outgoing.hold(this.#reading)
    wire?.outgoing.packet(packet)
  }

  #welcome(wire: Wire | undefined): void {
    if (wire === undefined) return
    if (wire.receiver !== null) wire.receiver.bytesMax = FRAME_BYTES_MAX
    wire.welcomed()
  }

  #send(wire: Wire | undefined, frame: Frame): void {
    if (frame.type === 'goodbye') wire?.outgoing.last(frame)
    else if (frame.type === 'drained') wire?.outgoing.inOrder(frame)
    else wire?.outgoing.control(frame)
  }

  #close(id: ConnectionId, how: 'softly' | 'at once'): void {
    const wire = this.#wireOf(id)
    if (wire !== undefined) wire.closing = how
  }

  /** Undefined when it is gone. Whatever is given to it leaves at the end of the turn. */
  #wireOf(id: ConnectionId): Wire | undefined {
    const wire = this.#wires.get(id)
    if (wire !== undefined) this.#touch(wire)
    return wire
  }

  #touch(wire: Wire): void {
    this.#dirty.add(wire)
    this.#flushSoon()
  }

  #flushSoon(): void {
    // After the poll phase: everything that this turn has for one destination leaves in one write.
    this.#flushing ??= setImmediate(() => this.#flushAll())
  }

  #flushAll(): void {
    if (this.#flushing !== null) clearImmediate(this.#flushing)
    this.#flushing = null
    this.#flushDirty()
    const heard = this.#heard
    this.#heard = []
    for (const { inflow } of heard) inflow.endTurn()
  }

  #flushDirty(): void {
    this.#unflushedBytes = 0
    const dirty = [...this.#dirty]
    this.#dirty.clear()
    for (const wire of dirty) {
      if (wire.ws.readyState !== wire.ws.OPEN) continue
      const flushed = wire.outgoing.flush()
      if (wire.closing === 'at once') wire.ws.terminate()
      else if (wire.closing === 'softly') closeSoftly(wire.ws)
      else if (flushed === 'overflow') this.#overflow(wire)
    }
    const spent = this.#spent
    this.#spent = []
    for (const slab of spent) this.#deps.state.slabs.release(slab)
  }

  #overflow(wire: Wire): void {
    for (const [id, known] of this.#wires) if (known === wire) this.feed({ type: 'overflow', connection: id })
  }

  #logDrops(steadyMs: number): void {
    const { log, pseudonym } = this.#deps
    for (const drop of this.#drops.take(steadyMs))
      log.warn({ ...drop, mesh: pseudonym(drop.mesh) }, 'packets left a mailbox unread')
  }

  #note(note: Note): void {
    const { tally, log, pseudonym } = this.#deps
    const named = {
      ...note,
      ...('mesh' in note ? { mesh: pseudonym(note.mesh) } : {}),
      ...('login' in note ? { login: pseudonym(note.login) } : {}),
    }
    switch (note.event) {
      case 'login':
        tally.logins += 1
        return log.info(named, 'a node is connected')
      case 'goodbye':
        Tally.count(tally.goodbyes, note.reason)
        if (note.stranger) Tally.count(tally.turnedAway, note.reason)
        return this.#deps.goodbyes.note(note)
      case 'duplicate':
        tally.duplicates += 1
        return log.warn(named, 'the same login came twice: the older connection is idle')
      case 'spilled':
        tally.spilled += note.packets
        return log.info(named, 'a reader left: what it had in hand is back in its mailbox')
      case 'dropped':
        Tally.count(tally.dropped, note.reason, note.packets)
        return this.#drops.add(note)
      case 'meshAdmitted':
        this.#deps.admitted(note.mesh)
        return log.info(named, 'a mesh was admitted')
      case 'meshExpelled':
        this.#deps.expelled(note.mesh)
        return log.info(named, 'a mesh is not admitted any more')
      case 'enrolled':
        return log.info(named, 'a login was enrolled')
      case 'revoked':
        return log.info(named, 'a login was removed')
    }
  }
}

function closeSoftly(ws: WebSocket): void {
  ws.close(1000)
  const giveUp = setTimeout(() => ws.terminate(), CLOSE_WAIT_MS)
  ws.once('close', () => clearTimeout(giveUp))
}
