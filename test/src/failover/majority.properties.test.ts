import { MajorityWitness } from '@sealmesh/node/failover/majority-witness'
import type { SlotSeen, SlotWritten, Witness } from '@sealmesh/node/failover/witness'
import { toHex } from '@sealmesh/protocol/bytes'
import { type LeaseKey, leaseKeyOf, SHARED_LEASE_BYTES } from '@sealmesh/protocol/failover/lease-blob'
import type { RecordHash, SlotId } from '@sealmesh/protocol/ids'
import type { Sodium } from '@sealmesh/protocol/sodium'
import { seededDice } from '@sealmesh/protocol/test-dice'
import { hashOfBlob, SLOT_BLOB_BYTES } from '@sealmesh/protocol/wire/slot'
import { loadSodium } from '@sealmesh/sodium/load'
import { setImmediate as turn, setTimeout as pause } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { type Member, TestMesh } from '../relay/mesh.ts'
import { type Client, SimulatedRelay } from '../relay/simulated-relay.ts'

/**
 * Three nodes and three relays, whose cores are the real ones, at random: questions and answers that are late, in
 * another order, or lost, relays that crash. All that was set stands in one row, whoever is told `set`, `differs` or
 * what is there was told of a place in it that fits the time, and nothing is replaced before it is old enough.
 */
const RUNS = Number(process.env['SEALMESH_MAJORITY_RUNS'] ?? 60)
const QUESTIONS = 50
const SLOT = '5a'.repeat(32) as SlotId
const LEAST_AGE_MS = 2_000

/** What a value says: over which one it was set, by whom, asked when. */
interface Value {
  readonly blob: Uint8Array
  readonly over: string
  readonly askedAt: number
  readonly askedMs: number
  readonly leastAgeMs: number
}

interface Told {
  readonly hash: string
  readonly askedAt: number
  readonly toldAt: number
  readonly toldMs: number
}

const NOTHING = 'nothing'

test(`${RUNS} random histories of a register of three relays are one history`, { timeout: 300_000 }, async () => {
  const sodium = await loadSodium()
  const seen = { sets: 0, alone: 0, young: 0 }
  for (let run = 1; run <= RUNS; run++) await history(run, sodium, seen)
  expect(seen.sets).toBeGreaterThan(RUNS * 5)
  expect(seen.young).toBeGreaterThan(RUNS / 4)
  // Two relays go on without the third.
  expect(seen.alone).toBeGreaterThan(RUNS / 4)
})

async function history(
  run: number,
  sodium: Sodium,
  count: { sets: number; alone: number; young: number },
): Promise<void> {
  const dice = seededDice(run)
  const below = (max: number): number => Math.floor(dice() * max)
  const world = new World(sodium, `majority ${run}`, below)
  const key = leaseKeyOf(world.mesh.id, 'ab'.repeat(32) as RecordHash, sodium)
  const witnesses = [0, 1, 2].map((node) => world.witnessOf(node, key, below))
  const values = new Map<string, Value>()
  const told: Told[] = []
  const sets: { hash: string; toldAt: number; toldMs: number }[] = []
  let steps = 0
  const latest = [NOTHING, NOTHING, NOTHING]
  const nameOf = (hash: Uint8Array | null) => (hash === null ? NOTHING : toHex(hash))
  const ask = async (node: number): Promise<void> => {
    const [askedAt, askedMs] = [steps, world.nowMs]
    const hear = ({ hash }: SlotSeen) => {
      latest[node] = nameOf(hash)
      told.push({ hash: nameOf(hash), askedAt, toldAt: steps, toldMs: world.nowMs })
    }
    if (below(3) === 0) return hear(await witnesses[node]!.read(SLOT))
    const blob = Uint8Array.from({ length: SHARED_LEASE_BYTES }, () => below(256))
    const over = latest[node]!
    const leastAgeMs = below(3) === 0 ? LEAST_AGE_MS : 0
    values.set(nameOf(hashOfBlob(blob, sodium)), { blob, over, askedAt, askedMs, leastAgeMs })
    const expected = over === NOTHING ? null : Buffer.from(over, 'hex')
    const said = await witnesses[node]!.set(SLOT, expected, blob, leastAgeMs)
    if (said.result === 'young') count.young += 1
    if (said.result === 'set') {
      count.sets += 1
      if (world.isDown.filter(Boolean).length > 0) count.alone += 1
      sets.push({ hash: nameOf(said.hash), toldAt: steps, toldMs: world.nowMs })
    }
    hear(said)
  }
  const asked: Promise<void>[] = []
  const busy = [false, false, false]
  for (let questions = 0; questions < QUESTIONS || world.events.length > 0; steps++) {
    const node = below(3)
    if (questions < QUESTIONS && !busy[node] && below(24) === 0) {
      questions += 1
      busy[node] = true
      const ended = () => void (busy[node] = false)
      asked.push(ask(node).then(ended, ended))
    }
    if (questions >= QUESTIONS) world.isDown.fill(false)
    world.step(questions < QUESTIONS)
    await turn()
    if (world.events.length === 0 && busy.some(Boolean)) await pause(1)
  }
  world.isQuiet = true
  await Promise.all([...asked, world.drain()])
  const last = await Promise.all([witnesses[0]!.read(SLOT), world.drain()]).then(([{ hash }]) => nameOf(hash))

  // All that was ever there, the newest first.
  const row: string[] = []
  for (let at = last; at !== NOTHING; at = values.get(at)!.over) {
    expect(row, `run ${run}: a value twice`).not.toContain(at)
    row.push(at)
  }
  row.push(NOTHING)
  const placeOf = (hash: string) => row.length - 1 - row.indexOf(hash)
  for (const { hash } of sets) expect(row, `run ${run}: what was set is not in the row`).toContain(hash)
  for (const each of told) {
    expect(row, `run ${run}: somebody was told of what never was`).toContain(each.hash)
    // Nobody is told of an older one than was told, or set, before he asked.
    for (const before of told)
      if (before.toldAt < each.askedAt)
        expect(placeOf(each.hash), `run ${run}: an old value`).toBeGreaterThanOrEqual(placeOf(before.hash))
    const value = values.get(each.hash)
    if (value !== undefined)
      expect(value.askedAt, `run ${run}: before it was asked for`).toBeLessThanOrEqual(each.toldAt)
  }
  for (const { hash, toldMs } of sets) {
    const value = values.get(hash)!
    const replaced = values.get(value.over)
    if (replaced !== undefined && value.leastAgeMs > 0)
      expect(toldMs - replaced.askedMs, `run ${run}: replaced before its time`).toBeGreaterThanOrEqual(value.leastAgeMs)
  }
}

