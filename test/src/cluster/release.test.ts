import type { MeshId } from '@sealmesh/protocol/ids'
import { ClusterStore } from '@sealmesh/relay/cluster/cluster-store'
import { ClusterTally } from '@sealmesh/relay/cluster/cluster-tally'
import { type Home, Homes, IDLE_MS } from '@sealmesh/relay/cluster/homes'
import { loadSodium } from '@sealmesh/sodium/load'
import { beforeEach, expect, test } from 'vitest'
import { MemoryLog } from './memory-log.ts'

/** Homes that are given up. */
const [ONE, TWO] = ['00', '08'].map((first) => first.repeat(32) as MeshId) as [MeshId, MeshId]
const sodium = await loadSodium()
let log: MemoryLog
let first: ReturnType<typeof begin>
let second: ReturnType<typeof begin>

/** `dead`: what it hears of all others. */
function begin(instance: string, dead = false) {
  const gone: MeshId[] = []
  const asked: string[] = []
  const tally = new ClusterTally()
  const view = log.seenBy(
    () => true,
    () => ({ beforeTurns: 0, afterTurns: 0, isAnswered: true, isHeard: true }),
  )
  const ignore = (): void => undefined
  const events = { onPersisted: ignore, onFailed: ignore, onTrouble: ignore, onGroup: ignore }
  const store = new ClusterStore({ log: view, events, onLost: ignore, now: () => 0, tally })
  const homes = new Homes({
    ...{ log: view, store, sodium, instance, tally, now: () => 0 },
    isDead: async (other) => {
      asked.push(other)
      return await Promise.resolve(dead)
    },
    onCame: ignore,
    onGone: (mesh) => gone.push(mesh),
    tellTaken: ignore,
  })
  return { homes, store, tally, gone, asked }
}
const here: Home = { type: 'here' }

beforeEach(() => {
  log = new MemoryLog()
  first = begin('first')
  second = begin('second')
})

test('a relay that stops gives all up, and another one takes them without a question', async () => {
  expect([await first.homes.find(ONE, true), await first.homes.find(TWO, true)]).toEqual([here, here])
  expect(await second.homes.find(ONE, true)).toEqual({ type: 'there', instance: 'first' })
  await first.homes.releaseAll()
  expect(first.gone).toEqual([ONE, TWO])
  expect([await second.homes.find(ONE, true), await second.homes.find(TWO, true)]).toEqual([here, here])
  expect(second.asked).toEqual(['first'])
  expect([first.tally.released, second.tally.takeovers]).toEqual([2, 2])
})

test('a mesh that nobody has used for a while is given up, and no other', async () => {
  await first.homes.find(ONE, true)
  await first.homes.find(TWO, true)
  const isUsed = (mesh: MeshId): boolean => mesh === TWO
  await first.homes.releaseIdle(isUsed, 0)
  await first.homes.releaseIdle(isUsed, IDLE_MS - 1)
  expect(first.gone).toEqual([])
  await first.homes.releaseIdle(isUsed, IDLE_MS)
  expect(first.gone).toEqual([ONE])
  expect(await second.homes.find(ONE, true)).toEqual(here)
})

test('one that was used in between begins its while anew', async () => {
  await first.homes.find(ONE, true)
  await first.homes.releaseIdle(() => false, 0)
  await first.homes.releaseIdle(() => true, IDLE_MS - 1)
  await first.homes.releaseIdle(() => false, IDLE_MS)
  expect(first.gone).toEqual([])
})

test('who has lost a mesh gives up nothing of the other’s', async () => {
  const third = begin('third', true)
  await first.homes.find(ONE, true)
  expect(await third.homes.find(ONE, true)).toEqual(here)
  await first.homes.releaseAll()
  expect(await second.homes.find(ONE, true)).toEqual({ type: 'there', instance: 'third' })
})
