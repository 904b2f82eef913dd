import { readFileSync } from 'node:fs'
import { fromHex, toHex } from '@sealmesh/protocol/bytes'
import { openAcceptor } from '@sealmesh/protocol/failover/ballot'
import {
  decodeLease,
  HELD_MAX,
  heldRoom,
  type LeaseBlob,
  leaseSlotOf,
  openLease,
  sealLease,
} from '@sealmesh/protocol/failover/lease-blob'
import { type Prefix, resolvePrefix } from '@sealmesh/protocol/failover/prefix'
import { breakLease } from '@sealmesh/protocol/failover/taking'
import type { NodeId, SlotId } from '@sealmesh/protocol/ids'
import { SLOT_BLOB_BYTES } from '@sealmesh/protocol/wire/slot'
import { loadSodium } from '@sealmesh/sodium/load'
import { expect, test } from 'vitest'
import { buildVectors, LEASES, type LeaseVectors, NODE, SLOT, vectorKey } from './lease-vectors.ts'

const sodium = await loadSodium('wasm')
const key = vectorKey(sodium)
const vectors = JSON.parse(readFileSync(new URL('../../vectors/leases.json', import.meta.url), 'utf8')) as LeaseVectors

test('the golden bytes are what this code writes and reads', () => {
  expect(buildVectors(sodium)).toEqual(vectors)
  for (const { bytes, lease } of vectors.good)
    expect(openLease(fromHex(bytes), NODE, key, sodium)).toEqual({ ok: true, value: lease })
  for (const { bytes, error } of vectors.bad)
    expect(openLease(fromHex(bytes), NODE, key, sodium)).toEqual({ ok: false, error: { code: error } })
})

test('what three relays keep of one register opens for that register alone', () => {
  for (const { bytes, acceptor } of vectors.acceptors) {
    const opened = openAcceptor(fromHex(bytes), SLOT, key, sodium)
    expect(opened.ok && { ...opened.value, value: opened.value.value && toHex(opened.value.value) }).toEqual(acceptor)
    expect(openAcceptor(fromHex(bytes), vectors.slot as SlotId, key, sodium).ok).toBe(false)
  }
})

test('all have the size of a slot, and a node finds the register of each other one', () => {
  for (const { bytes } of vectors.good) expect(fromHex(bytes)).toHaveLength(SLOT_BLOB_BYTES)
  expect(leaseSlotOf(key, NODE, sodium)).toBe(vectors.slot)
  expect(leaseSlotOf(key, '1d'.repeat(32) as NodeId, sodium)).not.toBe(vectors.slot)
})

const prefix = (at: number): Prefix => at.toString(16).padStart(16, '0') as Prefix
const full = (held: number, taken: number): LeaseBlob => ({
  ...LEASES[0]!.lease,
  count: Number.MAX_SAFE_INTEGER,
  leaseMs: 600_000,
  state: { type: 'broken', by: NODE },
  held: Array.from({ length: held }, (_, at) => ({
    agent: prefix(at),
    term: 0xffff_ffff,
    record: prefix(1),
    sync: prefix(2),
  })),
  taken: Array.from({ length: taken }, (_, at) => ({
    agent: prefix(1_000 + at),
    term: 0xffff_ffff,
    record: prefix(1),
    holder: prefix(2),
    sync: prefix(3),
  })),
})

test('what there is said to be room for fits, and more than a register holds is refused', () => {
  expect(heldRoom(0, 0)).toBe(HELD_MAX)
  expect(heldRoom(0, 3)).toBe(HELD_MAX - 3)
  for (const taken of [0, 10, 20, 40, 47])
    expect(sealLease(full(heldRoom(0, taken), taken), key, new Uint8Array(24), sodium).ok).toBe(true)
  expect(sealLease(full(HELD_MAX + 1, 0), key, new Uint8Array(24), sodium)).toEqual({
    ok: false,
    error: { code: 'LEASE_FULL' },
  })
  expect(sealLease(full(HELD_MAX, 60), key, new Uint8Array(24), sodium)).toEqual({
    ok: false,
    error: { code: 'LEASE_FULL' },
  })
})

test('a full register can be broken by one standby after another until nothing is left in it', () => {
  let found: LeaseBlob = { ...full(48, 2), state: { type: 'renewed' } }
  for (const { agent, record } of found.held) {
    const take = { agent, term: 0xffff_ffff + 1, record: prefix(3), holder: prefix(4), from: record.padEnd(64, '0') }
    found = breakLease(found, NODE, [take])!.blob
    expect(
      sealLease({ ...found, taken: found.taken.map((each) => ({ ...each, term: 1 })) }, key, new Uint8Array(24), sodium)
        .ok,
    ).toBe(true)
  }
  expect(found.held).toEqual([])
  expect(found.taken).toHaveLength(50)
})

test('a member cannot say two things of one agent, or hide bytes behind the lists', () => {
  const lease = LEASES[1]!.lease
  const plain = (blob: LeaseBlob): boolean => {
    const sealed = sealLease(blob, key, new Uint8Array(24), sodium)
    return sealed.ok && openLease(sealed.value, NODE, key, sodium).ok
  }
  const [first] = lease.held
  expect(plain(lease)).toBe(true)
  expect(plain({ ...lease, held: [...lease.held, first!] })).toBe(false)
  expect(
    plain({ ...lease, taken: [{ agent: first!.agent, term: 2, record: prefix(1), holder: prefix(2), sync: null }] }),
  ).toBe(false)
  expect(plain({ ...lease, handed: [{ agent: prefix(77), to: prefix(2) }] })).toBe(false)
  expect(decodeLease(new Uint8Array(52).fill(1)).ok).toBe(false)
})

test('a prefix that two ids share means neither', () => {
  const [a, b] = ['aa'.repeat(32), `${'aa'.repeat(8)}${'bb'.repeat(24)}`]
  expect(resolvePrefix('aa'.repeat(8) as Prefix, [a])).toBe(a)
  expect(resolvePrefix('aa'.repeat(8) as Prefix, [a, b])).toBeUndefined()
  expect(resolvePrefix('ac'.repeat(8) as Prefix, [a, b])).toBeUndefined()
})
