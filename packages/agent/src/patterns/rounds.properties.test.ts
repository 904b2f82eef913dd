import type { RoundRecord } from '@sealmesh/protocol/messages/round'
import type { TaskRecord } from '@sealmesh/protocol/messages/task'
import type { VoteRecord } from '@sealmesh/protocol/messages/vote'
import { expect, test } from 'vitest'
import { buildPayload } from './core/round.ts'
import { Patterns } from './patterns.ts'
import type { Rounds } from './rounds.ts'
import { forSeeds } from './test-seeds.ts'
import { CALM, ROUGH, TestWorld } from './test-world.ts'
import type { Life } from './test-world.ts'
import { traceLines } from './trace.ts'

const PEOPLE = ['ada', 'bob', 'cyd', 'dan']
const NODES = ['home', 'office', 'travel']
const UMR = 'caller.tasks.round.r'
const round = { id: 'r', problem: 'A shed', participants: PEOPLE, capability: 'build', phaseMs: 10_000 }

const caller =
  (started: (rounds: Rounds) => Promise<unknown>) =>
  async ({ deps }: Life): Promise<void> => {
    const { rounds } = await Patterns.start(deps.port, { deps: (port) => ({ ...deps, port }) })
    await started(rounds)
  }

const person =
  (world: TestWorld, thinksMs: number) =>
  async ({ deps }: Life): Promise<void> => {
    const { pick, one } = world.dice
    const { name } = deps.port
    const thinking = () => new Promise<void>((resolve) => deps.after(pick(thinksMs), resolve))
    await Patterns.start(deps.port, {
      deps: (port) => ({ ...deps, port }),
      contributor: {
        brainstorm: async ({ problem }) => {
          await thinking()
          return `${problem} by ${name}, thought ${pick(1_000)}`
        },
        critique: async ({ ideas }) => {
          await thinking()
          return { text: `${name} has doubts`, about: one(ideas).id }
        },
      },
      voter: { decide: async ({ options }) => one([...options, null]) },
      worker: {
        capabilities: ['build'],
        capacity: 1,
        handle: async ({ payload }) => {
          await thinking()
          return { built: (payload as { idea: string }).idea }
        },
      },
    })
  }

const ORDER = ['brainstorm', 'critique', 'vote', 'build', 'done']

test('whatever crashes, a round goes through its phases once, and builds what was voted for', async () => {
  const ends = new Set<string>()
  await forSeeds(25, async (seed) => {
    const world = new TestWorld(seed, ROUGH)
    world.add(
      'caller',
      'home',
      caller((rounds) => rounds.call(round)),
    )
    PEOPLE.forEach((name, at) => world.add(name, NODES[at % 3] as string, person(world, 8_000)))
    world.storm(50_000)
    const now = () => world.onDisk(UMR) as RoundRecord | undefined
    await world.run(3_600_000, () => ['done', 'undecided'].includes(now()?.phase ?? ''))
    await world.run(60_000)

    const versions = world.writes.filter(({ umr }) => umr === UMR).map(({ value }) => value as RoundRecord)
    const last = versions.at(-1) as RoundRecord
    ends.add(last.phase)
    expect(['done', 'undecided']).toContain(last.phase)
    versions.forEach((version, at) => {
      const before = versions[at - 1]
      if (before === undefined) return
      if (version.phase !== 'undecided')
        expect(ORDER.indexOf(version.phase)).toBeGreaterThanOrEqual(ORDER.indexOf(before.phase))
      expect(version.ideas.slice(0, before.ideas.length), 'an idea changed').toEqual(before.ideas)
      expect(version.critiques.slice(0, before.critiques.length)).toEqual(before.critiques)
    })
    for (const said of [last.ideas, last.critiques]) expect(new Set(said.map(({ by }) => by)).size).toBe(said.length)
    const vote = world.onDisk('caller.tasks.vote.r-vote') as VoteRecord | undefined
    if (last.phase === 'undecided') {
      expect(vote?.outcome?.decision ?? null).toBeNull()
      return
    }
    expect(last.decision).toBe(vote?.outcome?.decision)
    const task = world.onDisk('caller.tasks.task.r-build') as TaskRecord
    expect(last.result).toEqual(task.result)
    const idea = last.ideas.find(({ id }) => id === last.decision)?.text
    expect(last.result).toEqual({ ok: true, value: { built: idea } })
  })
  expect([...ends]).toContain('done')
}, 120_000)

test('a round without ideas is undecided, one that is cancelled ends with its vote', async () => {
  const world = new TestWorld(1, CALM)
  const controller = new AbortController()
  world.add(
    'caller',
    'home',
    caller(async (rounds) => {
      await rounds.call({ ...round, id: 'empty', participants: ['mute'] })
      await rounds.call({ ...round, phaseMs: 5_000, signal: controller.signal })
    }),
  )
  world.add('mute', 'office', () => {})
  world.add('ada', 'office', person(world, 100))
  await world.run(12_000)
  expect(world.onDisk('caller.tasks.round.empty')).toMatchObject({ phase: 'undecided', ideas: [] })
  expect(world.onDisk(UMR)).toMatchObject({ phase: 'vote' })
  controller.abort()
  await world.run(10_000)
  expect(world.onDisk(UMR)).toMatchObject({ phase: 'cancelled' })
  expect(world.onDisk('caller.tasks.vote.r-vote')).toMatchObject({ outcome: { reason: 'cancelled' } })
  expect(world.onDisk('caller.tasks.task.r-build')).toBeUndefined()
})

test('the trace of a round shows its vote and its task', async () => {
  const world = new TestWorld(2, CALM)
  world.add(
    'caller',
    'home',
    caller((rounds) => rounds.call(round)),
  )
  PEOPLE.forEach((name, at) => world.add(name, NODES[at % 3] as string, person(world, 100)))
  await world.run(60_000, () => (world.onDisk(UMR) as RoundRecord | undefined)?.phase === 'done')
  await world.run(1_000)
  expect(world.onDisk(UMR)).toMatchObject({ phase: 'done' })
  const lines = traceLines(
    world.traces.flatMap(({ entries }) => entries),
    'r',
  ).join('\n')
  for (const step of [
    'caller round r brainstorm',
    'got idea',
    'r-vote decided',
    'task r-build done',
    'got task-request',
  ])
    expect(lines).toContain(step)
})

test('what is built is given the critiques of its idea, as many as fit', () => {
  const said = (id: string, about: string | null, text: string) => ({ id, by: 'ada', text, about })
  const record = {
    problem: 'p',
    ideas: [said('idea-1', null, 'one'), said('idea-2', null, 'two')],
    critiques: [said('c1', 'idea-1', 'no'), said('c2', 'idea-2', 'yes'), said('c3', null, 'both')],
    decision: 'idea-2',
  } as unknown as RoundRecord
  expect(buildPayload(record)).toEqual({ problem: 'p', idea: 'two', critiques: ['yes', 'both'] })
  const long = { ...record, critiques: Array.from({ length: 64 }, () => said('c', null, '"'.repeat(256))) }
  expect(buildPayload(long).critiques.length).toBeGreaterThan(20)
  expect(JSON.stringify(buildPayload(long)).length).toBeLessThanOrEqual(16_384)
})
