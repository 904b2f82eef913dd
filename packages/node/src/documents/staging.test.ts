import { toHex } from '@sealmesh/protocol/bytes'
import { documentIdOf } from '@sealmesh/protocol/crdt/block-codec'
import type { BlockHash, IncarnationId } from '@sealmesh/protocol/ids'
import type { Sodium } from '@sealmesh/protocol/sodium'
import type { PrunedItem } from '@sealmesh/protocol/sync/payload'
import { loadSodium } from '@sealmesh/sodium/load'
import { afterEach, beforeAll, beforeEach, expect, test, vi } from 'vitest'
import { BaseStore } from '../store/base-store.ts'
import { afterPrefix, documentPrefix } from '../store/keys.ts'
import { Compaction } from './compaction.ts'
import type { Documents } from './documents.ts'
import { type Running, set, sync, TestHomes, typeText, valueOf } from './test-homes.ts'

let sodium: Sodium
let homes: TestHomes
let home: Running
let office: Running

beforeAll(async () => {
  sodium = await loadSodium()
})

beforeEach(async () => {
  homes = await TestHomes.make(sodium)
  const { agent, office: reader } = homes.mesh
  homes.mesh.append(
    { type: 'grant', agent, layer: 'semantic', to: { type: 'node', node: reader.id }, access: 'write' },
    'agent',
  )
  home = await homes.start('home', homes.mesh.home)
  office = await homes.start('office', homes.mesh.office)
})

afterEach(() => homes.remove())

/** As if nobody else read the document: nobody waits for one that has lapsed. */
async function compact(running: Running, node = homes.mesh.home, historyMs = -60_000): Promise<boolean> {
  const compaction = new Compaction({
    documents: running.documents,
    node: node.id,
    mesh: () => homes.mesh.mesh,
    receipted: () => running.documents.vectorOf(homes.semantic),
    log: { info: () => {}, warn: () => {} },
    historyMs,
    historyBytes: 0,
    floorBytes: 0,
  })
  return compaction.compact(homes.semantic)
}

async function write(running: Running, rounds: number, prefix = 'key'): Promise<void> {
  for (let round = 0; round < rounds; round++) {
    await running.documents.write(homes.semantic, [set(`${prefix}-${round % 20}`, `value ${round}`)])
    if (round % 9 === 0)
      await running.documents.write(homes.semantic, [{ type: 'delete', key: `${prefix}-${round % 7}` }])
    if (round % 10 === 0) await running.documents.editText(homes.semantic, typeText(0, `${prefix} ${round}\n`))
  }
}

async function stateOf(documents: Documents) {
  const document = await documents.open(homes.semantic)
  return { digest: toHex(document.digest()), vector: document.vector, text: document.text('notes') }
}

const nodeOf = (running: Running) => (running === home ? homes.mesh.home : homes.mesh.office)
const pull = (from: Running, to: Running, bytes?: number): Promise<void> =>
  sync(from.documents, to.documents, homes.semantic, bytes, nodeOf(from).id)

const wordsOfHome = async () => new Map([[homes.mesh.home.id, await home.documents.vectorOf(homes.semantic)]])

async function meet(): Promise<void> {
  await pull(home, office)
  await pull(office, home)
  for (const each of [home, office]) await each.documents.meshChanged()
  await office.documents.reached(homes.semantic, await wordsOfHome())
}

/** An admin says that office has been silent for too long, and that so much of what it wrote is known. */
async function lapse(): Promise<void> {
  const { mesh } = homes
  const known = await home.documents.vectorOf(homes.semantic)
  const own = (await office.documents.vectorOf(homes.semantic)).map(({ incarnation }) => incarnation)
  const vector = known.filter(({ incarnation }) => own.includes(incarnation))
  mesh.append({ type: 'lapse', node: mesh.office.id, cuts: [{ document: homes.semantic, vector }] }, mesh.home)
  await home.documents.meshChanged()
}

async function restartOffice(): Promise<void> {
  await homes.stop(office)
  office = await homes.start('office', homes.mesh.office)
}

const asideOf = async ({ documents }: Running): Promise<string[]> =>
  (await documents.open(homes.semantic))
    .aside()
    .flatMap(({ block }) => block.writes.map((each) => (each.type === 'set' ? `${each.key}=${each.value}` : each.type)))

const isStaged = async ({ store }: Running): Promise<boolean> =>
  (await new BaseStore(store).read(documentIdOf(homes.semantic, sodium)))?.staged !== undefined

async function wholeBlocks({ store }: Running): Promise<number> {
  const prefix = documentPrefix(documentIdOf(homes.semantic, sodium))
  let count = 0
  for await (const _ of store.read({ from: prefix, to: afterPrefix(prefix) })) count += 1
  return count
}

