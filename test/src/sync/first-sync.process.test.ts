import { afterEach, beforeEach, expect, test } from 'vitest'
import { Scene } from '../crash/scene.ts'
import type { NodeProcess } from '../processes/node.ts'
import { shareLayers, untilInSync } from '../processes/pair.ts'
import { until } from '../processes/wait.ts'

const LAYER = 'episodic'
const REGISTERS = 40_000
const AT_ONCE = 1_000
const umrOf = (i: number): string => `home.${LAYER}.fact-${i}`
/** A hundred bytes that no two registers share. */
const valueOf = (i: number): string =>
  JSON.stringify(`${i} ${(i * 2_654_435_761).toString(36).repeat(12)}`.slice(0, 98))

let scene: Scene
beforeEach(async () => {
  scene = await new Scene().open()
})
afterEach(async () => await scene.close())

async function fill(node: NodeProcess, from: number, to: number): Promise<void> {
  const door = await node.door()
  for (let at = from; at < to; at += AT_ONCE) {
    const count = Math.min(AT_ONCE, to - at)
    const writes = Array.from({ length: count }, (_, i) => ({ umr: umrOf(at + i), value: valueOf(at + i) }))
    await door.call('set.many', { writes })
  }
  await door.close()
}

async function has(node: NodeProcess, umr: string): Promise<boolean> {
  const door = await node.door()
  try {
    return (await door.call('get', { umr })).item !== null
  } finally {
    await door.close()
  }
}

const untilIt = async (node: NodeProcess, i: number): Promise<unknown> =>
  await until(`${node.name} has register ${i}`, async () => await has(node, umrOf(i)), 60_000)

async function layerOf(node: NodeProcess) {
  const { agents } = await node.status()
  return agents.find(({ name }) => name === 'home')?.layers.find(({ layer }) => layer === LAYER)
}

test('a first sync that is cut again and again goes on, and ends with every block once', async () => {
  await fill(scene.home, 0, REGISTERS)
  await shareLayers(scene.home, 'home', [LAYER], 'office')
  await untilIt(scene.office, REGISTERS / 8)
  await scene.office.kill()
  await scene.restartOffice()
  // What was durable there before is there still, and nobody sent it a second time.
  expect((await layerOf(scene.office))?.registers).toBeGreaterThan(REGISTERS / 8)
  await untilIt(scene.office, REGISTERS / 4)
  await scene.relay.kill()
  await scene.restartRelay()
  await untilIt(scene.office, REGISTERS / 2)
  await scene.home.kill()
  await scene.restartHome()
  await untilIt(scene.office, REGISTERS - 1)
  await untilInSync(scene.home, scene.office)
  const [home, office] = [await layerOf(scene.home), await layerOf(scene.office)]
  expect(home?.registers).toBe(REGISTERS)
  expect(office).toEqual(home)
})

test('both ends read and write while a first sync runs', async () => {
  await fill(scene.home, 0, REGISTERS)
  const [home, office] = [await scene.home.door(), await scene.office.door()]
  const answered = { home: 0, office: 0 }
  let running = true
  const use = async (door: typeof home, at: 'home' | 'office'): Promise<void> => {
    for (let i = 0; running; i++) {
      await door.call('set', { umr: `${at}.semantic.while-${i}`, value: `${i}` })
      expect((await door.call('get', { umr: `${at}.semantic.while-${i}` })).item).toMatchObject({ value: `${i}` })
      answered[at] += 1
    }
  }
  await shareLayers(scene.home, 'home', [LAYER], 'office')
  const using = [use(home, 'home'), use(office, 'office')]
  await untilIt(scene.office, REGISTERS - 1)
  const during = { ...answered }
  running = false
  await Promise.all(using)
  expect(during.home).toBeGreaterThan(0)
  expect(during.office).toBeGreaterThan(0)
  await untilInSync(scene.home, scene.office)
})

test('a node that restarts does not fill the mailbox of a peer that is away a second time', async () => {
  const received = async (): Promise<number> =>
    Number(/^sealmesh_relay_received_bytes_total (\d+)/m.exec(await scene.relay.metrics())?.[1] ?? Number.NaN)
  await scene.office.stop()
  const start = await received()
  await fill(scene.home, 0, 4_000)
  await shareLayers(scene.home, 'home', [LAYER], 'office')
  const door = await scene.home.door()
  await door.call('set', { umr: `${Scene.PREFIX}last`, value: '1' })
  await until('all of it is in the mailbox', async () => {
    const before = await received()
    await door.call('set', { umr: `${Scene.PREFIX}last`, value: '2' })
    const blocks = (await received()) - before
    return before - start > 100_000 && blocks < 10_000
  })
  await scene.home.stop()
  const before = await received()
  await scene.restartHome()
  const again = await scene.home.door()
  await again.call('set', { umr: umrOf(4_000), value: '3' })
  await until('the new write is in the mailbox', async () => (await received()) > before)
  await scene.restartOffice()
  await untilIt(scene.office, 4_000)
  await untilInSync(scene.home, scene.office)
  expect((await received()) - before).toBeLessThan((before - start) / 2)
})
