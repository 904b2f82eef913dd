import type { VersionVector } from '@sealmesh/protocol/crdt/clock'
import type { IncarnationId } from '@sealmesh/protocol/ids'
import * as fc from 'fast-check'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { Compaction } from './compaction.ts'
import { type Running, set, sync, typeText } from './test-homes.ts'
import {
  baseWithout,
  begin,
  codesAt,
  comeBack,
  compact,
  DAY_MS,
  erase,
  heard,
  homes,
  lapse,
  listedAt,
  MADE_UP,
  meet,
  type Name,
  NAMES,
  newcomer,
  nodeOf,
  now,
  quietly,
  read,
  receive,
  running,
  send,
  sodium,
  stateOf,
  wait,
  withRowsOf,
  write,
} from './test-three-readers.ts'

beforeEach(begin)
afterEach(() => homes.remove())

async function begunBehind(): Promise<void> {
  await newcomer()
  for (const value of ['a', 'b']) await write('office', `mine-${value}`, 'precious')
  await write('office', 'last', '1')
  await quietly('office', 'home')
  await quietly('home', 'laptop')
  heard.home.set(nodeOf('laptop').id, await running.laptop.documents.vectorOf(homes.semantic))
  for (let i = 0; i < 3; i++) await write('home', 'since', `${i}`)
  await quietly('home', 'laptop')
  heard.home.set(nodeOf('laptop').id, await running.laptop.documents.vectorOf(homes.semantic))
  // Home lies about what office has receipted: its base ends beyond that.
  heard.home.set(nodeOf('office').id, await running.home.documents.vectorOf(homes.semantic))
  expect(await compact('home')).toBe(true)
  expect(running.office.documents.catchUp.documents()).toHaveLength(1)
}

test('T-peer-15: a base that leaves out a word of our own is refused, however far behind a newcomer is', async () => {
  await begunBehind()
  await receive('office', await baseWithout('home', ['mine-a']), 'home')
  expect(codesAt('office')).toContain('ROWS_LEFT_OUT')
  expect(await read('office', 'mine-a')).toBe('precious')
  // The honest one is taken.
  await receive('office', await baseWithout('home', []), 'home')
  expect(codesAt('office')).toContain('GIVEN_UP')
})

test('what a base leaves out of others’ words is listed in the commit that takes it away', async () => {
  await begunBehind()
  await receive('office', await baseWithout('home', ['key-3']), 'home')
  expect(await read('office', 'key-3')).toBeUndefined()
  expect(await listedAt('office')).toEqual(['key-3=of home 3'])
  expect(await read('office', 'mine-a')).toBe('precious')
  expect(await read('office', 'since')).toBe('2')
})

test('of an honest base that one has replaced the other is known: nothing is listed', async () => {
  await begunBehind()
  await receive('office', await baseWithout('home', []), 'home')
  expect(await listedAt('office')).toEqual([])
  expect(await stateOf('office')).toEqual(await stateOf('home'))
})

test.each(['stands', 'was collected'])('where a deletion %s here and a base undoes it, that is listed', async (how) => {
  await newcomer()
  const tell = async () => {
    await quietly('home', 'laptop')
    for (const name of ['office', 'laptop'] as const)
      heard.home.set(nodeOf(name).id, await running.laptop.documents.vectorOf(homes.semantic))
  }
  await tell()
  expect(await compact('home')).toBe(true)
  const earlier = await baseWithout('home', [])
  await erase('home', 'key-3')
  await write('home', 'key-4', 'anew')
  await quietly('home', 'office')
  await tell()
  if (how === 'was collected') {
    for (const name of ['home', 'laptop'] as const)
      heard.office.set(nodeOf(name).id, await running.home.documents.vectorOf(homes.semantic))
    expect(await compact('office')).toBe(true)
    expect((await running.office.documents.open(homes.semantic)).siblings('key-3')).toEqual([])
  }
  for (let i = 0; i < 20; i++) await write('home', 'since', `${i}`)
  await write('home', 'since', 'last')
  await tell()
  expect(await compact('home')).toBe(true)
  expect(running.office.documents.catchUp.documents()).toHaveLength(1)
  await receive('office', withRowsOf(earlier, await baseWithout('home', ['key-3'])), 'home')
  expect(await read('office', 'since')).toBe('last')
  expect(await read('office', 'key-3')).toBe('of home 3')
  expect(await listedAt('office')).toEqual(['key-3='])
})

