import { documentIdOf } from '@sealmesh/protocol/crdt/block-codec'
import { toHex } from '@sealmesh/protocol/bytes'
import type { BlockHash } from '@sealmesh/protocol/ids'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { LEFT_OUT_MAX, type LeftOut } from '../store/left-out-store.ts'
import {
  baseWithout,
  begin,
  codesAt,
  compact,
  DAY_MS,
  heard,
  homes,
  listedAt,
  newcomer,
  nodeOf,
  quietly,
  read,
  receive,
  running,
  sodium,
  wait,
  write,
} from './test-three-readers.ts'

beforeEach(begin)
afterEach(() => homes.remove())

test('where much is listed already, a base that leaves something out waits until somebody has looked', async () => {
  await newcomer()
  await quietly('home', 'laptop')
  for (let i = 0; i < 3; i++) await write('home', 'since', `${i}`)
  await quietly('home', 'laptop')
  for (const name of ['office', 'laptop'] as const)
    heard.home.set(nodeOf(name).id, await running.laptop.documents.vectorOf(homes.semantic))
  expect(await compact('home')).toBe(true)
  const { documents, store } = running.office
  const id = documentIdOf(homes.episodic, sodium)
  const listed = Array.from({ length: LEFT_OUT_MAX }, (_, i): LeftOut => {
    const block = toHex(new Uint8Array(new Uint32Array(8).fill(i).buffer)) as BlockHash
    return { name: homes.episodic, block, author: nodeOf('home').id, wallMs: 1, write: { type: 'delete', key: 'k' } }
  })
  await store.commit(listed.map((each) => documents.leftOut.put(id, each)))
  expect(documents.leftOut.isFull).toBe(false)

  await receive('office', await baseWithout('home', ['key-3']), 'home')
  expect(codesAt('office')).toEqual(['LEFT_OUT_FULL'])
  expect(documents.leftOut.isFull).toBe(true)
  expect(await read('office', 'key-3')).toBe('of home 3')
  expect(await listedAt('office')).toHaveLength(LEFT_OUT_MAX)

  await documents.leftOut.remove(id, listed.slice(1))
  expect(documents.leftOut.isFull).toBe(false)
  wait(DAY_MS)
  await receive('office', await baseWithout('home', ['key-3']), 'home')
  expect(await read('office', 'key-3')).toBeUndefined()
  expect(await listedAt('office')).toEqual(['k=', 'key-3=of home 3'])
})
