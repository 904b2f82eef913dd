import type { SlotId } from '@sealmesh/protocol/ids'
import { seededDice } from '@sealmesh/protocol/test-dice'
import { contradict, hashOfBlob, SLOT_BLOB_BYTES, type SlotReceipt } from '@sealmesh/protocol/wire/slot'
import { loadSodium } from '@sealmesh/sodium/load'
import { expect, test } from 'vitest'
import { TestMesh } from './mesh.ts'
import { type Client, SimulatedRelay } from './simulated-relay.ts'

/**
 * Random questions about one slot by three nodes, while the disk is slow or fails and the relay crashes: no two answers
 * contradict, counters never fall, what was answered `set` is there after a crash, and no blob is replaced by who named
 * another or before its time. Clients remember all that they were told.
 */
const RUNS = Number(process.env['SEALMESH_SLOT_RUNS'] ?? 150)
const STEPS = 120
const SLOT = '5a'.repeat(32) as SlotId

test(`${RUNS} random histories of a slot`, async () => {
  const sodium = await loadSodium()
  let sets = 0
  for (let run = 0; run < RUNS; run++) {
    const dice = seededDice(run)
    const below = (count: number): number => Math.floor(dice() * count)
    const relay = new SimulatedRelay(sodium)
    const mesh = new TestMesh(sodium, `slots ${run}`)
    relay.admit(mesh.id)
    const members = ['alice', 'bob', 'carol'].map((name) => mesh.member(name))
    let clients = members.map((member) => relay.login(member))
    const asked = new Map<number, { blob: Uint8Array; expected: Uint8Array | null; leastAgeMs: number; atMs: number }>()
    const told: SlotReceipt[] = []
    /** Since when the blob of a counter had lain there, at the latest. */
    const knownSinceMs = new Map<number, number>()
    let request = 0
    let highest = 0
    const hear = (client: Client): void => {
      for (const frame of client.frames.splice(0)) {
        if (frame.type !== 'slot') continue
        const question = asked.get(frame.request)!
        const { result, counter, ageMs } = frame
        const blob = result === 'set' ? question.blob : frame.blob
        const hash = blob === null ? null : hashOfBlob(blob, sodium)
        const { relay: id, generation } = relay.state
        const receipt = {
          relay: id,
          generation,
          mesh: mesh.id,
          slot: SLOT,
          nonce: new Uint8Array(16),
          result,
          counter,
          ageMs,
          hash,
        }
        for (const before of told) expect(contradict(before, receipt), `run ${run}`).toBe(false)
        told.push(receipt)
        expect(counter, `run ${run}: a counter fell`).toBeGreaterThanOrEqual(highest)
        highest = counter
        if (result !== 'set') continue
        sets += 1
        const replaced = told.find((each) => each.counter === counter - 1)
        if (replaced !== undefined) expect(replaced.hash).toEqual(question.expected)
        const sinceMs = knownSinceMs.get(counter - 1)
        if (sinceMs !== undefined && question.leastAgeMs > 0)
          expect(relay.nowMs - sinceMs, `run ${run}: replaced before its time`).toBeGreaterThanOrEqual(
            question.leastAgeMs,
          )
        knownSinceMs.set(counter, question.atMs)
      }
    }
    for (let step = 0; step < STEPS; step++) {
      const client = clients[below(clients.length)]!
      const dieRoll = below(20)
      if (dieRoll < 6) {
        request += 1
        asked.set(request, { blob: new Uint8Array(), expected: null, leastAgeMs: 0, atMs: relay.nowMs })
        client.say({ type: 'readSlot', request, nonce: new Uint8Array(16), slot: SLOT })
      } else if (dieRoll < 13) {
        request += 1
        const blob = new Uint8Array(SLOT_BLOB_BYTES)
        new DataView(blob.buffer).setUint32(0, request)
        const expected = told.at(-1 - below(2))?.hash ?? null
        const leastAgeMs = below(2) * 1_000
        asked.set(request, { blob, expected, leastAgeMs, atMs: relay.nowMs })
        client.say({ type: 'setSlot', request, nonce: new Uint8Array(16), slot: SLOT, expected, leastAgeMs, blob })
      } else if (dieRoll < 17) relay.commit()
      else if (dieRoll === 17) relay.failCommit('DISK_FAILED')
      else if (dieRoll === 18) relay.nowMs += below(3_000)
      else {
        relay.crash()
        clients = members.map((member) => relay.login(member))
      }
      for (const each of clients) hear(each)
    }
    relay.settle()
    for (const each of clients) hear(each)
  }
  expect(sets).toBeGreaterThan(RUNS * 5)
}, 120_000)
