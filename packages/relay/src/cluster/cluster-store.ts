import { setTimeout as delay } from 'node:timers/promises'
import type { ChunkId, MailboxId, MeshId, VaultId } from '@sealmesh/protocol/ids'
import type { NumberedPacket } from '@sealmesh/protocol/wire/packets'
import type { Operation } from '../core/event.ts'
import type { KeyName } from '../core/key-name.ts'
import type { StoreEvents } from '../store/store.ts'
import type { ClusterTally } from './cluster-tally.ts'
import { Forgetting } from './forgetting.ts'
import { BATCH_BYTES_MAX, BATCH_MESSAGES_MAX, type LogMessage, type LogPart, type MeshLog } from './log.ts'
import { Places } from './places.ts'
import { chunkRowOf, type LoadedMesh, packetOf, rowOf, snapshotOf } from './rows.ts'
import { packetSubject, SHARDS, shardOf } from './subjects.ts'

export interface ClusterStoreDeps {
  readonly log: MeshLog
  readonly events: StoreEvents
  /** Another instance has the mesh, or what became of a write is not known: it is not served from here any more. */
  readonly onLost: (mesh: MeshId) => void
  readonly now: () => number
  readonly tally: ClusterTally
}

/** A mesh whose home this instance is, from one taking on. */
interface Homed {
  readonly mesh: MeshId
  readonly shard: number
  readonly fence: number
  readonly packets: Map<MailboxId, Places>
  readonly chunks: Map<string, number>
  isAlive: boolean
}

interface Item {
  readonly homed: Homed
  readonly operations: readonly Operation[]
  readonly receipt: number | null
  readonly bytes: number
}

/** What nobody waits for is written after this long at the latest. */
const LOOSE_WAIT_MS = 100
/** How long a batch is tried that JetStream refuses, because it has no leader or is busy. */
const RETRY_FOR_MS = 10_000
const RETRY_MS = 200
/** Beyond what waits for JetStream nothing more is taken; below half of it again. */
const WAITING_BYTES_MAX = 64 * 1_048_576
const CLOSE_WAIT_MS = 4_000

/**
 * The relay's store on JetStream: the operations of one loop turn go as one atomic batch to each shard, one after
 * another. A batch is stored only while this instance is home of every mesh in it, so that whoever takes a mesh over
 * finds all that was ever answered, and nothing is added behind its back.
 */
export class ClusterStore {
  readonly #deps: ClusterStoreDeps
  readonly #forgetting: Forgetting
  readonly #homed = new Map<MeshId, Homed>()
  readonly #meshOf = new Map<KeyName, MeshId>()
  readonly #queues: Item[][] = Array.from({ length: SHARDS }, () => [])
  readonly #writing: (Promise<void> | null)[] = Array.from({ length: SHARDS }, () => null)
  #soon: NodeJS.Immediate | null = null
  #later: NodeJS.Timeout | null = null
  #waitingBytes = 0
  #isFull = false

  constructor(deps: ClusterStoreDeps) {
    this.#deps = deps
    this.#forgetting = new Forgetting(deps.log)
  }

  /** This instance is home of the mesh from here on. */
  add(mesh: MeshId, fence: number, loaded: LoadedMesh): void {
    const packets: Homed['packets'] = new Map()
    for (const [mailbox, places] of loaded.packets) packets.set(mailbox, new Places(places))
    for (const { name } of loaded.logins) this.#meshOf.set(name, mesh)
    const chunks = new Map(loaded.chunks)
    this.#homed.set(mesh, { mesh, shard: shardOf(mesh), fence, packets, chunks, isAlive: true })
  }

