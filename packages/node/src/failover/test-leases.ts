import { toHex } from '@sealmesh/protocol/bytes'
import type { DocumentName } from '@sealmesh/protocol/crdt/block'
import { Failure } from '@sealmesh/protocol/errors'
import { leaseKeyOf, leaseSlotOf, type LeaseBlob, openLease, sealLease } from '@sealmesh/protocol/failover/lease-blob'
import type { AgentId, IncarnationId, NodeId, PacketId, RelayId, SlotId } from '@sealmesh/protocol/ids'
import { SINGLE_WRITER_LAYERS } from '@sealmesh/protocol/membership/access'
import { MembershipLog } from '@sealmesh/protocol/membership/log'
import type { FailoverMode } from '@sealmesh/protocol/membership/record'
import type { Sodium } from '@sealmesh/protocol/sodium'
import { decodePayload } from '@sealmesh/protocol/sync/payload'
import { unwrapPayload } from '@sealmesh/protocol/sync/payload-form'
import { hashOfBlob, SLOT_BLOB_BYTES } from '@sealmesh/protocol/wire/slot'
import type { z } from 'zod'
import { TestMesh, type TestNode } from '../documents/fixture.ts'
import { LogKeeper, storedRecord } from '../membership/log-keeper.ts'
import type { RecordStore } from '../store/record-store.ts'
import type { Meta } from '../store/meta.ts'
import { ZlibDeflater } from '../sync/zlib-deflater.ts'
import { Failover, type FailoverNews } from './failover.ts'
import { LeaseStore } from './lease-store.ts'
import type { SlotSeen, SlotWritten, Witness } from './witness.ts'

const RELAY = 'e1'.repeat(32) as RelayId

/** For tests: what keeps the registers, with what may go wrong on the way to it. */
export class TestWitness {
  generation = 'first'
  slots = new Map<SlotId, { readonly blob: Uint8Array; readonly sinceMs: number; readonly counter: number }>()
  /** By node: `refused` and nothing is written, or written and `unanswered`. */
  readonly sets = new Map<NodeId, 'refused' | 'unanswered'>()
  readonly #sodium: Sodium

  constructor(sodium: Sodium) {
    this.#sodium = sodium
  }

  of(node: NodeId, isCut: () => boolean): Witness {
    const reach = async (): Promise<void> => {
      if (isCut()) throw new Failure('RELAY_UNREACHABLE', 'cut off')
    }
    return {
      blobBytes: SLOT_BLOB_BYTES,
      read: async (slot) => {
        await reach()
        return this.#seen(slot)
      },
      set: async (slot, expected, blob, leastAgeMs) => {
        await reach()
        const how = this.sets.get(node)
        if (how === 'refused') throw new Failure('DISK_FULL', 'refused')
        const written = this.#set(slot, expected, blob, leastAgeMs)
        if (how === 'unanswered') throw new Failure('RELAY_UNREACHABLE', 'no answer')
        return written
      },
    }
  }

