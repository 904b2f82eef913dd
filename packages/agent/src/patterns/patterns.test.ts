import { expect, test } from 'vitest'
import { Patterns } from './patterns.ts'
import { CALM, TestWorld } from './test-world.ts'

const auction = { id: 'a', title: 'the shed', capability: 'build', payload: { wood: 12 }, withinMs: 2_000 }

test('what comes while an agent starts waits until all its patterns have', async () => {
  const world = new TestWorld(1, CALM)
  const acted: string[] = []
  world.add(
    'ada',
    'office',
    async ({ deps }) => {
      await Patterns.start(deps.port, {
        // Its node is slow: what waited for it comes first.
        deps: (port) => ({
          ...deps,
          port: {
            ...port,
            list: (prefix) => new Promise((resolve) => deps.after(1_500, () => resolve(port.list(prefix)))),
          },
        }),
        bidder: {
          bid: async () => ({ price: 1, load: 0, capacity: 1 }),
          onWon: ({ payload }) => void acted.push(JSON.stringify(payload)),
        },
      })
    },
    { capabilities: ['build'] },
  )
  world.add('caller', 'home', async ({ deps }) => {
    const { auctions } = await Patterns.start(deps.port, { deps: (port) => ({ ...deps, port }) })
    await auctions.call({ ...auction, withinMs: 20_000 })
  })
  await world.run(19_000)
  // The award is on its way when it starts again.
  await world.run(1_200, () => (world.onDisk('caller.tasks.auction.a') as { state: string }).state === 'offered')
  world.crash('ada')
  world.start('ada')
  await world.run(120_000)
  expect(world.onDisk('caller.tasks.auction.a')).toMatchObject({ state: 'sold', winner: 'ada', told: true })
  expect(acted).toEqual(['{"wood":12}'])
})

test('one agent shows what all its parts can do, with their room and load together', async () => {
  const world = new TestWorld(2, CALM)
  let profiles: unknown
  world.add('ada', 'office', async ({ deps }) => {
    await Patterns.start(deps.port, {
      deps: (port) => ({ ...deps, port }),
      worker: { capabilities: ['build'], capacity: 2, handle: () => new Promise(() => {}) },
      answerer: { capabilities: ['sum', 'build'], capacity: 8, handle: async () => 3 },
    })
  })
  world.add('asker', 'home', async ({ deps }) => {
    const { tasks, asker } = await Patterns.start(deps.port, { deps: (port) => ({ ...deps, port }) })
    await new Promise<void>((resolve) => deps.after(1_000, resolve))
    await tasks.open({ title: 'the shed', capability: 'build', payload: null })
    expect(await asker.ask('sum', [1, 2])).toEqual({ state: 'answered', by: 'ada', value: 3 })
    profiles = await deps.port.agents({ capability: 'sum' })
  })
  await world.run(10_000)
  expect(profiles).toMatchObject([{ name: 'ada', capabilities: ['build', 'sum'], capacity: 10, load: 1 }])
})

test('what is closed does nothing more, and goes on at the next start', async () => {
  const world = new TestWorld(3, CALM)
  const started: Patterns[] = []
  let handled = 0
  world.add('ada', 'office', async ({ deps }) => {
    const handle = async () => {
      handled++
      await new Promise<void>((resolve) => deps.after(5_000, resolve))
      return 'done'
    }
    const worker = { capabilities: ['build'], capacity: 1, handle }
    started.push(await Patterns.start(deps.port, { deps: (port) => ({ ...deps, port }), worker }))
  })
  world.add('asker', 'home', async ({ deps }) => {
    const { tasks } = await Patterns.start(deps.port, { deps: (port) => ({ ...deps, port }) })
    await new Promise<void>((resolve) => deps.after(1_000, resolve))
    await tasks.open({ id: 't', title: 'the shed', capability: 'build', payload: null })
  })
  await world.run(4_000)
  await Promise.all([started[0]?.close(), world.run(100)])
  expect(handled).toBe(1)
  await world.run(60_000)
  expect(world.onDisk('asker.tasks.task.t')).toMatchObject({ state: 'assigned', assignee: 'ada' })
  world.crash('ada')
  world.start('ada')
  await world.run(60_000)
  expect(handled).toBe(2)
  expect(world.onDisk('asker.tasks.task.t')).toMatchObject({ state: 'done', attempt: 1 })
})