  /** Not any more. What waits for it fails. */
  drop(mesh: MeshId): void {
    const homed = this.#homed.get(mesh)
    if (homed === undefined) return
    homed.isAlive = false
    this.#homed.delete(mesh)
    for (const [login, at] of this.#meshOf) if (at === mesh) this.#meshOf.delete(login)
  }

  fenceOf(mesh: MeshId): number | undefined {
    return this.#homed.get(mesh)?.fence
  }

  /** Those of which it is home. */
  meshes(): readonly MeshId[] {
    return [...this.#homed.keys()]
  }

  /** What waits to be written. */
  get waitingBytes(): number {
    return this.#waitingBytes
  }

  persist(operations: readonly Operation[], receipt: number | null): void {
    if (operations.length === 0) {
      // What is nothing is durable; told in a later turn, like everything else.
      if (receipt !== null) setImmediate(() => this.#deps.events.onPersisted([receipt]))
      return
    }
    const mesh = this.#meshAt(operations)
    const homed = mesh === undefined ? undefined : this.#homed.get(mesh)
    if (homed === undefined) {
      if (receipt !== null) setImmediate(() => this.#deps.events.onFailed([receipt], 'DISK_FAILED'))
      return
    }
    for (const operation of operations) {
      if (operation.type === 'login') this.#meshOf.set(operation.login, homed.mesh)
      if (operation.type === 'dropLogin') this.#meshOf.delete(operation.login)
    }
    const bytes = operations.reduce((sum, operation) => sum + weightOf(operation), 0)
    this.#queues[homed.shard]?.push({ homed, operations, receipt, bytes })
    this.#weigh(bytes)
    if (receipt !== null) this.#soon ??= setImmediate(() => this.#flush())
    else this.#later ??= setTimeout(() => this.#flush(), LOOSE_WAIT_MS)
  }

  async read(mesh: MeshId, mailbox: MailboxId, first: number, last: number): Promise<NumberedPacket[]> {
    const homed = this.#homed.get(mesh)
    const held = homed?.packets.get(mailbox)
    if (homed === undefined || held === undefined) return []
    const sequences = new Map(held.between(first, last).map(({ sequence, place }) => [place, sequence]))
    const found = await this.#deps.log.read(homed.shard, packetSubject(mesh, mailbox), [...sequences.keys()])
    return found.map(({ place, payload }) => ({ sequence: sequences.get(place) ?? 0, packet: payload }))
  }

  readChunk(mesh: MeshId, vault: VaultId, chunk: ChunkId): Promise<Uint8Array | null> {
    return this.#deps.log.readChunk(mesh, vault, chunk)
  }

  /** What waits is written if JetStream takes it within a few seconds. */
  async close(): Promise<void> {
    const giveUp = new AbortController()
    const settled = (async () => {
      while (this.#queues.some((queue) => queue.length > 0) || this.#writing.some((each) => each !== null)) {
        if (giveUp.signal.aborted) return
        this.#flush()
        await Promise.race(this.#writing.filter((each) => each !== null))
      }
      await this.#forgetting.settle()
    })()
    await Promise.race([settled, delay(CLOSE_WAIT_MS, undefined, { signal: giveUp.signal }).catch(() => undefined)])
    giveUp.abort()
    if (this.#later !== null) clearTimeout(this.#later)
  }

  #flush(): void {
    if (this.#soon !== null) clearImmediate(this.#soon)
    if (this.#later !== null) clearTimeout(this.#later)
    this.#soon = null
    this.#later = null
    for (let shard = 0; shard < SHARDS; shard++) {
      if (this.#writing[shard] !== null || this.#queues[shard]?.length === 0) continue
      this.#writing[shard] = this.#drain(shard).finally(() => {
        this.#writing[shard] = null
      })
    }
  }

  async #drain(shard: number): Promise<void> {
    const queue = this.#queues[shard] ?? []
    while (queue.length > 0) {
      const items = takeGroup(queue)
      const startMs = this.#deps.now()
      await this.#write(shard, items)
      this.#weigh(-items.reduce((sum, { bytes }) => sum + bytes, 0))
      this.#deps.events.onGroup(
        items.reduce((sum, { operations }) => sum + operations.length, 0),
        this.#deps.now() - startMs,
      )
    }
  }

  async #write(shard: number, all: readonly Item[]): Promise<void> {
    const prepared = await Promise.all(all.map((item) => this.#prepare(item)))
    const items = prepared.filter((item) => item !== null)
    this.#fail(
      all.filter((_, at) => prepared[at] === null),
      'DISK_FAILED',
    )
    if (items.length === 0) return
    const ready = items.map(({ item }) => item)
    const { parts, where } = partsOf(items)
    const stored = await this.#append(shard, parts)
    if (stored === 'fenced' && parts.length > 1) {
      // One of them is another's now: each by itself shows which.
      for (const { mesh } of parts)
        await this.#write(
          shard,
          ready.filter(({ homed }) => homed.mesh === mesh),
        )
      return
    }
    if (stored === 'full') {
      // That a reader has them stays true, and makes room.
      for (const item of ready) this.#forgetPackets(item)
      return this.#fail(ready, 'DISK_FULL')
    }
    if (stored === 'fenced' || stored === 'unknown') {
      for (const { mesh } of parts) this.#lose(mesh)
      return this.#fail(ready, 'DISK_FAILED')
    }
    for (const { homed, mailbox, sequence, at } of where) {
      const held = homed.packets.get(mailbox) ?? new Places([])
      homed.packets.set(mailbox, held)
      held.add({ sequence, place: placeOf(stored, at) })
    }
    for (const { item } of items) this.#forget(item)
    const receipts = ready.flatMap(({ receipt }) => receipt ?? [])
    if (receipts.length > 0) this.#deps.events.onPersisted(receipts)
  }

  /** The places of the runs, in order, with how many each has. */
  async #append(shard: number, parts: readonly LogPart[]): Promise<Run[] | 'fenced' | 'full' | 'unknown'> {
    const runs: Run[] = []
    for (const run of inRuns(parts)) {
      const untilMs = this.#deps.now() + RETRY_FOR_MS
      for (;;) {
        const result = await this.#deps.log.append(shard, run)
        this.#deps.tally.batch(result)
        if (result.type === 'stored') {
          runs.push({ first: result.first, count: run.reduce((sum, { messages }) => sum + messages.length, 0) })
          break
        }
        if (result.type !== 'refused') return runs.length > 0 ? 'unknown' : result.type
        if (result.full) return runs.length > 0 ? 'unknown' : 'full'
        if (this.#deps.now() >= untilMs) return 'unknown'
        await delay(RETRY_MS)
      }
    }
    return runs
  }

  /** Puts what is not a row first: bytes of chunks, and the word that a claim is spent. Null: it cannot be written. */
  async #prepare(item: Item): Promise<Prepared | null> {
    const { homed, operations } = item
    if (!homed.isAlive) return null
    const { mesh } = homed
    const messages: LogMessage[] = []
    const last: LogMessage[] = []
    const packets: Prepared['packets'] = []
    try {
      for (const operation of operations) {
        switch (operation.type) {
          case 'packet':
            packets.push({ mailbox: operation.mailbox, sequence: operation.sequence, at: messages.length })
            messages.push(packetOf(operation))
            break
          case 'dropPacket':
            break
          case 'vaultChunk': {
            const { vault, chunk, bytes } = operation
            const place = await this.#deps.log.putChunk(mesh, vault, chunk, bytes)
            homed.chunks.set(`${vault}.${chunk}`, place)
            messages.push(chunkRowOf(mesh, vault, chunk, { kept: 0, bytes: bytes.length, place }))
            break
          }
          case 'vaultSnapshot': {
            const { vault, snapshot } = operation
            for (const { chunk, bytes } of operation.chunks) {
              const place = homed.chunks.get(`${vault}.${chunk}`) ?? 0
              messages.push(chunkRowOf(mesh, vault, chunk, { kept: snapshot.number, bytes, place }))
            }
            // With this one it is whole: in the last run, where there are several.
            last.push(snapshotOf(mesh, vault, snapshot))
            break
          }
          case 'dropVaultChunks':
            for (const chunk of operation.chunks) last.push(chunkRowOf(mesh, operation.vault, chunk, null))
            break
          case 'claimSpent':
            if (!(await this.#deps.log.spendClaim(operation.claim, mesh))) return null
            break
          default: {
            const row = rowOf(mesh, operation)
            if (row.kind === 'gone') last.push(row)
            else messages.push(row)
          }
        }
      }
    } catch {
      return null
    }
    return { item, messages: [...messages, ...last], packets }
  }

  /** What an item lets go of, after all that it keeps is durable. */
  #forget(item: Item): void {
    const { homed, operations } = item
    for (const operation of operations) {
      if (operation.type !== 'dropVaultChunks') continue
      const { mesh, vault } = operation
      for (const chunk of operation.chunks) {
        const place = homed.chunks.get(`${vault}.${chunk}`)
        homed.chunks.delete(`${vault}.${chunk}`)
        // Its row is gone: bytes that stay behind are only room.
        if (place !== undefined) this.#deps.log.dropChunk(mesh, vault, chunk, place).catch(() => undefined)
      }
    }
    this.#forgetPackets(item)
  }

  #forgetPackets({ homed, operations }: Item): void {
    const dropped = new Map<MailboxId, Set<number>>()
    for (const operation of operations) {
      if (operation.type !== 'dropPacket') continue
      const sequences = dropped.get(operation.mailbox) ?? new Set()
      dropped.set(operation.mailbox, sequences.add(operation.sequence))
    }
    for (const [mailbox, sequences] of dropped) {
      const held = homed.packets.get(mailbox)
      if (held === undefined) continue
      const { before, singles } = held.drop(sequences)
      if (before > 0) this.#forgetting.purge(homed.shard, packetSubject(homed.mesh, mailbox), before)
      for (const place of singles) this.#forgetting.remove(homed.shard, place)
      if (held.isEmpty) homed.packets.delete(mailbox)
    }
  }

  #lose(mesh: MeshId): void {
    if (!this.#homed.has(mesh)) return
    this.#deps.tally.lost += 1
    this.drop(mesh)
    this.#deps.onLost(mesh)
  }

  #fail(items: readonly Item[], reason: 'DISK_FULL' | 'DISK_FAILED'): void {
    const receipts = items.flatMap(({ receipt }) => receipt ?? [])
    if (receipts.length > 0) this.#deps.events.onFailed(receipts, reason)
  }

  #weigh(bytes: number): void {
    this.#waitingBytes += bytes
    const isFull = this.#isFull ? this.#waitingBytes > WAITING_BYTES_MAX / 2 : this.#waitingBytes > WAITING_BYTES_MAX
    if (isFull === this.#isFull) return
    this.#isFull = isFull
    this.#deps.events.onTrouble(isFull ? 'DISK_FAILED' : null, isFull ? 'JetStream is behind' : null)
  }

  #meshAt(operations: readonly Operation[]): MeshId | undefined {
    for (const operation of operations) {
      if (operation.type === 'login') return operation.record.mesh
      if (operation.type === 'dropLogin') {
        const mesh = this.#meshOf.get(operation.login)
        if (mesh !== undefined) return mesh
      } else if (operation.type !== 'claimSpent') return operation.mesh
    }
    return undefined
  }
}