test('a node that had lapsed takes the base of who moved on, and lists what it wrote in its silence', async () => {
  await write(home, 40)
  await meet()
  await write(office, 10, 'office')
  await meet()
  // Silence: each writes what the other does not hear.
  await office.documents.write(homes.semantic, [set('unheard', 'of')])
  await home.documents.write(homes.semantic, [{ type: 'delete', key: 'key-1' }])
  await write(home, 50)
  await lapse()
  expect(await compact(home)).toBe(true)
  await restartOffice()
  expect(await valueOf(office.documents, homes.semantic, 'unheard')).toBeUndefined()
  let gone = -1
  office.documents.onSwitched((_, count) => {
    gone = count
  })
  office.commits.length = 0
  await pull(home, office, 2_000)
  expect(await isStaged(office)).toBe(false)
  await pull(office, home)
  expect(await stateOf(office.documents)).toEqual(await stateOf(home.documents))
  expect(await asideOf(office)).toEqual(['unheard=of'])
  expect(await asideOf(home)).toEqual(['unheard=of'])
  expect(gone).toBeGreaterThanOrEqual(0)
  const changed = office.commits.flatMap(({ changes }) => changes.map(({ type }) => type))
  expect(changed).toContain('set')
  // What it writes now counts.
  await office.documents.write(homes.semantic, [set('back', 'again')])
  await pull(office, home)
  expect(await valueOf(home.documents, homes.semantic, 'back')).toBe('again')
  await restartOffice()
  expect(await stateOf(office.documents)).toEqual(await stateOf(home.documents))
  expect(await office.documents.examine(homes.semantic)).toMatchObject({ damaged: false })
})

test('until the base is whole the document is read and written as it was, over restarts; then it is tidied', async () => {
  await write(home, 60)
  await meet()
  await lapse()
  for (let round = 0; round < 3; round++)
    await home.documents.write(homes.semantic, [{ type: 'delete', key: `key-${10 + round}` }])
  await write(home, 80)
  await compact(home)
  const before = await stateOf(office.documents)
  const gone: number[] = []
  let steps = 0
  for (;;) {
    const { pruned } = await home.documents.after(homes.semantic, await office.documents.claimOf(homes.semantic), 700)
    if (pruned === undefined) break
    await office.documents.receivePruned([pruned], homes.mesh.home.id)
    if (!(await isStaged(office))) break
    steps += 1
    const { text, digest } = await stateOf(office.documents)
    if (steps < 5) expect({ text, digest }).toEqual({ text: before.text, digest: before.digest })
    if (steps === 5) await office.documents.write(homes.semantic, [set('mine', 'meanwhile')])
    if (steps % 4 === 0) {
      await restartOffice()
      office.documents.onSwitched((_, count) => gone.push(count))
    }
  }
  expect(steps).toBeGreaterThan(8)
  expect(await valueOf(office.documents, homes.semantic, 'mine')).toBe('meanwhile')
  await pull(home, office)
  await pull(office, home)
  expect(await stateOf(office.documents)).toEqual(await stateOf(home.documents))
  expect(gone).toHaveLength(1)
  await vi.waitFor(async () => expect(await wholeBlocks(office)).toBeLessThan(20))
  await restartOffice()
  expect(await stateOf(office.documents)).toEqual(await stateOf(home.documents))
})

test('how many registers others deleted or let go in the meantime is said once', async () => {
  await write(home, 30)
  await meet()
  await lapse()
  for (const key of ['key-2', 'key-3', 'key-12']) await home.documents.write(homes.semantic, [{ type: 'delete', key }])
  await compact(home)
  const gone: number[] = []
  office.documents.onSwitched((_, count) => gone.push(count))
  const live = [...(await office.documents.open(homes.semantic)).keys()]
  await pull(home, office)
  const left = new Set((await home.documents.open(homes.semantic)).keys())
  expect(gone).toEqual([live.filter((key) => !left.has(key)).length])
  expect(gone[0]).toBeGreaterThan(1)
  await pull(home, office)
  expect(gone).toHaveLength(1)
})

test('a node in good standing, and one that has caught up after its lapse, gives nothing up for a base', async () => {
  await write(home, 20)
  await meet()
  await lapse()
  await meet() // It has caught up.
  const other = await homes.start('other', homes.mesh.home)
  await pull(home, other)
  await write(other, 30)
  await compact(other)
  const before = await stateOf(office.documents)
  await sync(other.documents, office.documents, homes.semantic, 1_000_000, homes.mesh.home.id)
  expect(office.warnings).toContainEqual({ code: 'BLOCKS_BELOW_BASE' })
  expect(await stateOf(office.documents)).toEqual(before)
})

