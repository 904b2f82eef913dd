import type { Document } from '@sealmesh/protocol/crdt/document'
import type { Sodium } from '@sealmesh/protocol/sodium'
import { loadSodium } from '@sealmesh/sodium/load'
import { afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import { set, TestHomes, typeText, valueOf } from './test-homes.ts'

let sodium: Sodium
let homes: TestHomes

beforeAll(async () => {
  sodium = await loadSodium()
})

beforeEach(async () => {
  homes = await TestHomes.make(sodium)
})

afterEach(() => homes.remove())

const layer = (name: string) => ({ agent: homes.mesh.agent, layer: name })
const LAYERS = ['a', 'b', 'c', 'd', 'e', 'f']

test('documents that are not used for minutes leave memory, and are read back when they are wanted', async () => {
  let nowMs = 1_800_000_000_000
  const { documents } = await homes.start('home', homes.mesh.home, { now: () => nowMs })
  for (const name of LAYERS) await documents.write(layer(name), [set('key', name)])
  const before = await documents.open(layer('a'))
  documents.rest()
  expect(await documents.open(layer('a'))).toBe(before)
  nowMs += 4 * 60_000
  await documents.write(layer('b'), [set('other', 'used')])
  nowMs += 2 * 60_000
  const used = await documents.open(layer('b'))
  documents.rest()
  expect(await documents.open(layer('b'))).toBe(used)
  expect(await documents.open(layer('a'))).not.toBe(before)
  expect(await valueOf(documents, layer('a'), 'key')).toBe('a')
})

test('documents in memory are bounded by what they take, however few they are', async () => {
  const { documents } = await homes.start('home', homes.mesh.home, { openBytesMax: 120_000 })
  const opened = new Map<string, Document>()
  for (const name of LAYERS) {
    await documents.write(layer(name), [set('large', name.repeat(40_000))])
    opened.set(name, await documents.open(layer(name)))
  }
  documents.rest()
  const kept: string[] = []
  // From the last used on, since looking is using.
  for (const name of LAYERS.toReversed())
    if ((await documents.open(layer(name))) === opened.get(name)) kept.unshift(name)
  expect(kept).toEqual(['e', 'f'])
})

test('a document weighs what it holds, and less when that goes', async () => {
  const { documents } = await homes.start('home', homes.mesh.home)
  await documents.write(layer('a'), [set('small', 'x')])
  const { weight } = await documents.open(layer('a'))
  await documents.write(layer('a'), [set('large', 'x'.repeat(50_000))])
  const large = (await documents.open(layer('a'))).weight
  expect(large).toBeGreaterThan(weight + 50_000)
  for (let round = 0; round < 20; round++) await documents.write(layer('a'), [set('large', `${round}`)])
  expect((await documents.open(layer('a'))).weight).toBeLessThan(weight + 5_000)
  const light = (await documents.open(layer('a'))).weight
  await documents.editText(layer('a'), typeText(0, 'words'))
  expect((await documents.open(layer('a'))).weight).toBeGreaterThan(light)
})
