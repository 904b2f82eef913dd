import { PAYLOAD_BYTES_MAX } from '@sealmesh/protocol/limits'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { type Running, set, valueOf } from '../documents/test-homes.ts'
import { ClosedScene } from './test-closed.ts'

let scene: ClosedScene

beforeEach(async () => {
  scene = await ClosedScene.make()
})

afterEach(() => scene.remove())

/** A document of so many closed incarnations: compacted by the one, adopted by the other. */
async function compactedAndAdopted(count: number): Promise<{ home: Running; office: Running }> {
  const home = await scene.start('home')
  await scene.fill(home, count)
  expect(await scene.compact(home, 'home')).toBe(true)
  const office = await scene.start('office')
  await scene.join(home, office)
  await scene.together(home, office)
  await scene.quiet()
  return { home, office }
}

const WRITES = 100

/** Processor time of writes of one node that the other receives and receipts, one after another. */
async function costOfWrites(from: Running, to: Running): Promise<number> {
  const write = async (writes: number) => {
    for (let at = 0; at < writes; at++) {
      await from.documents.write(scene.semantic, [set('a', `${at} of ${writes}`)])
      await vi.waitFor(
        async () => expect(await valueOf(to.documents, scene.semantic, 'a')).toBe(`${at} of ${writes}`),
        { timeout: 20_000, interval: 5 },
      )
    }
    await scene.together(from, to)
  }
  await write(20)
  await scene.quiet()
  const before = process.cpuUsage()
  await write(WRITES)
  const { user, system } = process.cpuUsage(before)
  return (user + system) / WRITES
}

test('a document of 10,000 closed incarnations is adopted, written, receipted and compacted on, at the cost of one of 10', async () => {
  const few = await compactedAndAdopted(10)
  const costOfFew = await costOfWrites(few.home, few.office)
  await scene.remove()
  scene = await ClosedScene.make()

  const { home, office } = await compactedAndAdopted(10_000)
  const floors = await home.closed.floorsOf(scene.semantic)
  expect(floors.entries(floors.current!)).toHaveLength(10_000)
  expect(await scene.floorOf(office)).toBe(floors.current)
  expect(Math.max(...scene.line.sizes)).toBeLessThan(PAYLOAD_BYTES_MAX)
  const before = scene.line.sizes.length

  await home.documents.write(scene.semantic, [set('first', 'of a run')])
  const first = await scene.blockOf(home, 'first')
  expect(first.header.floor).toEqual({ digest: floors.current, upTo: null })
  expect(first.bytes.length).toBeLessThan(600)
  await office.documents.write(scene.semantic, [set('b', 'from office')])
  await vi.waitFor(async () => expect(await valueOf(home.documents, scene.semantic, 'b')).toBe('from office'), 20_000)
  await scene.together(home, office)
  // A block there and a receipt back: neither names 10,000 incarnations.
  expect(Math.max(...scene.line.sizes.slice(before))).toBeLessThan(4_096)
  expect((await costOfWrites(home, office)) / costOfFew).toBeLessThan(5)

  // As much as is left below the base, a signed header of each run: less is not worth another one.
  for (let at = 0; at < 64; at++) await office.documents.write(scene.semantic, [set('c', `${at}`.repeat(50_000))])
  await scene.together(home, office)
  expect(await scene.compact(office, 'office', home)).toBe(true)
  // Nothing was refused. That its own blocks came from elsewhere is told of home's runs.
  expect(home.warnings.concat(office.warnings).filter((each) => 'code' in (each as object))).toEqual([])
}, 400_000)