test('a newcomer whose transfer was mixed with whole blocks takes the base of another sender', async () => {
  await write(home, 30)
  const begun = await home.documents.after(homes.semantic, [], 2_000)
  expect(begun.more).toBe(true)
  await office.documents.receive(begun.blocks)
  const first = await stateOf(office.documents)
  await write(home, 40)
  await compact(home)
  await pull(home, office, 700)
  expect(await stateOf(office.documents)).not.toEqual(first)
  expect(await stateOf(office.documents)).toEqual(await stateOf(home.documents))
})

test('what our own base has left too little of comes whole before the switch', async () => {
  await write(home, 30)
  await meet()
  const other = await homes.start('other', homes.mesh.home)
  await pull(home, other)
  await compact(other)
  // Home goes on, and office, which is behind in what other writes, draws a base beyond that of other.
  await write(home, 25)
  await meet()
  expect(await compact(office, homes.mesh.office)).toBe(true)
  await lapse()
  await write(other, 25, 'other')
  expect(await compact(other, homes.mesh.home)).toBe(true)
  await pull(home, other)
  const before = await stateOf(office.documents)
  const sends = (vector: Parameters<Documents['after']>[1]) => other.documents.after(homes.semantic, vector, 1_000_000)
  const { pruned } = await sends(await office.documents.claimOf(homes.semantic))
  await office.documents.receivePruned([pruned!], homes.mesh.home.id)
  const again = await sends(await office.documents.claimOf(homes.semantic))
  if (again.pruned !== undefined) await office.documents.receivePruned([again.pruned], homes.mesh.home.id)
  // All rows are here, and blocks are missing: nothing has changed yet.
  expect(await isStaged(office)).toBe(true)
  expect(await stateOf(office.documents)).toEqual(before)
  const rest = await sends(await office.documents.claimOf(homes.semantic))
  expect(rest.blocks.length).toBeGreaterThan(2)
  await office.documents.receive(rest.blocks.slice(0, 2))
  expect(await isStaged(office)).toBe(true)
  await restartOffice()
  const last = await sends(await office.documents.claimOf(homes.semantic))
  expect(last.blocks.length).toBeLessThan(rest.blocks.length)
  await office.documents.receive(last.blocks)
  expect(await isStaged(office)).toBe(false)
  await sync(other.documents, office.documents, homes.semantic, 1_000_000, homes.mesh.home.id)
  expect(await stateOf(office.documents)).toEqual(await stateOf(other.documents))
})

test('nothing that is set aside goes: a base that lies above it is refused', async () => {
  await write(home, 12)
  await meet()
  await office.documents.write(homes.semantic, [set('unheard', 'of')])
  const early = homes.mesh.mesh
  await lapse()
  const hostile = await homes.start('hostile', homes.mesh.home, { mesh: () => early })
  await pull(home, hostile)
  await sync(office.documents, hostile.documents, homes.semantic)
  await restartOffice()
  expect(await asideOf(office)).toEqual(['unheard=of'])
  await write(hostile, 12)
  // Hostile takes what is void for what counts, and overwrites it.
  const { pruned } = await forged(hostile)
  await office.documents.receivePruned([pruned], homes.mesh.home.id)
  const again = await hostile.documents.after(homes.semantic, await office.documents.claimOf(homes.semantic), 1_000_000)
  if (again.pruned !== undefined) await office.documents.receivePruned([again.pruned], homes.mesh.home.id)
  expect(office.warnings).toContainEqual({ code: 'ASIDE_BELOW_BASE' })
  expect(await asideOf(office)).toEqual(['unheard=of'])
})

/** A base that somebody draws who does not believe in lapses. */
async function forged(running: Running): Promise<{ pruned: PrunedItem }> {
  await compact(running)
  const { pruned } = await running.documents.after(homes.semantic, [], 1_000_000)
  if (pruned === undefined) throw new Error('There is a base.')
  return { pruned }
}

