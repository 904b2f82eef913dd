import type { MeshId, RecordHash } from '@sealmesh/protocol/ids'
import type { LoginPublicKey } from '@sealmesh/protocol/keys'
import type { SignedRecord } from '@sealmesh/protocol/membership/record'
import { loadSodium } from '@sealmesh/sodium/load'
import { expect, test } from 'vitest'
import { beaconOf, directIdOf, type DirectKey, directKeyOf } from './direct-key.ts'

const sodium = await loadSodium()
const MESH = 'ee'.repeat(32) as MeshId
const record = (type: string): SignedRecord => ({ body: { type } }) as unknown as SignedRecord
const hash = (byte: number): RecordHash => byte.toString(16).padStart(2, '0').repeat(32) as RecordHash
const keyWith = (...hashes: RecordHash[]): DirectKey | undefined => {
  const records = new Map([[hash(1), record('admit')], ...hashes.map((each) => [each, record('found')] as const)])
  return directKeyOf({ id: MESH, records, voided: new Map([[hash(9), 'SIGNER_NOT_ALLOWED' as const]]) }, sodium)
}
const key = keyWith(hash(2))!

test('it follows from the record that founded the mesh, which relays and neighbours have not', () => {
  expect(keyWith()).toBeUndefined()
  expect(keyWith(hash(9), hash(2))!.expose()).toEqual(key.expose())
  expect(keyWith(hash(3))!.expose()).not.toEqual(key.expose())
})

test('golden: what is said with it stays the same, so that versions understand each other', () => {
  const login = new Uint8Array(32).fill(5) as LoginPublicKey
  expect(directIdOf(key, login, new Uint8Array(32).fill(6), sodium)).toBe(GOLDEN.id)
  expect(beaconOf(key, { day: 20_000, instance: '0123456789abcdef', port: 7447 }, sodium)).toBe(GOLDEN.beacon)
})

test('a beacon is good for one day, one name and one port', () => {
  const at = { day: 1, instance: 'aa', port: 2 }
  const beacons = [at, { ...at, day: 2 }, { ...at, instance: 'ab' }, { ...at, port: 3 }].map((each) =>
    beaconOf(key, each, sodium),
  )
  expect(new Set(beacons).size).toBe(4)
})

/** By another implementation of BLAKE2b, from the words of the specification. */
const GOLDEN = {
  id: '0bb4975d2886310034091ae4e3904a59ad8055fe2821da9bb4ab218961e1d532',
  beacon: '5b03077d953caf1f1d1aab0930dfed7f',
}
