import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type PacketFailure, packetFailures, type PacketFailureCode } from '@sealmesh/protocol/envelope/failure'
import type { NodeId } from '@sealmesh/protocol/ids'
import { loadSodium } from '@sealmesh/sodium/load'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { Meta } from '../store/meta.ts'
import { openStore, type Store } from '../store/store.ts'
import { KEPT_PER_CODE, Quarantine } from './quarantine.ts'
import { unopenedBy } from './unopened.ts'

const sodium = await loadSodium()
const STRANGER = 'ab'.repeat(32) as NodeId
let directory: string
let store: Store
let nowMs = 1_800_000_000_000

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'sealmesh-quarantine-'))
  store = await openStore(directory)
})
afterEach(async () => {
  await store.close()
  await rm(directory, { recursive: true })
})

const load = (): Promise<Quarantine> =>
  Quarantine.load({
    meta: new Meta(store),
    sodium,
    now: () => nowMs++,
    failed: (error) => {
      throw error
    },
  })
const failureOf = (code: PacketFailureCode): PacketFailure =>
  ({ code, sender: STRANGER, bytes: 1, version: 1 }) as PacketFailure
const packetOf = (number: number): Uint8Array => Uint8Array.of(number >> 8, number & 0xff)
const CODES = Object.keys(packetFailures) as PacketFailureCode[]

test('T-relay-11: a flood of one kind hides no other kind, and everything fits its place on disk', async () => {
  const quarantine = await load()
  for (const code of CODES) quarantine.add(packetOf(1), failureOf(code))
  for (let each = 0; each < 5_000; each++) quarantine.add(packetOf(each), failureOf('PACKET_CORRUPT'))
  for (const code of CODES) for (let each = 0; each < 50; each++) quarantine.add(packetOf(each), failureOf(code))
  const listed = quarantine.entries()
  expect(listed.length).toBe(KEPT_PER_CODE * CODES.length)
  expect(new Set(listed.map(({ code }) => code)).size).toBe(CODES.length)
  expect(quarantine.counts()).toContainEqual({ code: 'PACKET_CORRUPT', packets: 5_051 })
  expect(quarantine.release(() => true).length).toBeLessThanOrEqual(KEPT_PER_CODE)
  await quarantine.close()
  expect((await load()).counts()).toContainEqual({ code: 'PACKET_CORRUPT', packets: 5_051 })
})

test('the list outlives a restart, with how often the same packet came', async () => {
  const quarantine = await load()
  for (let times = 0; times < 3; times++) quarantine.add(packetOf(7), failureOf('PACKET_SIGNATURE'))
  quarantine.add(packetOf(8), { code: 'PACKET_SIZE', bytes: 2 })
  await quarantine.close()
  const again = (await load()).entries()
  expect(again).toMatchObject([
    { code: 'PACKET_SIZE', sender: null, bytes: 2, times: 1 },
    { code: 'PACKET_SIGNATURE', sender: STRANGER, times: 3 },
  ])
  expect(again[1]!.firstMs).toBeLessThan(again[1]!.lastMs)
})

test('a packet of a sender that becomes known is given back once, and is quarantined no longer', async () => {
  const quarantine = await load()
  quarantine.add(packetOf(7), failureOf('PACKET_SENDER_UNKNOWN'))
  expect(quarantine.release(() => false)).toEqual([])
  expect(quarantine.entries()).toMatchObject([{ code: 'PACKET_SENDER_UNKNOWN' }])
  expect(quarantine.release((sender) => sender === STRANGER)).toEqual([packetOf(7)])
  expect(quarantine.entries()).toEqual([])
  expect(quarantine.release(() => true)).toEqual([])
})

test('T-relay-11: a relay that repeats what cannot be opened makes a node ask once in a while and no more', () => {
  const done: string[] = []
  let elapsedMs = 0
  const take = unopenedBy({
    isLogCopy: () => false,
    isPairing: (packet) => packet.length === 0,
    comesTwice: () => false,
    keep: (_, { code }) => void done.push(`keep ${code}`),
    say: () => undefined,
    newPrekey: () => void done.push('prekey'),
    askAgain: () => void done.push('ask'),
    wantRecords: () => void done.push('records'),
    monotonicMs: () => elapsedMs,
  })
  const count = (what: string): number => done.filter((each) => each === what).length
  for (let second = 0; second < 7_200; second++) {
    elapsedMs = second * 1_000
    for (const code of CODES) take(packetOf(second), failureOf(code))
  }
  expect([count('prekey'), count('ask'), count('records')]).toEqual([2, 120, 120])
  for (const code of CODES) expect(count(`keep ${code}`)).toBe(7_200)
  const before = done.length
  take(new Uint8Array(), failureOf('PACKET_NOT_FOR_US'))
  expect(done.length).toBe(before)
})