interface Run {
  readonly first: number
  readonly count: number
}

interface Prepared {
  readonly item: Item
  readonly messages: readonly LogMessage[]
  /** Which of them are packets. */
  readonly packets: { readonly mailbox: MailboxId; readonly sequence: number; readonly at: number }[]
}

interface Placed {
  readonly homed: Homed
  readonly mailbox: MailboxId
  readonly sequence: number
  /** Counted over all parts. */
  readonly at: number
}

/** Of one mesh in a batch. */
interface Gathered {
  readonly homed: Homed
  readonly messages: LogMessage[]
  readonly rows: Map<string, number>
  readonly placed: Placed[]
}

/** As many items as a batch holds, and one at least. */
function takeGroup(queue: Item[]): Item[] {
  let messages = 0
  let bytes = 0
  let count = 0
  for (const item of queue) {
    messages += item.operations.reduce((sum, operation) => sum + messagesOf(operation), 0)
    bytes += item.bytes
    if (count > 0 && (messages > BATCH_MESSAGES_MAX || bytes > BATCH_BYTES_MAX)) break
    count += 1
  }
  return queue.splice(0, count)
}

/** By mesh; of rows with one subject the last, since a batch may replace a row once. */
function partsOf(items: readonly Prepared[]): { parts: LogPart[]; where: Placed[] } {
  const byMesh = new Map<MeshId, Gathered>()
  for (const { item, messages, packets } of items) {
    const { homed } = item
    const part: Gathered = byMesh.get(homed.mesh) ?? { homed, messages: [], rows: new Map(), placed: [] }
    byMesh.set(homed.mesh, part)
    const isPacket = new Map(packets.map((packet) => [packet.at, packet]))
    messages.forEach((message, index) => {
      const known = message.kind === 'packet' ? undefined : part.rows.get(message.subject)
      if (known !== undefined) return void (part.messages[known] = message)
      const packet = isPacket.get(index)
      if (packet !== undefined) part.placed.push({ homed, ...packet, at: part.messages.length })
      else part.rows.set(message.subject, part.messages.length)
      part.messages.push(message)
    })
  }
  const parts: LogPart[] = []
  const where: Placed[] = []
  let offset = 0
  for (const { homed, messages, placed } of byMesh.values()) {
    if (messages.length > 0) parts.push({ mesh: homed.mesh, fence: homed.fence, messages })
    for (const each of placed) where.push({ ...each, at: each.at + offset })
    offset += messages.length
  }
  return { parts, where }
}

