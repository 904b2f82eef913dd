import type { PrunedItem } from '@sealmesh/protocol/sync/payload'
import { afterEach, beforeEach, expect, test } from 'vitest'
import {
  baseWithout,
  begin,
  codesAt,
  compact,
  heard,
  homes,
  type Name,
  newcomer,
  nodeOf,
  quietly,
  receive,
  running,
  stateOf,
  wait,
  write,
} from './test-three-readers.ts'

beforeEach(begin)
afterEach(() => homes.remove())

const HOUR_MS = 3_600_000

/** Half of home's base: laptop has the whole of it, office a part of the document or nothing. */
async function half(): Promise<PrunedItem> {
  await quietly('home', 'laptop')
  for (const name of ['office', 'laptop'] as const)
    heard.home.set(nodeOf(name).id, await running.laptop.documents.vectorOf(homes.semantic))
  expect(await compact('home')).toBe(true)
  const item = await baseWithout('home', [])
  return { ...item, rows: item.rows.slice(0, 3) }
}

async function pass(at: Name, minutes: number, isHeard: boolean): Promise<void> {
  for (let i = 0; i < 2 * minutes; i++) {
    wait(30_000)
    await running[at].documents.giveUpSilent(() => isHeard)
  }
}

test.each(['into the document', 'beside it'])(
  'a base that comes %s and that nobody goes on with is let go after an hour in which somebody was there',
  async (where) => {
    if (where === 'beside it') {
      await newcomer()
      for (let i = 0; i < 3; i++) await write('home', 'since', `${i}`)
    } else for (let i = 0; i < 12; i++) await write('home', `key-${i}`, '1')
    const { documents } = running.office
    const before = await stateOf('office')
    const claimed = await documents.claimOf(homes.semantic)
    const item = await half()
    await receive('office', item, 'home')
    const coming = await documents.claimOf(homes.semantic)
    expect(coming).not.toEqual(claimed)

    await pass('office', 240, false)
    await pass('office', 50, true)
    // The machine slept.
    wait(8 * HOUR_MS)
    await pass('office', 5, true)
    expect(await documents.claimOf(homes.semantic)).toEqual(coming)
    await pass('office', 10, true)
    expect(await documents.claimOf(homes.semantic)).toEqual(claimed)
    expect(await stateOf('office')).toEqual(before)
    await receive('office', item, 'home')
    expect(codesAt('office')).toEqual(['GIVEN_UP'])
  },
)

test('a row that is new keeps a transfer alive', async () => {
  for (let i = 0; i < 12; i++) await write('home', `key-${i}`, '1')
  const item = await half()
  const { rows } = await baseWithout('home', [])
  for (const row of rows.slice(0, 5)) {
    await receive('office', { ...item, rows: [row] }, 'home')
    await pass('office', 50, true)
  }
  expect(await running.office.documents.vectorOf(homes.semantic)).toHaveLength(1)
  expect(codesAt('office')).toEqual([])
})