test('what others have replaced in a silence is not listed; of our own words those are whose end nobody signed', async () => {
  for (const key of ['once', 'twice', 'gone', 'of-home']) await write('office', key, 'of office')
  await write('home', 'of-home', '1')
  await write('home', 'of-home-gone', '1')
  await meet(...NAMES)
  await lapse('office')
  await write('laptop', 'once', 'of laptop')
  for (const value of ['1', '2']) await write('laptop', 'twice', value)
  for (const value of ['2', '3']) await write('laptop', 'of-home', value)
  for (const key of ['gone', 'of-home-gone']) await erase('laptop', key)
  await meet('home', 'laptop')
  for (let i = 0; i < 2; i++) await write('home', 'since', `${i}`)
  await meet('home', 'laptop')
  expect(await compact('home')).toBe(true)
  await comeBack('office')
  await meet('home', 'office')
  expect(await stateOf('office')).toEqual(await stateOf('home'))
  expect(await listedAt('office')).toEqual(['gone=of office', 'of-home-gone=1', 'twice=of office'])
})

test('one present writer is enough for a newcomer, whatever a third reader makes up; a word of nothing is no word', async () => {
  await newcomer()
  const { catchUp } = running.office.documents
  const say = (words: [Name, VersionVector][]) =>
    running.office.documents.reached(homes.semantic, new Map(words.map(([name, word]) => [nodeOf(name).id, word])))
  await say([['laptop', [MADE_UP]]])
  await say([['laptop', []]])
  expect(catchUp.documents()).toHaveLength(1)
  await say([
    ['laptop', [MADE_UP]],
    ['home', await running.home.documents.vectorOf(homes.semantic)],
  ])
  expect(catchUp.documents()).toEqual([])
  // And what has begun once does not begin again: a base that lies above what is here is refused as ever.
  for (let i = 0; i < 3; i++) await write('home', 'since', `${i}`)
  for (const name of ['office', 'laptop'] as const)
    heard.home.set(nodeOf(name).id, await running.home.documents.vectorOf(homes.semantic))
  expect(await compact('home')).toBe(true)
  await receive('office', await baseWithout('home', []), 'home')
  expect(codesAt('office')).toContain('BLOCKS_BELOW_BASE')
  expect(catchUp.documents()).toEqual([])
})

test('a long word of blocks that are not here costs few hashes', async () => {
  await newcomer()
  const word = Array.from({ length: 5_000 }, (_, i) => ({
    ...MADE_UP,
    incarnation: i.toString(16).padStart(32, '0') as IncarnationId,
  }))
  const { hash } = sodium
  let hashes = 0
  sodium.hash = (parts) => {
    hashes += 1
    return hash.call(sodium, parts)
  }
  try {
    await running.office.documents.reached(homes.semantic, new Map([[nodeOf('laptop').id, word]]))
  } finally {
    sodium.hash = hash
  }
  expect(hashes).toBeLessThan(200)
})

test('two machines that have each lapsed once: the second catches up, too, and draws bases again', async () => {
  await write('home', 'first', '1')
  await write('laptop', 'second', '2')
  await meet(...NAMES)
  await lapse('home', 'office')
  await comeBack('home')
  await meet(...NAMES)
  await lapse('laptop')
  await comeBack('laptop')
  await meet(...NAMES)
  await lapse('office')
  await write('home', 'since', '3')
  await write('laptop', 'since', '4')
  await meet('home', 'laptop')
  await comeBack('office')
  await meet(...NAMES)
  for (const name of NAMES) expect(running[name].documents.catchUp.documents()).toEqual([])
})

