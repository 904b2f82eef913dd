import { loadSodium } from '@sealmesh/sodium/load'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { set, TestHomes } from '../documents/test-homes.ts'
import { historyHandlers } from './history.ts'
import { nobody, serviceOf } from './test-service.ts'

const sodium = await loadSodium()
const UMR = 'claude.semantic.day'
const DAY_MS = 86_400_000
/** Nobody else is at work. */
const alone = { isOver: () => false, turn: async () => {} }

let homes: TestHomes
beforeEach(async () => {
  homes = await TestHomes.make(sodium)
})
afterEach(() => homes.remove())

async function keeper() {
  const clock = { ms: Date.now() - 30 * DAY_MS }
  const home = await homes.start('home', homes.mesh.home, { now: () => clock.ms })
  const context = { ...serviceOf(homes, homes.mesh.home, home), now: () => clock.ms }
  const handlers = historyHandlers(context)
  const say = async (value: string) => {
    await home.documents.write(homes.semantic, [set('day', value)])
    clock.ms += DAY_MS
    return new Date(clock.ms - DAY_MS).toISOString()
  }
  const versions = async () => (await handlers.history({ umr: UMR, limit: 20 }, nobody)).versions
  return { home, clock, handlers, say, versions }
}

test('a deleted register has a history, and is restored by a new write', async () => {
  const { home, handlers, say, versions } = await keeper()
  const monday = await say('"Monday"')
  await home.documents.write(homes.semantic, [{ type: 'delete', key: 'day' }])
  expect((await versions()).map(({ value, state }) => [value, state])).toEqual([
    [null, 'shown'],
    ['"Monday"', 'replaced'],
  ])
  const restored = await handlers.restore({ umr: UMR, at: monday }, nobody)
  expect(restored).toMatchObject({ type: 'register', from: monday })
  expect((await versions())[0]).toMatchObject({ value: '"Monday"', write: restored.write, state: 'shown' })
})

test('before it was first written it was not there, and nothing is restored', async () => {
  const { handlers, say } = await keeper()
  const first = await say('1')
  const before = new Date(Date.parse(first) - 1).toISOString()
  expect(await handlers['history.at']({ umr: UMR, at: before }, nobody)).toMatchObject({ type: 'nothing', value: null })
  const restoring = handlers.restore({ umr: UMR, at: before }, nobody)
  await expect(restoring).rejects.toMatchObject({ code: 'ITEM_NOT_FOUND' })
})

test('what compaction has taken is said to be gone: where history ends, and that earlier times cannot be had', async () => {
  const { home, clock, handlers, say, versions } = await keeper()
  const times: string[] = []
  for (let n = 0; n < 20; n++) times.push(await say(String(n)))
  const limits = { receipts: [], writerReceipts: [], historyBytes: 64 * 1_048_576, floorBytes: 0, ...alone }
  expect(await home.documents.drawBase(homes.semantic, { ...limits, historyMs: 7 * DAY_MS })).toBe(true)
  const { endsAt } = await handlers.history({ umr: UMR, limit: 20 }, nobody)
  const endMs = Date.parse(endsAt ?? '')
  expect(endMs).toBeGreaterThan(Date.parse(times[0] ?? ''))
  expect(endMs).toBeLessThanOrEqual(clock.ms - 7 * DAY_MS)
  const kept = times.filter((at) => Date.parse(at) >= endMs)
  expect((await versions()).length).toBeGreaterThanOrEqual(kept.length)
  for (const at of kept) {
    const then = await handlers['history.at']({ umr: UMR, at }, nobody)
    expect(then.value).toBe(String(times.indexOf(at)))
  }
  const early = handlers['history.at']({ umr: UMR, at: times[0] ?? '' }, nobody)
  await expect(early).rejects.toMatchObject({ code: 'HISTORY_ENDED' })
})

test('edits of texts below a base are gone, and what they made is there: history goes on from it', async () => {
  const { home, clock, handlers } = await keeper()
  const umr = 'claude.semantic.notes'
  const written: string[] = []
  for (let n = 0; n < 20; n++) {
    await home.documents.editText(homes.semantic, (doc) => doc.getText('notes').insert(0, `line ${n}\n`))
    await home.documents.write(homes.semantic, [set('day', String(n))])
    written.push(new Date(clock.ms).toISOString())
    clock.ms += DAY_MS
  }
  const limits = { receipts: [], writerReceipts: [], historyBytes: 64 * 1_048_576, floorBytes: 0, ...alone }
  expect(await home.documents.drawBase(homes.semantic, { ...limits, historyMs: 7 * DAY_MS })).toBe(true)
  const { versions, endsAt } = await handlers.history({ umr, limit: 20 }, nobody)
  const endMs = Date.parse(endsAt ?? '')
  const gone = written.filter((at) => Date.parse(at) <= endMs).length
  expect(gone).toBeGreaterThan(10)
  expect(versions).toHaveLength(20 - gone)
  expect(versions.at(-1)?.hunks).toEqual([{ line: 1, removed: [], added: [`line ${gone}`] }])
  const reads = (n: number) => Array.from({ length: n + 1 }, (_, at) => `line ${n - at}\n`).join('')
  expect(await handlers['history.at']({ umr, at: endsAt ?? '' }, nobody)).toMatchObject({ value: reads(gone - 1) })
  expect(await handlers['history.at']({ umr, at: written[gone] ?? '' }, nobody)).toMatchObject({ value: reads(gone) })
  const early = handlers['history.at']({ umr, at: written[0] ?? '' }, nobody)
  await expect(early).rejects.toMatchObject({ code: 'HISTORY_ENDED' })
  await handlers.restore({ umr, at: written[gone] ?? '' }, nobody)
  expect((await home.documents.open(homes.semantic)).text('notes')).toBe(reads(gone))
})

test('a text that nobody has edited since the base has no version left but what it reads', async () => {
  const { home, clock, handlers } = await keeper()
  const umr = 'claude.semantic.notes'
  await home.documents.editText(homes.semantic, (doc) => doc.getText('notes').insert(0, 'kept\n'))
  clock.ms += 30 * DAY_MS
  const limits = { receipts: [], writerReceipts: [], historyBytes: 64 * 1_048_576, floorBytes: 0, ...alone }
  expect(await home.documents.drawBase(homes.semantic, { ...limits, historyMs: 7 * DAY_MS })).toBe(true)
  const { versions, endsAt } = await handlers.history({ umr, limit: 20 }, nobody)
  expect([versions, typeof endsAt]).toEqual([[], 'string'])
  const now = new Date(clock.ms).toISOString()
  expect(await handlers['history.at']({ umr, at: now }, nobody)).toMatchObject({ type: 'text', value: 'kept\n' })
})
