import type { TaskRecord } from '@sealmesh/protocol/messages/task'
import { expect, test } from 'vitest'
import type { Health, Healths } from './core/health.ts'
import { stepHealth } from './core/health.ts'
import { Heartbeats } from './heartbeats.ts'
import { Tasks } from './tasks.ts'
import { forSeeds } from './test-seeds.ts'
import { CALM, ROUGH, TestWorld } from './test-world.ts'
import { Worker } from './worker.ts'

const LOST_MS = 12_000
const options = { everyMs: 2_000, suspectMs: 6_000, lostMs: LOST_MS }

test('the open tasks of machines that never come back are done by others, and whoever is back is well again', async () => {
  let moved = 0
  await forSeeds(15, async (seed) => {
    const world = new TestWorld(seed, ROUGH)
    const ids = ['t0', 't1', 't2', 't3']
    const held: { heartbeats?: Heartbeats } = {}
    world.add('asker', 'home', async ({ deps }) => {
      const tasks = await Tasks.start(deps)
      held.heartbeats = new Heartbeats(deps, { ...options, tasks })
      for (const id of ids) await tasks.open({ id, title: id, capability: 'build', payload: null, attemptsMax: 64 })
    })
    const workers = ['ada', 'bob', 'cyd', 'dan']
    let gone: readonly string[] = []
    workers.forEach((name, at) => {
      world.add(name, ['home', 'office', 'travel'][at % 3] as string, async ({ deps }) => {
        if (gone.includes(name)) return world.crash(name)
        const tasks = await Tasks.start(deps)
        // One that has passed a task on watches over whoever has it.
        new Heartbeats(deps, { ...options, tasks })
        await Worker.start(deps, {
          capabilities: ['build'],
          capacity: 2,
          tasks,
          handle: () =>
            new Promise((resolve) => deps.after(10_000 + world.dice.pick(20_000), () => resolve(deps.port.name))),
        })
      })
    })
    world.storm(60_000)
    world.at(10_000, () => {
      gone = world.dice.shuffled(workers).slice(0, 2)
      for (const name of gone) world.crash(name)
    })
    const record = (id: string) => world.onDisk(`asker.tasks.task.${id}`) as TaskRecord | undefined
    await world.run(7_200_000, () => ids.every((id) => record(id)?.state === 'done'))
    for (const id of ids) {
      const last = record(id) as TaskRecord
      expect(last.state).toBe('done')
      if (last.history.some(({ event }) => event === 'lost')) moved++
      const ends = world.writes.filter(
        ({ umr, value }) => umr === `asker.tasks.task.${id}` && (value as TaskRecord).state === 'done',
      )
      expect(new Set(ends.map(({ value }) => JSON.stringify(value))).size, 'recorded once').toBe(1)
    }
    await world.run(4 * LOST_MS)
    for (const name of workers)
      if (gone.includes(name)) expect(held.heartbeats?.of(name), name).not.toBe('suspect')
      else expect(held.heartbeats?.of(name), name).toBe('well')
  })
  expect(moved).toBeGreaterThan(0)
}, 120_000)

async function watching(seed: number, more: Parameters<TestWorld['add']>[3] = {}) {
  const world = new TestWorld(seed, CALM)
  const changes: [string, Health][] = []
  world.add('ada', 'office', ({ deps }) => void new Heartbeats(deps, options), more)
  world.add('watch', 'home', ({ deps }) => {
    new Heartbeats(deps, { ...options, onChange: (agent, health) => void changes.push([agent, health]) })
  })
  await world.run(600_000)
  expect(changes).toEqual([])
  return { world, changes }
}

test('who is silent is suspect, then lost, then well again; nobody is promoted, removed or written about', async () => {
  const { world, changes } = await watching(1)
  world.crash('ada')
  await world.run(options.suspectMs + 2 * options.everyMs)
  expect(changes).toEqual([['ada', 'suspect']])
  await world.run(60_000)
  expect(changes).toEqual([
    ['ada', 'suspect'],
    ['ada', 'lost'],
  ])
  world.start('ada')
  await world.run(10_000)
  expect(changes.at(-1)).toEqual(['ada', 'well'])
  expect(world.writes).toEqual([])
  expect(world.traces.flatMap(({ entries }) => entries).filter(({ event }) => event.startsWith('sent'))).toEqual([])
})

test('who cannot be reached is lost to those who do not reach it', async () => {
  const { world, changes } = await watching(2)
  world.partition(['office'])
  await world.run(60_000)
  expect(changes.at(-1)).toEqual(['ada', 'lost'])
  world.heal()
  await world.run(10_000)
  expect(changes.at(-1)).toEqual(['ada', 'well'])
})

const nobody = { ...options, watched: new Map(), lookedAtMs: 0, toldAtMs: 0 }

test('a watcher that slept calls nobody lost for it', () => {
  const heard = stepHealth(nobody, { type: 'heard', agent: 'ada' }, { nowMs: 1_000 }).next
  const woken = stepHealth(heard, { type: 'tick' }, { nowMs: 10_000_000 })
  expect(woken.effects).toEqual([{ type: 'look' }])
  const looked = stepHealth(woken.next, { type: 'registry', views: [] }, { nowMs: 10_000_000 })
  expect(looked.effects).toEqual([])
  const later = stepHealth(looked.next, { type: 'tick' }, { nowMs: 10_000_000 + options.everyMs })
  expect(later.effects).toEqual([{ type: 'look' }])
})

test('nor does one whose node was away, and so told it nothing', () => {
  let healths: Healths = stepHealth(nobody, { type: 'heard', agent: 'ada' }, { nowMs: 1_000 }).next
  for (let nowMs = options.everyMs; nowMs <= 5 * LOST_MS; nowMs += options.everyMs)
    healths = stepHealth(healths, { type: 'tick' }, { nowMs }).next
  const answered = stepHealth(healths, { type: 'registry', views: [] }, { nowMs: 5 * LOST_MS })
  expect(answered.effects).toEqual([])
  healths = answered.next
  const said: Health[] = []
  for (let nowMs = 5 * LOST_MS; nowMs <= 6 * LOST_MS; nowMs += options.everyMs) {
    const { next, effects } = stepHealth(healths, { type: 'registry', views: [] }, { nowMs })
    healths = next
    for (const effect of effects) if (effect.type === 'changed') said.push(effect.health)
  }
  expect(said).toEqual(['suspect', 'lost'])
})

/** What is said of an agent of another machine, which the registry heard last at those times; looked at every beat. */
function saidOf(heardAtMs: (nowMs: number) => number): [number, Health][] {
  const said: [number, Health][] = []
  let healths: Healths = nobody
  for (let nowMs = options.everyMs; nowMs <= 60_000; nowMs += options.everyMs) {
    healths = stepHealth(healths, { type: 'tick' }, { nowMs }).next
    const views = [{ name: 'ada', state: 'attached', here: false, heardAtMs: heardAtMs(nowMs) } as const]
    const { next, effects } = stepHealth(healths, { type: 'registry', views }, { nowMs })
    healths = next
    for (const effect of effects) if (effect.type === 'changed') said.push([nowMs, effect.health])
  }
  return said
}

test('a machine that is heard as seldom as may be is never suspect, and one time told by two clocks is no sign', () => {
  const { everyMs, suspectMs } = options
  expect(saidOf((nowMs) => nowMs - (nowMs % (suspectMs - everyMs + 1)))).toEqual([])
  expect(saidOf((nowMs) => (nowMs % 3) + (nowMs % 7))).toEqual([
    [everyMs + suspectMs, 'suspect'],
    [everyMs + LOST_MS, 'lost'],
  ])
})
