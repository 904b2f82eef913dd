import { answerChallenge } from '@sealmesh/node/uplink/greeting'
import { toHex } from '@sealmesh/protocol/bytes'
import type { MailboxId, MeshId, PacketId, RelayId } from '@sealmesh/protocol/ids'
import { ok } from '@sealmesh/protocol/result'
import type { Sodium } from '@sealmesh/protocol/sodium'
import { decodeFrame, encodeFrame, type Frame, type Outcome } from '@sealmesh/protocol/wire/frame'
import type { Reason } from '@sealmesh/protocol/wire/reason'
import type { ClaimKey, Effect, Operation, RelayEvent } from '@sealmesh/relay/core/event'
import { DEFAULT_LIMITS, type RelayLimits } from '@sealmesh/relay/core/limits'
import type { KeyName } from '@sealmesh/relay/core/key-name'
import { foundPacket } from '@sealmesh/relay/core/mailbox'
import { mailboxIn } from '@sealmesh/relay/core/mailboxes'
import { foundSlot } from '@sealmesh/relay/core/slots'
import { foundChunk, foundSnapshot } from '@sealmesh/relay/core/vault-found'
import { packetIdAt } from '@sealmesh/protocol/envelope/header'
import { newRelay, stepRelay } from '@sealmesh/relay/core/relay'
import {
  loginOf,
  type LoginRecord,
  type Mailbox,
  newMesh,
  type RelayState,
  type World,
} from '@sealmesh/relay/core/state'
import type { Member } from './mesh.ts'
import { VaultDisk } from './vault-disk.ts'

/**
 * A relay's core with a disk that keeps only what was committed, and clients that do as they are told. Everything in
 * one thread; frames pass through their bytes.
 */
export class SimulatedRelay {
  state: RelayState
  nowMs = 1_700_000_000_000
  claims: ClaimKey[] = []
  readonly sodium: Sodium
  readonly #world: Omit<World, 'nowMs' | 'steadyMs'>
  readonly #limits: RelayLimits
  #disk = new Disk()
  #startedMs = this.nowMs
  #generations = 9
  #queue: { operations: readonly Operation[]; receipt: number | null }[] = []
  #durable: Disk | undefined
  #unsynced: { readonly atMs: number; readonly operations: readonly Operation[] }[] = []
  readonly clients = new Map<number, Client>()
  #reads: (() => void)[] = []
  #nextId = 1