test('a staged base gives way to whole blocks when nobody goes on with it, and its sender is barred', async () => {
  await homes.stop(office)
  let skewMs = 0
  office = await homes.start('office', homes.mesh.office, { now: () => Date.now() + skewMs })
  const whole = await homes.start('whole', homes.mesh.home)
  await write(home, 30)
  await meet()
  await lapse()
  await write(home, 30)
  await pull(home, whole)
  await compact(home)
  const { pruned } = await home.documents.after(homes.semantic, [], 900)
  await office.documents.receivePruned([pruned!], homes.mesh.home.id)
  expect(await isStaged(office)).toBe(true)
  skewMs = 61_000
  const claimed = await office.documents.claimOf(homes.semantic)
  expect(claimed).not.toEqual(await office.documents.vectorOf(homes.semantic))
  await sync(whole.documents, office.documents, homes.semantic)
  await vi.waitFor(async () => expect(await isStaged(office)).toBe(false))
  expect(await office.documents.claimOf(homes.semantic)).toEqual(await office.documents.vectorOf(homes.semantic))
  await sync(whole.documents, office.documents, homes.semantic)
  expect(await stateOf(office.documents)).toEqual(await stateOf(home.documents))
  await write(home, 30)
  await compact(home)
  await pull(home, office)
  expect(office.warnings).toContainEqual({ code: 'GIVEN_UP' })
})

test('of another branch of what is here no base is staged', async () => {
  await write(home, 10)
  await meet()
  await lapse()
  const { pruned } = await (async () => {
    await write(home, 10)
    await compact(home)
    return home.documents.after(homes.semantic, [], 1_000_000)
  })()
  const [dot] = await office.documents.vectorOf(homes.semantic)
  const ends = pruned!.ends.map((end) =>
    end.dot.incarnation === dot!.incarnation
      ? { ...end, dot: { ...end.dot, sequence: dot!.sequence, hash: '00'.repeat(32) as BlockHash } }
      : end,
  )
  const before = await stateOf(office.documents)
  await office.documents.receivePruned([{ ...pruned!, ends }], homes.mesh.home.id)
  expect(await stateOf(office.documents)).toEqual(before)
})

test('T-clone-3: a home that was put back from a copy takes a base that has its own lost words, and no other', async () => {
  await write(home, 20)
  await meet()
  await office.documents.write(homes.semantic, [set('early', '1')])
  await meet()
  const copy = await homes.start('copy', homes.mesh.office)
  await sync(home.documents, copy.documents, homes.semantic)
  await copy.documents.reached(homes.semantic, await wordsOfHome())
  // Without a word of its own that it has lost, it keeps what it has.
  await write(home, 30)
  const other = await homes.start('other', homes.mesh.home)
  await pull(home, other)
  await compact(other)
  await sync(other.documents, copy.documents, homes.semantic, 1_000_000, homes.mesh.home.id)
  expect(copy.warnings).toContainEqual({ code: 'OWN_BLOCKS_BELOW_BASE' })
  await office.documents.write(homes.semantic, [set('lost', '2')])
  await meet()
  await compact(home)
  await sync(home.documents, copy.documents, homes.semantic, 1_000_000, homes.mesh.home.id)
  expect(await valueOf(copy.documents, homes.semantic, 'lost')).toBe('2')
  expect(await stateOf(copy.documents)).toEqual(await stateOf(home.documents))
})

test('a home that was put back comes in step where its own word was deleted since, and lists it', async () => {
  await office.documents.write(homes.semantic, [set('mine', 'precious'), set('stays', '1')])
  await write(home, 20)
  await meet()
  const copy = await homes.start('copy', homes.mesh.office)
  await sync(home.documents, copy.documents, homes.semantic)
  await copy.documents.reached(homes.semantic, await wordsOfHome())
  await home.documents.write(homes.semantic, [{ type: 'delete', key: 'mine' }])
  await write(home, 5)
  await meet()
  await compact(home)
  // The pin has shown that the database held more once. That is forgotten when it has caught up, and not before.
  await copy.documents.catchUp.wasPutBack()
  await homes.stop(copy)
  const again = await homes.start('copy', homes.mesh.office)
  await sync(home.documents, again.documents, homes.semantic, 1_000_000, homes.mesh.home.id)
  expect(again.warnings).toEqual([])
  expect(await stateOf(again.documents)).toEqual(await stateOf(home.documents))
  const listed: string[] = []
  for await (const [, { write: each }] of again.documents.leftOut.all()) listed.push(each.key)
  expect(listed).toEqual(['mine'])
  await again.documents.reached(homes.semantic, await wordsOfHome())
  expect(again.documents.catchUp.documents()).toEqual([])
})

test('a made-up dot in the word of a writer does not keep a newcomer from being whole', async () => {
  await write(home, 5)
  await pull(home, office)
  const { catchUp } = office.documents
  expect(catchUp.documents()).toHaveLength(1)
  const madeUp = { incarnation: 'ff'.repeat(16) as IncarnationId, sequence: 7, hash: 'ff'.repeat(32) as BlockHash }
  const vector = await home.documents.vectorOf(homes.semantic)
  await office.documents.reached(homes.semantic, new Map([[homes.mesh.home.id, [...vector, madeUp]]]))
  expect(catchUp.documents()).toEqual([])
})