/** One batch, or for what no batch holds several, one after another. */
function inRuns(parts: readonly LogPart[]): LogPart[][] {
  const runs: LogPart[][] = []
  let room = 0
  let bytes = 0
  for (const { mesh, fence, messages } of parts) {
    let from = 0
    while (from < messages.length) {
      if (room === 0 || bytes >= BATCH_BYTES_MAX) {
        runs.push([])
        room = BATCH_MESSAGES_MAX
        bytes = 0
      }
      let to = from
      while (to < messages.length && to - from < room && bytes < BATCH_BYTES_MAX)
        bytes += messages[to++]?.payload.length ?? 0
      runs.at(-1)?.push({ mesh, fence, messages: messages.slice(from, to) })
      room -= to - from
      from = to
    }
  }
  return runs
}

function placeOf(runs: readonly Run[], at: number): number {
  let left = at
  for (const { first, count } of runs) {
    if (left < count) return first + left
    left -= count
  }
  return 0
}

const messagesOf = (operation: Operation): number =>
  operation.type === 'vaultSnapshot' || operation.type === 'dropVaultChunks' ? operation.chunks.length + 1 : 1

const weightOf = (operation: Operation): number =>
  operation.type === 'packet' ? operation.packet.length : operation.type === 'vaultChunk' ? operation.bytes.length : 64
