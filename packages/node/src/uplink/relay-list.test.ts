import type { RelayId } from '@sealmesh/protocol/ids'
import { RELAYS_MAX } from '@sealmesh/protocol/limits'
import { describe, expect, test } from 'vitest'
import { relayNamed, withRelay } from './relay-list.ts'

const idOf = (number: number): RelayId => number.toString(16).padStart(2, '0').repeat(32) as RelayId
const at = (number: number, host = `relay-${number}.example`): string => `wss://${host}#relay=${idOf(number)}`
const listOf = (...numbers: number[]) => numbers.map((number) => ({ address: at(number), relay: idOf(number) }))

describe('a list of relays', () => {
  test('takes another one at its end, or at its beginning', () => {
    expect(withRelay(listOf(1, 2), at(3), false)).toEqual(listOf(1, 2, 3))
    expect(withRelay(listOf(1, 2), at(3), true)).toEqual(listOf(3, 1, 2))
  })

  test('gives one that has moved its new address in its place', () => {
    const moved = withRelay(listOf(1, 2, 3), at(2, 'elsewhere.example'), false)
    expect(moved.map(({ address }) => address)).toEqual([at(1), at(2, 'elsewhere.example'), at(3)])
    expect(withRelay(listOf(1, 2, 3), at(2), true)).toEqual(listOf(2, 1, 3))
  })

  test('takes no more than the log does, and no address that is none', () => {
    const full = listOf(...Array.from({ length: RELAYS_MAX }, (_, number) => number))
    expect(() => withRelay(full, at(200), false)).toThrow('at most 16')
    expect(withRelay(full, at(3, 'elsewhere.example'), false)).toHaveLength(RELAYS_MAX)
    expect(() => withRelay(listOf(1), 'wss://relay.example', false)).toThrow('sealmesh-relay up prints')
  })
})

test('a relay is named by address, id or the beginning of the id, if that is of one alone', () => {
  const list = [...listOf(1, 2), { address: 'ws://127.0.0.1:1#x', relay: `${'01'.repeat(31)}ff` as RelayId }]
  expect(relayNamed(list, at(2)).relay).toBe(idOf(2))
  expect(relayNamed(list, `relay_${idOf(1)}`).relay).toBe(idOf(1))
  expect(relayNamed(list, '02020202').relay).toBe(idOf(2))
  for (const wrong of ['01010101', '0202', 'relay_', at(9)])
    expect(() => relayNamed(list, wrong)).toThrow('no such relay')
})
