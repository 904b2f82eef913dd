import { expect, test } from 'vitest'
import { isFilledBy, lend, type Slab, Slabs } from './slabs.ts'

const MEBIBYTE = 1_048_576

function held(slabs: Slabs, packet: Uint8Array, holders = 1): Slab {
  const slab = slabs.copy(packet)
  slab.holders = holders
  return slab
}

test('a slab holds what was copied, in little more than it takes', () => {
  for (let bytes = 1; bytes < 270_000; bytes = Math.ceil(bytes * 1.07)) {
    const packet = new Uint8Array(bytes).fill(bytes & 255)
    const slab = held(new Slabs(), packet)
    expect(Buffer.compare(lend(slab), packet)).toBe(0)
    expect(slab.memory.length).toBeLessThanOrEqual(Math.max(512, bytes * 1.25))
  }
})

test('memory is used again when its last holder has let go of it, and not before', () => {
  const slabs = new Slabs()
  const slab = held(slabs, new Uint8Array(1_000), 2)
  slabs.release(slab)
  expect(slabs.copy(new Uint8Array(1_000))).not.toBe(slab)
  slabs.release(slab)
  expect(slabs.copy(new Uint8Array(990))).toBe(slab)
  expect(slab.length).toBe(990)
})

test('what was lent is never used again', () => {
  const slabs = new Slabs()
  const slab = held(slabs, new Uint8Array(1_000).fill(7))
  const lent = lend(slab)
  slabs.release(slab)
  for (let i = 0; i < 4; i++) slabs.copy(new Uint8Array(1_000).fill(9))
  expect(lent).toEqual(new Uint8Array(1_000).fill(7))
})

test('what waits to be used again has a bound, and goes when nobody needs it', () => {
  const slabs = new Slabs()
  const all = Array.from({ length: 3_000 }, () => held(slabs, new Uint8Array(16_384)))
  for (const slab of all) slabs.release(slab)
  expect(slabs.freeBytes).toBe(8 * MEBIBYTE)
  slabs.trim()
  const again = Array.from({ length: 100 }, () => held(slabs, new Uint8Array(16_384)))
  for (const slab of again) slabs.release(slab)
  slabs.trim()
  expect(slabs.freeBytes).toBe(100 * 16_384)
  slabs.trim()
  expect(slabs.freeBytes).toBe(0)
})

test('a packet that fills the slab of its message stays there, and one of several does not', () => {
  const slab = new Slabs().take(16_390)
  expect(isFilledBy(slab, slab.memory.subarray(4, 16_390))).toBe(true)
  expect(isFilledBy(slab, slab.memory.subarray(4, 8_000))).toBe(false)
  expect(isFilledBy(slab, new Uint8Array(16_386))).toBe(false)
})

test('a slab for nothing is one all the same', () => {
  expect(new Slabs().take(0).length).toBe(0)
})