  constructor(sodium: Sodium, limits: Partial<RelayLimits> = {}) {
    this.sodium = sodium
    const keys = sodium.signKeys('sign', new Uint8Array(32).fill(7))
    this.#world = { sodium, secretKey: keys.secretKey }
    this.#limits = { ...DEFAULT_LIMITS, ...limits }
    const relay = toHex(keys.publicKey) as RelayId
    this.state = newRelay(relay, new Uint8Array(16).fill(9), 0, this.#limits)
  }

  /** As if its owner had let the mesh in before. */
  admit(mesh: MeshId): void {
    this.state.meshes.set(mesh, newMesh(mesh))
    this.#disk.apply({ type: 'mesh', mesh, barred: false })
  }

  /** A connection that has said nothing yet. */
  connect(address = '192.0.2.1', tap?: Tap): Client {
    const client = new Client(this, this.#nextId++, tap)
    this.clients.set(client.id, client)
    const nonce = new Uint8Array(32).fill(client.id)
    this.feed({ type: 'connected', connection: client.id, address, nonce })
    return client
  }

  /** Connects, answers the challenge, has the disk take the session's counter, and opens its mailbox. */
  login(member: Member, address?: string): Client {
    const client = this.connect(address)
    client.answerAs(member)
    this.commit()
    client.read(member.mailboxSecret)
    return client
  }

  feed(event: RelayEvent): void {
    for (const effect of stepRelay(this.state, event, {
      ...this.#world,
      nowMs: this.nowMs,
      steadyMs: this.nowMs - this.#startedMs,
    }))
      this.#run(effect)
  }

  /** The disk makes everything durable that was asked for until now. */
  commit(): void {
    const queue = this.#queue
    this.#queue = []
    for (const { operations } of queue) for (const operation of operations) this.#disk.apply(copyOf(operation))
    const receipts = queue.flatMap(({ receipt }) => (receipt === null ? [] : [receipt]))
    this.feed({ type: 'persisted', receipts })
  }

  /** The same, but the disk has it only after `syncBefore`: what a store without fsync does. */
  commitUnsynced(nowMs: number): void {
    this.#durable ??= this.#disk.copy()
    this.#unsynced.push(...this.#queue.map(({ operations }) => ({ atMs: nowMs, operations: operations.map(copyOf) })))
    this.commit()
  }

  syncBefore(atMs: number): void {
    if (this.#durable === undefined) return
    while ((this.#unsynced[0]?.atMs ?? atMs) < atMs)
      for (const operation of this.#unsynced.shift()!.operations) this.#durable.apply(operation)
  }

  undoUnsynced(): void {
    if (this.#durable !== undefined) this.#disk = this.#durable.copy()
    this.#unsynced = []
  }

  get wantsDisk(): boolean {
    return this.#queue.length > 0 || this.#reads.length > 0
  }

  /** The disk answers what was asked of it until now. */
  finishReads(): void {
    const reads = this.#reads
    this.#reads = []
    for (const read of reads) read()
  }

  /** Until nothing more wants to be written or read: what an answer triggers may want something. */
  settle(): void {
    while (this.#queue.length > 0 || this.#reads.length > 0) {
      this.commit()
      this.finishReads()
    }
  }

  failCommit(reason: 'DISK_FULL' | 'DISK_FAILED'): void {
    const queue = this.#queue
    this.#queue = queue.filter(({ receipt }) => receipt === null)
    const receipts = queue.flatMap(({ receipt }) => (receipt === null ? [] : [receipt]))
    this.feed({ type: 'persistFailed', receipts, reason })
  }

  /** What was not committed is gone, and so are all connections. */
  crash(): void {
    this.#queue = []
    this.#reads = []
    for (const client of this.clients.values()) client.open = false
    this.clients.clear()
    this.#startedMs = this.nowMs
    this.state = this.#disk.load(this.state.relay, this.state.generation, this.#limits, this.sodium)
  }

  /** What its disk holds now, for `restore`. */
  snapshot(): Disk {
    return this.#disk.copy()
  }

  /** As if its owner had put back a copy of its data. All connections are gone. */
  restore(snapshot: Disk): void {
    this.#disk = snapshot.copy()
    this.#durable = undefined
    this.crash()
  }

  /** What its owner does after putting back a copy. */
  renewGeneration(): void {
    this.#generations += 1
    this.state = { ...this.state, generation: new Uint8Array(16).fill(this.#generations) }
  }

  /** The steady clock begins with a start. */
  startClock(): void {
    this.#startedMs = this.nowMs
  }

  /** Every packet that its disk holds. */
  packets(): Iterable<Uint8Array> {
    return this.#disk.packets()
  }

  /** As if its data had been deleted: another generation, and no mesh. */
  wipe(): void {
    this.#disk = new Disk()
    this.#durable = undefined
    this.crash()
    this.#generations += 1
    this.state = newRelay(this.state.relay, new Uint8Array(16).fill(this.#generations), 0, this.#limits)
  }

  drop(client: Client): void {
    if (!this.clients.delete(client.id)) return
    client.open = false
    this.feed({ type: 'closed', connection: client.id })
    client.tap?.closed()
  }

  /** Damage: the index still names it. */
  loseFromDisk(mesh: MeshId, mailbox: MailboxId, sequence: number): void {
    this.#disk.apply({ type: 'dropPacket', mesh, mailbox, sequence })
  }

  mailbox(id: MailboxId): Mailbox | undefined {
    for (const { mailboxes } of this.state.meshes.values()) if (mailboxes.has(id)) return mailboxes.get(id)
    return undefined
  }

  storedBytes(mailbox: MailboxId): number {
    return this.mailbox(mailbox)?.bytes ?? 0
  }

  #run(effect: Effect): void {
    switch (effect.type) {
      case 'send':
        return this.clients.get(effect.connection)?.hear(effect.frame)
      case 'answer': {
        const { packet, outcomes } = effect.answer
        const answers = [{ packet: packetIdAt(packet), outcomes }]
        return this.clients.get(effect.connection)?.hear({ type: 'answer', answers })
      }
      case 'deliver':
        return this.clients.get(effect.connection)?.hear({ type: 'deliver', packets: [effect.packet] })
      case 'persist':
        this.#queue.push(effect)
        return
      case 'read': {
        const { read, connection, mesh, mailbox, first, last } = effect
        this.#reads.push(() => {
          const packets = this.#disk.read(mesh, mailbox, first, last)
          this.feed({ type: 'read', read, connection, last, packets })
        })
        return
      }
      case 'readChunk': {
        const { connection, request, mesh, vault, chunk } = effect
        this.#reads.push(() => {
          const bytes = this.#disk.vaults.chunk(mesh, vault, chunk)
          this.feed({ type: 'chunkRead', connection, request, bytes })
        })
        return
      }
      case 'close': {
        const client = this.clients.get(effect.connection)
        if (client !== undefined) this.drop(client)
        return
      }
      case 'pause':
      case 'resume': {
        const client = this.clients.get(effect.connection)
        if (client !== undefined) client.paused = effect.type === 'pause'
        return
      }
      case 'welcomed':
      case 'claimSpent':
      case 'note':
        return
    }
  }
}

/** Takes what a client would only remember. */
export interface Tap {
  hear(frame: Frame): void
  closed(): void
}

export class Client {
  readonly id: number
  open = true
  paused = false
  /** Deliveries in order: of this session, or since it became active again. */
  got: { sequence: number; packet: Uint8Array }[] = []
  /** Those of the times before. */
  readonly before: { sequence: number; packet: Uint8Array }[][] = []
  /** The most that it had in hand, not acknowledged. */
  peakInHand = 0
  #safe = 0
  readonly answers = new Map<PacketId, readonly Outcome[]>()
  readonly frames: Frame[] = []
  readonly #relay: SimulatedRelay
  readonly tap: Tap | undefined

  constructor(relay: SimulatedRelay, id: number, tap?: Tap) {
    this.#relay = relay
    this.id = id
    this.tap = tap
  }

  frame<Type extends Frame['type']>(type: Type): Extract<Frame, { type: Type }> | undefined {
    return this.frames.findLast((frame): frame is Extract<Frame, { type: Type }> => frame.type === type)
  }

  get goodbye(): Reason | undefined {
    return this.frame('goodbye')?.reason
  }

  hear(frame: Frame): void {
    // Whoever listens in has cables of their own to put it through.
    if (this.tap !== undefined) return this.tap.hear(frame)
    const decoded = decodeFrame(encodeFrame(frame))
    if (!decoded.ok) throw new Error(`the core made a frame that cannot be read: ${frame.type}`)
    this.frames.push(decoded.value)
    if (frame.type === 'notice' && frame.reason === null) {
      this.before.push(this.got)
      this.got = []
      this.#safe = 0
    }
    if (frame.type === 'deliver') {
      this.got.push(...frame.packets)
      const inHand = this.got.filter(({ sequence }) => sequence > this.#safe)
      this.peakInHand = Math.max(
        this.peakInHand,
        inHand.reduce((sum, { packet }) => sum + packet.length, 0),
      )
    }
    if (frame.type === 'answer') for (const { packet, outcomes } of frame.answers) this.answers.set(packet, outcomes)
  }

  say(frame: Frame): void {
    if (!this.open) return
    const decoded = this.tap === undefined ? decodeFrame(encodeFrame(frame)) : ok(frame)
    if (!decoded.ok) throw new Error(`a client made a frame that cannot be read: ${frame.type}`)
    const claims = frame.type === 'login' && frame.claim !== null ? this.#relay.claims : []
    this.#relay.feed({ type: 'frame', connection: this.id, frame: decoded.value, claims })
  }

  answerAs(member: Member): void {
    const challenge = this.frame('challenge')
    if (challenge === undefined) return
    this.say(answerChallenge(challenge, member.login, new Uint8Array(32).fill(5), this.#relay.sodium))
  }

  /** Reads the mailboxes that these open, in this order. */
  read(...secrets: readonly Uint8Array[]): void {
    if (this.frame('welcome') !== undefined) this.say({ type: 'open', secrets })
  }

  send(...packets: readonly Uint8Array[]): void {
    this.say({ type: 'send', packets })
  }

  outcome(packet: PacketId): string | undefined {
    const [first] = this.answers.get(packet) ?? []
    return first?.outcome === 'refused' ? first.reason : first?.outcome
  }

  /** Everything that was delivered so far is safe. */
  acknowledge(): void {
    this.#safe = this.got.at(-1)?.sequence ?? 0
    this.say({ type: 'ack', sequence: this.#safe })
  }
}

/** The core uses a packet's memory again once it is durable. */
const copyOf = (operation: Operation): Operation =>
  operation.type === 'packet' ? { ...operation, packet: new Uint8Array(operation.packet) } : operation

/** What survives a crash, as the relay's start would find it. */
export class Disk {
  /** By mesh and mailbox. */
  #packets = new Map<string, Map<number, { expiresMs: number; packet: Uint8Array }>>()
  #lost = new Map<string, { count: number; atMs: number }>()
  #logins = new Map<KeyName, LoginRecord>()
  /** Whether each is barred. */
  #meshes = new Map<MeshId, boolean>()
  #revoked: { mesh: MeshId; role: 'login' | 'admin'; key: KeyName }[] = []
  #spent = new Set<string>()
  readonly #slots = new Map<string, Extract<Operation, { type: 'slot' }>>()
  readonly vaults = new VaultDisk()
  #counter = 0

  copy(): Disk {
    const copy = new Disk()
    copy.#packets = new Map([...this.#packets].map(([place, packets]) => [place, new Map(packets)]))
    copy.#logins = new Map(this.#logins)
    copy.#lost = new Map(this.#lost)
    copy.#meshes = new Map(this.#meshes)
    copy.#revoked = [...this.#revoked]
    copy.#spent = new Set(this.#spent)
    for (const [place, slot] of this.#slots) copy.#slots.set(place, slot)
    copy.#counter = this.#counter
    this.vaults.copyTo(copy.vaults)
    return copy
  }

  apply(operation: Operation): void {
    switch (operation.type) {
      case 'packet': {
        const { mesh, mailbox, sequence, expiresMs, packet } = operation
        const place = mesh + mailbox
        const packets = this.#packets.get(place) ?? new Map<number, { expiresMs: number; packet: Uint8Array }>()
        this.#packets.set(place, packets.set(sequence, { expiresMs, packet }))
        return
      }
      case 'dropPacket':
        this.#packets.get(operation.mesh + operation.mailbox)?.delete(operation.sequence)
        return
      case 'login':
        this.#logins.set(operation.login, operation.record)
        return
      case 'dropLogin':
        this.#logins.delete(operation.login)
        return
      case 'lost': {
        const { mesh, mailbox, count, atMs } = operation
        if (count === 0) this.#lost.delete(mesh + mailbox)
        else this.#lost.set(mesh + mailbox, { count, atMs })
        return
      }
      case 'slot':
        this.#slots.set(operation.mesh + operation.slot, operation)
        return
      case 'vaultChunk':
      case 'dropVaultChunks':
      case 'vaultSnapshot':
      case 'dropVaultSnapshot':
        return this.vaults.apply(operation)
      case 'mesh':
        this.#meshes.set(operation.mesh, operation.barred)
        return
      case 'revoked':
        this.#revoked.push(operation)
        return
      case 'counter':
        this.#counter = operation.counter
        return
      case 'claimSpent':
        this.#spent.add(operation.claim)
        return
    }
  }

  read(mesh: MeshId, mailbox: MailboxId, first: number, last: number): { sequence: number; packet: Uint8Array }[] {
    return [...(this.#packets.get(mesh + mailbox) ?? [])]
      .filter(([sequence]) => sequence >= first && sequence <= last)
      .map(([sequence, { packet }]) => ({ sequence, packet }))
      .toSorted((a, b) => a.sequence - b.sequence)
  }

  *packets(): Generator<Uint8Array> {
    for (const packets of this.#packets.values()) for (const { packet } of packets.values()) yield packet
  }

  load(relay: RelayId, generation: Uint8Array, limits: RelayLimits, sodium: Sodium): RelayState {
    const state = newRelay(relay, generation, this.#counter, limits)
    for (const claim of this.#spent) state.spentClaims.add(claim)
    for (const [mesh, barred] of this.#meshes) state.meshes.set(mesh, { ...newMesh(mesh), barred })
    for (const { mesh, role, key } of this.#revoked) {
      const known = state.meshes.get(mesh)
      if (role === 'login') known?.revokedLogins.add(key)
      else known?.revokedAdmins.add(key)
    }
    for (const { mesh, slot, counter, blob } of this.#slots.values())
      state.meshes.get(mesh)?.slots.set(slot, foundSlot(slot, counter, blob, sodium))
    for (const { mesh: id, vault, snapshot } of this.vaults.snapshots.values()) {
      const mesh = state.meshes.get(id)
      if (mesh !== undefined) foundSnapshot(mesh, vault, snapshot)
    }
    for (const { mesh: id, vault, chunk, kept, bytes } of this.vaults.chunks.values()) {
      const mesh = state.meshes.get(id)
      if (mesh !== undefined) foundChunk(mesh, vault, chunk, { kept, bytes: bytes.length })
    }
    for (const [name, record] of this.#logins) {
      const mesh = state.meshes.get(record.mesh)
      if (mesh === undefined) continue
      mesh.logins += 1
      state.logins.set(name, loginOf(name, mesh, record, true))
    }
    const mailboxAt = (place: string): Mailbox | undefined => {
      const mesh = state.meshes.get(place.slice(0, 64) as MeshId)
      return mesh === undefined ? undefined : mailboxIn(mesh, place.slice(64) as MailboxId)
    }
    for (const [place, { count, atMs }] of this.#lost) {
      const mailbox = mailboxAt(place)
      if (mailbox !== undefined) Object.assign(mailbox, { lost: count, lostMs: atMs })
    }
    for (const [place, packets] of this.#packets) {
      const mailbox = packets.size === 0 ? undefined : mailboxAt(place)
      if (mailbox === undefined) continue
      for (const [sequence, { expiresMs, packet }] of [...packets].toSorted(([a], [b]) => a - b))
        foundPacket(mailbox, sequence, expiresMs, packet.length)
    }
    return state
  }
}
