import { expect, test } from 'vitest'
import { Answerer } from './answerer.ts'
import { Asker } from './asker.ts'
import type { AskEnd } from './core/ask.ts'
import { CALM, ROUGH, TestWorld } from './test-world.ts'
import type { Life } from './test-world.ts'
import { forSeeds } from './test-seeds.ts'

const WITHIN_MS = 20_000
/** What is sent before the end is told takes its time. */
const SENDING_MS = 100

function answererThat(world: TestWorld, capacity: number, worked: string[]) {
  return async ({ deps }: Life) => {
    // Of this life: what a crash forgets may be worked on again.
    const life = `${deps.port.name}/${deps.newId()}`
    await Answerer.start(deps, {
      capabilities: ['sum'],
      capacity,
      handle: async ({ question, body }) => {
        worked.push(`${life} ${question}`)
        await new Promise<void>((resolve) => deps.after(world.dice.pick(6_000), resolve))
        if (world.dice.random() < 0.1) throw new Error('It cannot be summed')
        const [a, b] = body as [number, number]
        return { sum: a + b, by: deps.port.name }
      },
    })
  }
}

test('a question ends once and in time, with an answer of somebody who was asked; a duplicate is worked on once', async () => {
  let answered = 0
  await forSeeds(40, async (seed) => {
    const world = new TestWorld(seed, ROUGH)
    const worked: string[] = []
    const ends = new Map<number, { end: AskEnd; atMs: number }[]>()
    const asked = new Map<number, number>()
    let at = 0
    world.add('asker', 'home', async ({ deps }) => {
      const asker = new Asker(deps)
      for (; at < 12; ) {
        const mine = at++
        asked.set(mine, deps.nowMs())
        void asker.ask('sum', [mine, 1], { withinMs: WITHIN_MS, tryMs: 3_000 }).then((end) => {
          ends.set(mine, [...(ends.get(mine) ?? []), { end, atMs: deps.nowMs() }])
        })
        await new Promise<void>((resolve) => deps.after(2_000, resolve))
      }
    })
    for (const [name, node, capacity] of [
      ['ada', 'home', 1],
      ['bob', 'office', 2],
      ['cyd', 'travel', 4],
    ] as const)
      world.add(name, node, answererThat(world, capacity, worked))
    world.storm(30_000)
    await world.run(120_000)

    expect(new Set(worked).size, 'one life works on one question once').toBe(worked.length)
    for (const [mine, list] of ends) {
      expect(list.length).toBe(1)
      const { end, atMs } = list[0] as { end: AskEnd; atMs: number }
      expect(atMs - (asked.get(mine) as number)).toBeLessThanOrEqual(WITHIN_MS + SENDING_MS)
      if (end.state !== 'answered') continue
      answered++
      expect(end.value).toEqual({ sum: mine + 1, by: end.by })
    }
  })
  expect(answered).toBeGreaterThan(0)
}, 120_000)

test('in calm weather every question is answered, and load is spread over those that have room', async () => {
  const world = new TestWorld(1, CALM)
  const worked: string[] = []
  const ends: AskEnd[] = []
  world.add('ada', 'home', answererThat(world, 2, worked))
  world.add('bob', 'office', answererThat(world, 2, worked))
  world.add('asker', 'home', async ({ deps }) => {
    const asker = new Asker(deps)
    await new Promise<void>((resolve) => deps.after(100, resolve))
    for (let at = 0; at < 4; at++)
      void asker.ask('sum', [at, 1], { withinMs: 60_000, tryMs: 30_000, triesMax: 8 }).then((end) => ends.push(end))
  })
  await world.run(60_000)
  expect(ends.map(({ state }) => state)).toEqual(['answered', 'answered', 'answered', 'answered'])
  expect(worked.some((work) => work.startsWith('ada')) && worked.some((work) => work.startsWith('bob'))).toBe(true)
})

test('who was asked first and is silent is told to stop when another has answered, and its late answer is known as such', async () => {
  const world = new TestWorld(2, CALM)
  let stopped = false
  let end: AskEnd | undefined
  world.add('asker', 'home', async ({ deps }) => {
    const asker = new Asker(deps)
    await new Promise<void>((resolve) => deps.after(100, resolve))
    end = await asker.ask('sum', [1, 2], { withinMs: 30_000, tryMs: 1_000 })
  })
  const slow = async ({ deps }: Life) => {
    await Answerer.start(deps, {
      capabilities: ['sum'],
      capacity: 1,
      handle: async (_question, signal) => {
        signal.addEventListener('abort', () => {
          stopped = true
        })
        await new Promise<void>((resolve) => deps.after(10_000, resolve))
        return 'late'
      },
    })
  }
  world.add('ada', 'home', slow)
  world.add('bob', 'office', async ({ deps }) => {
    await Answerer.start(deps, { capabilities: ['sum'], capacity: 1, handle: async () => 'here' })
  })
  await world.run(5_000)
  expect(end).toEqual({ state: 'answered', by: 'bob', value: 'here' })
  expect(stopped).toBe(true)
  // ada's machine forgets that it was stopped: a stranger's answer, and a late one, change nothing.
  const question = world.traces[0]?.entries.find(({ event }) => event === 'sent question')?.id as string
  const payload = { question, outcome: { ok: true, value: 'late' } }
  await Promise.all([
    world.forge('ada', { to: 'asker', type: 'response', payload, correlation: question }),
    world.run(1_000),
  ])
  expect(world.traces[0]?.entries.some(({ event, agent }) => event === 'late-answer' && agent === 'ada')).toBe(true)
})

test('an answer of somebody who was not asked is no answer', async () => {
  const world = new TestWorld(3, CALM)
  let end: AskEnd | undefined
  world.add('asker', 'home', async ({ deps }) => {
    end = await new Asker(deps).ask('sum', [1, 2], { withinMs: 10_000 })
  })
  world.add('ada', 'home', () => {}, { capabilities: ['sum'] })
  world.add('eve', 'office', () => {})
  await world.run(1_000)
  const question = world.traces[0]?.entries.find(({ event }) => event === 'sent question')?.id as string
  const payload = { question, outcome: { ok: true, value: 'mine' } }
  await Promise.all([
    world.forge('eve', { to: 'asker', type: 'response', payload, correlation: question }),
    world.run(1_000),
  ])
  expect(end).toBeUndefined()
  await world.run(20_000)
  expect(end).toEqual({ state: 'failed', reason: 'Nobody answered in time' })
})

test('a question that is cancelled ends at once', async () => {
  const world = new TestWorld(4, CALM)
  const controller = new AbortController()
  let end: AskEnd | undefined
  world.add('asker', 'home', async ({ deps }) => {
    end = await new Asker(deps).ask('sum', [1, 2], { signal: controller.signal })
  })
  await world.run(1_000)
  controller.abort()
  await world.run(10)
  expect(end).toEqual({ state: 'cancelled' })
})