  #set(slot: SlotId, expected: Uint8Array | null, blob: Uint8Array, leastAgeMs: number): SlotWritten {
    const before = this.slots.get(slot)
    const hash = before === undefined ? null : hashOfBlob(before.blob, this.#sodium)
    if ((hash && toHex(hash)) !== (expected && toHex(expected))) return { ...this.#seen(slot), result: 'differs' }
    if (before !== undefined && Date.now() - before.sinceMs < leastAgeMs)
      return { ...this.#seen(slot), result: 'young' }
    this.slots.set(slot, { blob, sinceMs: Date.now(), counter: (before?.counter ?? 0) + 1 })
    return { ...this.#seen(slot), result: 'set' }
  }

  #seen(slot: SlotId): SlotSeen {
    const blob = this.slots.get(slot)?.blob ?? null
    const hash = blob && hashOfBlob(blob, this.#sodium)
    return {
      hash,
      blob,
      counter: this.slots.get(slot)?.counter ?? 0,
      witness: { relays: RELAY, generation: this.generation },
    }
  }
}

export interface TestMachine {
  readonly node: TestNode
  readonly log: LogKeeper
  readonly store: LeaseStore
  readonly failover: Failover
  readonly news: FailoverNews[]
  readonly warned: unknown[]
  isCut: boolean
  /** Its packets go nowhere. */
  isMute: boolean
  /** What the relay has for it stays there. */
  isDeaf: boolean
  /** The relay in use is not the one that keeps leases. */
  isElsewhere: boolean
  /** What it has; it tells nobody. */
  documents: readonly DocumentName[]
}

/**
 * For tests: failover as it is, at home and in the office (and on the laptop), with one witness in between and the
 * clock of vitest. Nobody but failover says anything to another: records pass with its words, or by `meet`.
 */
export class TestLeases {
  readonly mesh: TestMesh
  witness: Pick<TestWitness, 'of' | 'slots' | 'generation' | 'sets'>
  readonly sodium: Sodium
  readonly #machines = new Map<NodeId, TestMachine>()
  readonly #disks = new Map<NodeId, Map<string, unknown>>()
  #runs = 0

  constructor(sodium: Sodium, mode: FailoverMode = 'auto', hosts?: (mesh: TestMesh) => readonly TestNode[]) {
    this.sodium = sodium
    this.mesh = new TestMesh(sodium)
    this.witness = new TestWitness(sodium)
    if (hosts !== undefined) this.mesh.host(hosts(this.mesh))
    const { mesh, agent } = this
    for (const layer of SINGLE_WRITER_LAYERS)
      mesh.append({ type: 'grant', agent, layer, to: { type: 'standby' }, access: 'read' }, 'agent')
    mesh.append({ type: 'witness', relays: [RELAY], profile: 'fast' }, 'root')
    mesh.append({ type: 'failover', agent, mode, durability: 'available' }, 'agent')
  }

  get agent(): AgentId {
    return this.mesh.agent
  }

  /** Also once more, after `crash`, on the same disk. */
  async start(node: TestNode): Promise<TestMachine> {
    const { sodium } = this
    const disk = this.#disks.get(node.id) ?? new Map<string, unknown>()
    this.#disks.set(node.id, disk)
    const stored = (disk.get('records') as Uint8Array[] | undefined) ?? []
    const known = [...this.mesh.mesh.records.values(), ...stored.map((bytes) => storedRecord(bytes, sodium))]
    const begun = new Map(known.map((record) => [record.hash, record]))
    const records = {
      put: async (put: readonly { readonly bytes: Uint8Array }[]) =>
        void disk.set('records', [...((disk.get('records') as Uint8Array[]) ?? []), ...put.map(({ bytes }) => bytes)]),
    } as unknown as RecordStore
    const log = new LogKeeper({
      log: MembershipLog.restore(this.mesh.id, [...begun.values()], sodium),
      records,
      sodium,
      now: Date.now,
    })
    const store = await LeaseStore.load(metaOn(disk))
    const seed = ++this.#runs
    let drawn = 0
    const random = (bytes: number): Uint8Array =>
      sodium.hash([Uint8Array.of(seed, drawn >> 8, drawn++ & 255)], Math.max(16, bytes)).subarray(0, bytes)
    const news: FailoverNews[] = []
    const warned: unknown[] = []
    const packets = new Map<Uint8Array, { readonly to: NodeId; readonly payload: Uint8Array; readonly id: PacketId }>()
    const machine = {
      node,
      log,
      store,
      news,
      warned,
      isCut: false,
      isMute: false,
      isDeaf: false,
      isElsewhere: false,
      documents: [],
    } as unknown as TestMachine & {
      failover: Failover
    }
    machine.failover = new Failover({
      node: node.id,
      incarnation: toHex(random(16)) as IncarnationId,
      signKey: node.keys.secretKey,
      sodium,
      random,
      dice: () => 0.5,
      moment: () => ({ monotonicMs: Date.now(), uptimeMs: Date.now() }),
      now: Date.now,
      log,
      documents: { names: () => [...machine.documents], open: () => Promise.reject(new Error('there are none')) },
      sync: {
        settled: async () => true,
        standings: () => [],
        heard: () => [...this.mesh.mesh.nodes.keys()].map((each) => ({ node: each, atMs: 0 })),
        quietly: (work) => work(),
      },
      port: {
        seal: (to, payload) => {
          const packet = { id: toHex(random(16)) as PacketId, bytes: Uint8Array.from(payload) }
          packets.set(packet.bytes, { to, payload, id: packet.id })
          return packet
        },
      },
      link: {
        send: (bytes) => {
          const packet = packets.get(bytes)
          if (machine.isCut || machine.isMute || packet === undefined) return 'down'
          queueMicrotask(() => {
            machine.failover.onLinkEvent({
              type: 'answer',
              packet: packet.id,
              outcomes: [{ recipient: 0, outcome: 'stored' }] as never,
            })
            const other = this.#machines.get(packet.to)
            if (other?.isCut === false && !other.isDeaf) void this.#opened(machine, other, packet.payload)
          })
          return 'sent'
        },
        link: () => undefined,
        names: (relay) => relay === RELAY,
        drained: async () => {
          if (machine.isCut) throw new Error('cut off')
        },
      },
      store,
      journal: { add: async () => undefined },
      health: { facts: { rolledBack: null, copied: null, lost: null, events: [] }, rolledBack: async () => undefined },
      told: (_, told) => void news.push(told),
      logger: { info: () => undefined, warn: (said: unknown) => void warned.push(said), error: () => undefined },
      witness: () => (machine.isElsewhere ? null : this.witness.of(node.id, () => machine.isCut)),
    })
    log.onChange(() => machine.failover.meshChanged())
    this.#machines.set(node.id, machine)
    machine.failover.start()
    return machine
  }

  /** Cut off for good; what it had on its disk stays. */
  crash(machine: TestMachine): void {
    machine.isCut = true
    machine.failover.standby.close()
    machine.failover.own.close()
    machine.failover.acting.close()
    this.#machines.delete(machine.node.id)
  }

  /** Its disk is gone. */
  lose(machine: TestMachine): void {
    this.crash(machine)
    this.#disks.delete(machine.node.id)
  }

  /** All that one of them knows of the log, both know. */
  async meet(a: TestMachine, b: TestMachine): Promise<void> {
    const [ofA, ofB] = [a, b].map(({ log }) => [...log.mesh.records.values()].map(({ bytes }) => bytes))
    await a.log.receive(ofB!)
    await b.log.receive(ofA!)
  }

  slotOf(owner: TestNode): SlotId {
    return leaseSlotOf(this.#key, owner.id, this.sodium)
  }

  register(owner: TestNode): LeaseBlob | null {
    const key = this.#key
    const blob = this.witness.slots.get(this.slotOf(owner))?.blob
    const opened = blob && openLease(blob, owner.id, key, this.sodium)
    return opened?.ok === true ? opened.value : null
  }

  /** As if somebody had written this over what lies there, or is there for the first time. */
  put(owner: TestNode, change: Partial<LeaseBlob>): void {
    const empty: LeaseBlob = {
      node: owner.id,
      incarnation: '1c'.repeat(16) as IncarnationId,
      count: 0,
      leaseMs: 6_000,
      state: { type: 'renewed' },
      held: [],
      handed: [],
      taken: [],
    }
    const blob = { ...(this.register(owner) ?? empty), ...change }
    const sealed = sealLease(blob, this.#key, new Uint8Array(24).fill(++this.#runs), this.sodium)
    if (!sealed.ok) throw new Error(sealed.error.code)
    const slot = this.slotOf(owner)
    const counter = (this.witness.slots.get(slot)?.counter ?? 0) + 1
    this.witness.slots.set(slot, { blob: sealed.value, sinceMs: Date.now(), counter })
  }

  get #key() {
    const [found] = this.mesh.mesh.records.keys()
    return leaseKeyOf(this.mesh.id, found!, this.sodium)
  }

  async #opened(from: TestMachine, to: TestMachine, payload: Uint8Array): Promise<void> {
    const plain = unwrapPayload(payload, new ZlibDeflater())
    const items = plain.ok ? decodePayload(plain.value) : plain
    if (!items.ok) throw new Error(items.error.code)
    for (const item of items.value) {
      if (item.type === 'records') await to.log.receive(item.records)
      if (item.type === 'failover') to.failover.onItem(from.node.id, item, !to.log.knows(from.log.mesh.heads))
    }
  }
}

/** Named values in memory, as JSON, so that nothing comes back that could not be stored. */
export function metaOn(disk: Map<string, unknown>): Meta {
  return {
    read: async <T>(name: string, schema: z.ZodType<T>) => {
      const text = disk.get(name)
      return text === undefined ? undefined : schema.parse(JSON.parse(text as string))
    },
    write: async <T>(name: string, schema: z.ZodType<T>, value: T) =>
      void disk.set(name, JSON.stringify(schema.parse(value))),
    delete: async (name: string) => void disk.delete(name),
    readBytes: async (name: string) => disk.get(name),
    writeAll: async (values: readonly (readonly [string, Uint8Array])[]) => {
      for (const [name, bytes] of values) disk.set(name, bytes)
    },
  } as unknown as Meta
}