/** Three relays, and the cables of three nodes to each of them. */
class World {
  readonly mesh: TestMesh
  readonly events: (() => void)[] = []
  readonly isDown = [false, false, false]
  isQuiet = false
  nowMs = 0
  readonly #relays: SimulatedRelay[]
  readonly #members: Member[]
  readonly #clients: Client[][]
  readonly #below: (max: number) => number
  readonly #sodium: Sodium
  #requests = 0
  #draining = false

  constructor(sodium: Sodium, name: string, below: (max: number) => number) {
    this.#sodium = sodium
    this.#below = below
    this.mesh = new TestMesh(sodium, name)
    this.#members = ['alice', 'bob', 'carol'].map((member) => this.mesh.member(member))
    this.#relays = [0, 1, 2].map(() => new SimulatedRelay(sodium))
    for (const relay of this.#relays) relay.admit(this.mesh.id)
    this.#clients = this.#relays.map((relay) => this.#members.map((member) => relay.login(member)))
  }

  witnessOf(node: number, key: LeaseKey, below: (max: number) => number): MajorityWitness {
    const part = (relay: number): Witness => ({
      blobBytes: SLOT_BLOB_BYTES,
      read: (slot) => this.#ask(relay, node, { type: 'readSlot', slot }),
      set: (slot, expected, blob, leastAgeMs) =>
        this.#ask(relay, node, { type: 'setSlot', slot, expected, blob, leastAgeMs }),
    })
    const random = (bytes: number) => Uint8Array.from({ length: bytes }, () => below(256))
    const relays = ['a', 'b', 'c'] as const
    return new MajorityWitness({
      parts: [part(0), part(1), part(2)],
      relays,
      key,
      sodium: this.#sodium,
      random,
      dice: () => 0,
      before: null,
    })
  }

  /** Whatever may happen next, at random; with `faults` a crash, an outage, a loss among it. */
  step(faults: boolean): void {
    const below = this.#below
    this.#pass(below(faults ? 400 : 100))
    if (faults && below(60) === 0) this.#crash(below(3))
    if (faults && below(25) === 0) {
      const at = below(3)
      // One at a time, mostly.
      this.isDown[at] = !this.isDown[at] && (this.isDown.every((down) => !down) || below(4) === 0)
    }
    const [event] = this.events.splice(below(this.events.length), 1)
    event?.()
  }

  /** Everything that is under way arrives, and what follows from it, for as long as somebody waits for it. */
  async drain(): Promise<void> {
    if (this.#draining) return
    this.#draining = true
    for (let idle = 0; idle < 20; idle++) {
      while (this.events.length > 0) {
        this.step(false)
        idle = 0
        await turn()
      }
      await pause(1)
    }
    this.#draining = false
  }

  #pass(ms: number): void {
    this.nowMs += ms
    for (const relay of this.#relays) relay.nowMs += ms
  }

  #crash(at: number): void {
    const relay = this.#relays[at]!
    relay.crash()
    this.#clients[at] = this.#members.map((member) => relay.login(member))
  }

  #ask(
    at: number,
    node: number,
    question:
      | { type: 'readSlot'; slot: SlotId }
      | { type: 'setSlot'; slot: SlotId; expected: Uint8Array | null; blob: Uint8Array; leastAgeMs: number },
  ): Promise<SlotWritten> {
    const request = ++this.#requests
    const isLost = () => !this.isQuiet && (this.isDown[at] === true || this.#below(30) === 0)
    return new Promise((resolve, reject) => {
      const lost = () => this.events.push(() => reject(new Error('no answer')))
      this.events.push(() => {
        if (isLost()) return lost()
        const relay = this.#relays[at]!
        const client = this.#clients[at]![node]!
        client.say({ ...question, request, nonce: new Uint8Array(16) })
        this.events.push(() => {
          relay.settle()
          const answer = client.frames.find((frame) => frame.type === 'slot' && frame.request === request)
          if (answer?.type !== 'slot' || isLost()) return lost()
          const blob = answer.result === 'set' && question.type === 'setSlot' ? question.blob : answer.blob
          const hash = blob === null ? null : hashOfBlob(blob, this.#sodium)
          const witness = { relays: `${at}`, generation: 'one' }
          const result = answer.result === 'read' ? 'set' : answer.result
          this.events.push(() => resolve({ result, hash, blob, witness }))
        })
      })
    })
  }
}
