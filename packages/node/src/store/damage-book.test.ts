import { documentIdOf } from '@sealmesh/protocol/crdt/block-codec'
import { loadSodium } from '@sealmesh/sodium/load'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { set, TestHomes } from '../documents/test-homes.ts'
import { DamageBook } from './damage-book.ts'
import { documentPrefix, afterPrefix } from './keys.ts'
import type { Range } from './store.ts'
import { decodedBlock, type Surveyed } from './survey.ts'

let homes: TestHomes
beforeEach(async () => {
  homes = await TestHomes.make(await loadSodium())
})
afterEach(() => homes.remove())

test('a look that began before a gap was filled takes nothing away that has come since', async () => {
  const { sodium } = homes.mesh
  const home = await homes.start('home', homes.mesh.home)
  for (let i = 0; i < 5; i++) await home.documents.write(homes.semantic, [set(`k${i}`, 'v')])
  const id = documentIdOf(homes.semantic, sodium)
  const prefix = documentPrefix(id)
  const rows: { key: Uint8Array; value: Uint8Array }[] = []
  for await (const [key, value] of home.store.read({ from: prefix, to: afterPrefix(prefix) })) rows.push({ key, value })
  const third = rows[2]!
  // Whole to the store's check, and no block any more: what it was a peer still has.
  await home.store.commit([{ type: 'put', key: third.key, value: third.value.subarray(1) }])

  /** At the end of the first look at the blocks another one finds the same, and the block comes. */
  let meanwhile: (() => Promise<void>) | undefined
  async function* examine(range: Range) {
    yield* home.store.examine(range)
    const run = Buffer.from(range.from).equals(prefix) ? meanwhile : undefined
    if (run === undefined) return
    meanwhile = undefined
    await run()
  }
  const store = new Proxy(home.store, {
    get: (real, name) => {
      if (name === 'examine') return examine
      const member: unknown = Reflect.get(real, name, real)
      return typeof member === 'function' ? (member.bind(real) as unknown) : member
    },
  })
  const surveyed: Surveyed = { store, sodium, decode: (bytes) => decodedBlock(bytes, sodium), exists: () => true }
  const book = await DamageBook.load(surveyed)
  meanwhile = async () => {
    expect(await book.examine(id, true)).toMatchObject({ damaged: true })
    const { operations, used, filled } = book.fill(id, [decodedBlock(third.value, sodium)!])
    expect(used).toBe(1)
    await home.store.commit(operations)
    filled()
  }
  expect(await book.examine(id, true)).toMatchObject({ damaged: false })
  expect(book.of(id)).toEqual([])
  expect(await home.store.get(third.key)).toEqual(third.value)
})
