import type { TaskRecord, WorkRecord } from '@sealmesh/protocol/messages/task'
import { expect, test } from 'vitest'
import { Tasks } from './tasks.ts'
import { forSeeds } from './test-seeds.ts'
import { ROUGH, TestWorld } from './test-world.ts'
import type { Life } from './test-world.ts'
import { Worker } from './worker.ts'

const STORM_MS = 60_000
const WORKERS = [
  { name: 'ada', node: 'home', capacity: 1 },
  { name: 'bob', node: 'office', capacity: 2 },
  { name: 'cyd', node: 'travel', capacity: 1 },
]

interface Done {
  readonly agent: string
  readonly task: string
}

/** A worker whose work takes a while, and fails now and then. */
function workerThat(world: TestWorld, capacity: number, done: Done[], capabilities = ['build']) {
  return async ({ deps }: Life) => {
    const tasks = await Tasks.start(deps)
    await Worker.start(deps, {
      capabilities,
      capacity,
      tasks,
      handle: async ({ payload }) => {
        // One that was passed on to this worker has another id.
        const { id: task } = payload as { id: string }
        await new Promise<void>((resolve) => deps.after(100 + world.dice.pick(5_000), resolve))
        if (world.dice.random() < 0.1) throw new Error('It did not build')
        done.push({ agent: deps.port.name, task })
        return { task, by: deps.port.name }
      },
    })
  }
}

const stateOf = (world: TestWorld, id: string) => world.onDisk(`asker.tasks.task.${id}`) as TaskRecord | undefined
const isOver = (record: TaskRecord | undefined) =>
  record !== undefined && record.state !== 'open' && record.state !== 'assigned'

/** Everything that any register of a task has said. */
function expectRecordedOnce(world: TestWorld): void {
  const last = new Map<string, TaskRecord>()
  for (const { umr, value } of world.writes) {
    if (umr.includes('.tasks.work.')) {
      const { visited } = (value as WorkRecord).request
      expect(new Set([...visited, umr.split('.')[0]]).size, 'nobody has it twice on its way').toBe(visited.length + 1)
    }
    if (!umr.includes('.tasks.task.')) continue
    const before = last.get(umr)
    // The same once more is what nobody knew to be on disk.
    if (isOver(before)) expect(value, `${umr} changes after its end`).toEqual(before)
    last.set(umr, value as TaskRecord)
  }
}

test('whatever crashes, every task is done at least once and its result is recorded exactly once', async () => {
  await forSeeds(25, async (seed) => {
    const world = new TestWorld(seed, ROUGH)
    const done: Done[] = []
    const ids = Array.from({ length: 6 }, (_, at) => `t${at}`)
    world.add('asker', 'home', async ({ deps }) => {
      const tasks = await Tasks.start(deps)
      for (const id of ids) {
        await tasks.open({ id, title: id, capability: 'build', payload: { id }, attemptsMax: 64 })
        await new Promise<void>((resolve) => deps.after(1_000, resolve))
      }
    })
    for (const { name, node, capacity } of WORKERS) world.add(name, node, workerThat(world, capacity, done))
    world.storm(STORM_MS)
    await world.run(7_200_000, () => ids.every((id) => isOver(stateOf(world, id))))

    for (const id of ids) {
      const record = stateOf(world, id)
      expect(record?.state, id).toBe('done')
      expect(record?.result).toEqual({ ok: true, value: { task: id, by: expect.any(String) } })
      expect(done.some(({ task }) => task === id)).toBe(true)
    }
    // Late results, repeated ones, and those that were sent again.
    await world.run(1_200_000)
    expectRecordedOnce(world)
    for (const id of ids) expect(stateOf(world, id)?.state).toBe('done')
    // Every worker knows that nothing more is wanted of it.
    for (const { name } of WORKERS)
      for (let slot = 0; slot < 32; slot++) {
        const work = world.onDisk(`${name}.tasks.work.${slot}`) as WorkRecord | undefined
        if (work !== undefined) expect(work.state, `${name} ${slot}`).toBe('settled')
      }
  })
}, 120_000)

test('after a takeover from what had come to the other machine, every task that it knows is done and recorded once', async () => {
  let fromBehind = 0
  await forSeeds(20, async (seed) => {
    const world = new TestWorld(seed, ROUGH)
    const done: Done[] = []
    const ids = Array.from({ length: 6 }, (_, at) => `t${at}`)
    world.add('asker', 'home', async ({ deps }) => {
      const tasks = await Tasks.start(deps)
      for (const id of ids) {
        await tasks.open({ id, title: id, capability: 'build', payload: { id }, attemptsMax: 64 })
        await new Promise<void>((resolve) => deps.after(2_000, resolve))
      }
    })
    for (const { name, node, capacity } of WORKERS) world.add(name, node, workerThat(world, capacity, done))
    world.storm(40_000)
    let from = 0
    let known: (TaskRecord | undefined)[] = []
    const atMs = 6_000 + world.dice.pick(12_000)
    // The old machine is cut off and goes on for a while.
    world.at(atMs - 5_000, () => world.partition(['home']))
    world.at(atMs, () => {
      const before = ids.map((id) => stateOf(world, id))
      world.takeOver('asker', 'cyd')
      from = world.writes.length
      known = ids.map((id) => stateOf(world, id))
      if (JSON.stringify(known) !== JSON.stringify(before)) fromBehind++
      world.heal()
    })
    await world.run(7_200_000, () => ids.every((id) => isOver(stateOf(world, id))))
    await world.run(1_200_000)
    for (const id of ids) expect(stateOf(world, id)?.state, id).toBe('done')
    // What counts: where the other machine began, and what was written since.
    ids.forEach((id, at) => {
      const line = [
        known[at],
        ...world.writes
          .slice(from)
          .flatMap(({ umr, value }) => (umr.endsWith(`task.${id}`) ? [value as TaskRecord] : [])),
      ]
      const ends = line.filter((record) => record?.state === 'done').map((record) => JSON.stringify(record))
      expect(new Set(ends).size, id).toBe(1)
    })
  })
  // Some of them began behind what the old machine had.
  expect(fromBehind).toBeGreaterThan(0)
}, 120_000)