test('words of a silence that count for nothing keep nobody from drawing bases, and stay to be merged', async () => {
  await write('office', 'first', '1')
  await meet(...NAMES)
  await write('office', 'unheard', '1')
  await running.office.documents.editText(homes.semantic, typeText(0, 'unheard'))
  await lapse('office')
  await comeBack('office')
  await meet(...NAMES)
  for (let i = 0; i < 9; i++) await write('home', 'since', `${i}`)
  await write('office', 'anew', '1')
  await meet(...NAMES)
  const aside = async (at: Name) => (await running[at].documents.open(homes.semantic)).aside().length
  for (const name of NAMES) {
    const before = await stateOf(name)
    expect(await compact(name)).toBe(true)
    const { above, base } = await running[name].documents.stored(homes.semantic)
    expect(above.map(({ header }) => header.author)).toEqual([nodeOf('office').id, nodeOf('office').id])
    expect(base.tips).toHaveLength(3)
    expect(await stateOf(name)).toEqual(before)
    expect(await aside(name)).toBe(2)
  }
})

test('where nobody was there all the time, all who are present have to be heard', async () => {
  await write('home', 'first', '1')
  await meet(...NAMES)
  await lapse('office')
  for (const name of ['home', 'laptop'] as const) {
    await lapse(name, 'office')
    await comeBack(name)
  }
  await comeBack('office')
  const { documents } = running.office
  const word = await running.home.documents.vectorOf(homes.semantic)
  await documents.reached(homes.semantic, new Map([[nodeOf('home').id, word]]))
  expect(documents.catchUp.documents()).toHaveLength(1)
  await documents.reached(homes.semantic, new Map(NAMES.map((name) => [nodeOf(name).id, word])))
  expect(documents.catchUp.documents()).toEqual([])
})

test('a word that nobody can reach holds up compaction for thirty days, and not for ever', async () => {
  await write('home', 'first', '1')
  await write('office', 'first', '2')
  await meet(...NAMES)
  await lapse('office')
  await comeBack('office')
  await meet('home', 'laptop')
  // Laptop names a block of its own that it never sends.
  const unsent = { ...MADE_UP, incarnation: homes.mint(nodeOf('laptop')) }
  const lie = [...(await running.laptop.documents.vectorOf(homes.semantic)), unsent]
  const say = async () => {
    heard.office.set(nodeOf('laptop').id, lie)
    heard.office.set(nodeOf('home').id, await running.home.documents.vectorOf(homes.semantic))
    await running.office.documents.reached(homes.semantic, heard.office)
  }
  await say()
  expect(running.office.documents.catchUp.documents()).toHaveLength(1)
  expect(await compact('office')).toBe(false)
  wait(31 * DAY_MS)
  expect(await compact('office')).toBe(true)
  await say()
  expect(running.office.documents.catchUp.documents()).toEqual([])
})

test('what our own base covers of an incarnation that the coming one does not name comes as whole blocks', async () => {
  for (let i = 0; i < 4; i++) await write('home', `key-${i}`, '1')
  await meet('home', 'office')
  // A second home of the same node that has not met laptop yet.
  const other = await homes.start('other', nodeOf('home'), { now })
  await sync(running.home.documents, other.documents, homes.semantic)
  for (let i = 0; i < 5; i++) await write('laptop', `of-laptop-${i}`, '1')
  await meet(...NAMES)
  expect(await compact('office')).toBe(true)
  await lapse('office')
  for (let i = 0; i < 9; i++) await other.documents.write(homes.semantic, [set('since', `${i}`)])
  const base = new Compaction({
    documents: other.documents,
    node: nodeOf('home').id,
    mesh: () => homes.mesh.mesh,
    receipted: () => other.documents.vectorOf(homes.semantic),
    log: { info: () => {}, warn: () => {} },
    historyMs: -10_000_000,
    historyBytes: 0,
    floorBytes: 0,
  })
  expect(await base.compact(homes.semantic)).toBe(true)
  await comeBack('office')
  const { documents } = running.office
  await sync(other.documents, documents, homes.semantic, 100_000, nodeOf('home').id)
  // All rows are here; of laptop's blocks something is missing, and is claimed as missing.
  const ofLaptop = (vector: VersionVector) => vector.filter(({ sequence }) => sequence === 5)
  expect(ofLaptop(await documents.claimOf(homes.semantic))).toEqual([])
  expect(await read('office', 'of-laptop-2')).toBe('1')
  await send('laptop', 'office')
  expect(codesAt('office')).toEqual([])
  await sync(other.documents, documents, homes.semantic, 100_000, nodeOf('home').id)
  expect(await read('office', 'of-laptop-2')).toBe('1')
  expect(await read('office', 'since')).toBe('8')
  expect(await documents.examine(homes.semantic)).toMatchObject({ damaged: false })
})

test.each([1, 4])(
  'who writes another history to a lapsed node alone does not keep it out: its %d words are listed',
  async (more) => {
    await write('home', 'key', '1')
    await meet(...NAMES)
    const incarnation = homes.mint(nodeOf('laptop'))
    const two = await Promise.all(
      ['one', 'another'].map((each) => homes.start(each, nodeOf('laptop'), { incarnation, now })),
    )
    const [one, another] = two as [Running, Running]
    for (const each of two) await sync(running.home.documents, each.documents, homes.semantic)
    await one.documents.write(homes.semantic, [set('told', 'to home')])
    await one.documents.write(homes.semantic, [set('told-too', 'to home')])
    await one.documents.editText(homes.semantic, typeText(0, 'told to home'))
    for (let i = 0; i < more; i++) await another.documents.write(homes.semantic, [set(`told-${i}`, 'to office')])
    await another.documents.editText(homes.semantic, typeText(0, 'told to office'))
    await lapse('office')
    await sync(one.documents, running.home.documents, homes.semantic)
    await sync(another.documents, running.office.documents, homes.semantic)
    await write('office', 'mine', 'unheard')
    await meet('home', 'laptop')
    for (let i = 0; i < 9; i++) await write('home', 'since', `${i}`)
    await meet('home', 'laptop')
    expect(await compact('home')).toBe(true)
    await comeBack('office')
    await send('home', 'office')
    await send('home', 'office')
    expect(codesAt('office')).toEqual([])
    expect(await read('office', 'told')).toBe('to home')
    const listed = await listedAt('office')
    for (let i = 0; i < more; i++) expect(listed).toContain(`told-${i}=to office`)
    expect(listed.some((each) => each.includes('told to office'))).toBe(true)
    await send('office', 'home')
    await send('home', 'laptop')
    expect(await stateOf('office')).toEqual(await stateOf('home'))
    expect(await running.office.documents.examine(homes.semantic)).toMatchObject({ damaged: false })
  },
)

test('T-peer-15: rows that no honest sender sends are refused, and their sender begins nothing for a while', async () => {
  await begunBehind()
  const item = await baseWithout('home', [])
  const own = (await running.home.documents.vectorOf(homes.semantic)).find(({ sequence }) => sequence > 12)
  const ends = item.ends.map((end) =>
    end.dot.incarnation === own?.incarnation ? { ...end, dot: { ...end.dot, hash: MADE_UP.hash } } : end,
  )
  await receive('office', { ...item, ends }, 'home')
  expect(codesAt('office')).toContain('ROW_NOT_AT_END')
  await receive('office', item, 'home')
  expect(codesAt('office')).toContain('GIVEN_UP')
})

const writes = fc.array(
  fc.record({ by: fc.constantFrom(...NAMES), key: fc.nat(5), kind: fc.constantFrom('set', 'set', 'delete', 'text') }),
  { minLength: 4, maxLength: 14 },
)

test('T-peer-15: whatever a base leaves out: our own words stand, and what others said is read, replaced by one who knew it, or listed', async () => {
  let [listed, switched] = [0, 0]
  await fc.assert(
    fc.asyncProperty(writes, writes, fc.subarray([0, 1, 2, 3, 4, 5]), async (before, since, left) => {
      await homes.remove()
      await begin()
      const { semantic } = homes
      let count = 0
      const act = async ({ by, key, kind }: { by: Name; key: number; kind: string }) => {
        count += 1
        if (kind === 'text') await running[by].documents.editText(semantic, typeText(0, `${count} `))
        else if (kind === 'delete') await erase(by, `key-${key}`)
        else await write(by, `key-${key}`, `${by} ${count}`)
      }
      await write('home', 'begins', '1')
      await quietly('home', 'office')
      await quietly('home', 'laptop')
      for (const each of before) await act(each)
      for (const [from, to] of [
        ['office', 'home'],
        ['laptop', 'home'],
        ['home', 'office'],
        ['home', 'laptop'],
      ] as const)
        await quietly(from, to)
      for (const each of since) if (each.by !== 'office') await act(each)
      await quietly('laptop', 'home')
      for (const name of ['office', 'laptop'] as const)
        heard.home.set(nodeOf(name).id, await running.home.documents.vectorOf(semantic))
      await write('home', 'ends', '1')
      if (!(await compact('home'))) return
      const document = await running.office.documents.open(semantic)
      const stood = [...document.keys()].flatMap((key) =>
        document.siblings(key).flatMap(({ value, author }) => (value === undefined ? [] : [{ key, value, author }])),
      )
      const truth = await running.home.documents.open(semantic)
      running.office.documents.onSwitched(() => (switched += 1))
      await receive(
        'office',
        await baseWithout(
          'home',
          left.map((key) => `key-${key}`),
        ),
        'home',
      )
      const after = await running.office.documents.open(semantic)
      const list = await listedAt('office')
      listed += list.length
      for (const { key, value, author } of stood) {
        const isRead = after.siblings(key).some((each) => each.value === value)
        const isReplaced = !truth.siblings(key).some((each) => each.value === value) && after.siblings(key).length > 0
        if (author === nodeOf('office').id && truth.siblings(key).some((each) => each.value === value))
          expect(isRead).toBe(true)
        expect(isRead || isReplaced || list.includes(`${key}=${value}`)).toBe(true)
      }
    }),
    { numRuns: 25, endOnFailure: true },
  )
  expect(listed).toBeGreaterThan(0)
  expect(switched).toBeGreaterThan(0)
}, 120_000)

test('a base that leaves out the end of a text is refused by a newcomer; a lapsed node lists what the text read', async () => {
  for (const isLapsed of [false, true]) {
    await homes.remove()
    await begin()
    await write('home', 'first', '1')
    await running.laptop.documents.receive((await running.home.documents.after(homes.semantic, [], 9_000)).blocks)
    await running.laptop.documents.editText(homes.semantic, typeText(0, 'precious'))
    await write('laptop', 'last', '1')
    await quietly('laptop', 'home')
    await quietly('home', 'office')
    if (isLapsed) await lapse('office')
    for (let i = 0; i < 3; i++) await write('home', 'since', `${i}`)
    await quietly('home', 'laptop')
    for (const name of ['office', 'laptop'] as const)
      heard.home.set(nodeOf(name).id, await running.home.documents.vectorOf(homes.semantic))
    expect(await compact('home')).toBe(true)
    await receive('office', await baseWithout('home', ['precious']), 'home')
    const text = (await running.office.documents.open(homes.semantic)).text('notes')
    if (isLapsed) expect([text ?? '', await listedAt('office')]).toEqual(['', ['notes=precious']])
    else expect([text, codesAt('office')]).toEqual(['precious', ['BASE_BROKEN']])
  }
})

test('a word that was said behind and lies below a base by then is said again all the same', async () => {
  await write('home', 'k', 'a')
  await write('laptop', 'z', '1')
  await write('office', 'y', '1')
  await meet(...NAMES)
  await lapse('office')
  await erase('laptop', 'k')
  for (let round = 0; round < 2; round++) {
    for (const [name, key] of [
      ['laptop', 'l'],
      ['home', 'h'],
    ] as const)
      await write(name, key, `${round}`)
    await meet('home', 'laptop')
  }
  // Home forgets the tombstone, laptop keeps it.
  expect(await compact('home')).toBe(true)
  await comeBack('office')
  for (let i = 0; i < 30; i++) await write('office', 'k', `v${i} ${'x'.repeat(200)}`)
  await quietly('office', 'home')
  await quietly('office', 'laptop')
  await meet('home', 'laptop')
  heard.home.set(nodeOf('laptop').id, await running.laptop.documents.vectorOf(homes.semantic))
  for (let i = 0; i < 2; i++) await write('home', 'more', `${i}`)
  expect(await compact('home')).toBe(true)
  for (let i = 0; i < 2; i++) await quietly('home', 'office')
  for (let round = 0; round < 5; round++) await meet(...NAMES)
  const states = await Promise.all(NAMES.map(stateOf))
  expect(new Set(states.map(({ vector }) => JSON.stringify(vector))).size).toBe(1)
  expect(new Set(states.map(({ digest }) => digest)).size).toBe(1)
})
