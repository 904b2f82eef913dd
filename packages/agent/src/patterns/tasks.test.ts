import type { Message } from '@sealmesh/protocol/messages/message'
import type { TaskRecord, TaskRequest } from '@sealmesh/protocol/messages/task'
import { describe, expect, test } from 'vitest'
import { Tasks } from './tasks.ts'
import { CALM, TestWorld } from './test-world.ts'
import type { Life } from './test-world.ts'
import { traceLines } from './trace.ts'
import { Worker } from './worker.ts'

/** The asker's tasks, as the test steers them. */
function askerIn(world: TestWorld): { tasks?: Tasks } {
  const held: { tasks?: Tasks } = {}
  world.add('asker', 'home', async ({ deps }) => {
    held.tasks = await Tasks.start(deps)
  })
  return held
}

interface Job {
  readonly agent: string
  readonly request: TaskRequest
  readonly signal: AbortSignal
}

const working =
  (jobs: Job[], capacity: number, tookMs: number, capability = 'build') =>
  async ({ deps }: Life): Promise<void> => {
    await Worker.start(deps, {
      capabilities: [capability],
      capacity,
      tasks: await Tasks.start(deps),
      handle: async (request, signal) => {
        jobs.push({ agent: deps.port.name, request, signal })
        await new Promise<void>((resolve) => deps.after(tookMs, resolve))
        return deps.port.name
      },
    })
  }

const task = { title: 'the shed', capability: 'build', payload: null }
const recordOf = (world: TestWorld, id: string, owner = 'asker') =>
  world.onDisk(`${owner}.tasks.task.${id}`) as TaskRecord

async function open(world: TestWorld, asker: { tasks?: Tasks }, more: object = {}): Promise<string> {
  await world.run(100)
  const opened = asker.tasks?.open({ ...task, ...more })
  await world.run(100)
  return (await opened)?.id as string
}

describe('a result', () => {
  test('is done once although every message comes twice', async () => {
    const world = new TestWorld(1, { ...CALM, twice: 1, delayMsMax: 300 })
    const jobs: Job[] = []
    const asker = askerIn(world)
    world.add('ada', 'office', working(jobs, 4, 2_000))
    const ids = [await open(world, asker), await open(world, asker), await open(world, asker)]
    await world.run(60_000)
    expect(ids.map((id) => recordOf(world, id).state)).toEqual(['done', 'done', 'done'])
    expect(jobs.length).toBe(3)
  })

  test('of somebody who was not given the task is not recorded, and not answered', async () => {
    const world = new TestWorld(2, CALM)
    const jobs: Job[] = []
    const asker = askerIn(world)
    world.add('ada', 'office', working(jobs, 1, 5_000))
    const got: Message[] = []
    world.add('eve', 'office', ({ deps }) => void deps.port.onDelivery(({ message }) => void got.push(message)))
    const id = await open(world, asker)
    for (const attempt of [1, 2]) {
      const payload = { task: id, attempt, outcome: { ok: true, value: 'eve' } }
      await Promise.all([world.forge('eve', { to: 'asker', type: 'task-result', payload }), world.run(200)])
    }
    expect(recordOf(world, id)).toMatchObject({ state: 'assigned', assignee: 'ada' })
    await world.run(20_000)
    expect(recordOf(world, id)).toMatchObject({ state: 'done', doneBy: 'ada' })
    expect(got.map(({ type }) => type)).toEqual([])
  })

  test('of an earlier attempt counts, the later one is cancelled, and its result answered the same', async () => {
    const world = new TestWorld(3, CALM)
    const jobs: Job[] = []
    const asker = askerIn(world)
    world.add('ada', 'office', working(jobs, 1, 8_000))
    const id = await open(world, asker)
    await world.run(1_000)
    world.add('bob', 'travel', working(jobs, 1, 30_000))
    await world.run(1_000)
    void asker.tasks?.lost('ada')
    await world.run(2_000)
    expect(recordOf(world, id)).toMatchObject({ state: 'assigned', assignee: 'bob', attempt: 2 })
    await world.run(10_000)
    expect(recordOf(world, id)).toMatchObject({ state: 'done', doneBy: 'ada', result: { value: 'ada' } })
    expect(jobs.map(({ agent, signal }) => [agent, signal.aborted])).toEqual([
      ['ada', false],
      ['bob', true],
    ])
    const payload = { task: id, attempt: 2, outcome: { ok: true, value: 'bob' } }
    const before = world.writes.length
    await Promise.all([world.forge('bob', { to: 'asker', type: 'task-result', payload }), world.run(500)])
    expect(world.writes.length).toBe(before)
    expect(recordOf(world, id).doneBy).toBe('ada')
  })

  test('that cannot be written down is told to nobody, until it is', async () => {
    const world = new TestWorld(4, CALM)
    const asker = askerIn(world)
    world.add('ada', 'office', working([], 1, 1_000))
    const id = await open(world, asker)
    await world.run(500)
    world.weather = { ...CALM, writeFails: 1 }
    await world.run(5_000)
    const told = () => world.traces.some((trace) => trace.entries.some(({ event }) => event === 'sent task-recorded'))
    expect(told()).toBe(false)
    world.weather = CALM
    await world.run(5_000)
    expect(told()).toBe(true)
    expect(recordOf(world, id)).toMatchObject({ state: 'done', doneBy: 'ada' })
  })
})

describe('an open task', () => {
  test('survives the machine of the one who asked', async () => {
    const world = new TestWorld(5, CALM)
    const jobs: Job[] = []
    const asker = askerIn(world)
    const id = await open(world, asker)
    world.crash('asker')
    await world.run(10_000)
    world.add('ada', 'office', working(jobs, 1, 1_000))
    world.start('asker')
    await world.run(60_000)
    expect(recordOf(world, id)).toMatchObject({ state: 'done', doneBy: 'ada' })
  })

  test('of which nobody knew whether it was written is gone on with when it is opened again', async () => {
    const world = new TestWorld(15, { ...CALM, writeFails: 1 })
    const asker = askerIn(world)
    world.add('ada', 'office', () => {}, { capabilities: ['build'] })
    await world.run(100)
    const failed: unknown[] = []
    // Some of them are on the disk all the same.
    for (let at = 0; at < 20 && world.writes.length === 0; at++) {
      void asker.tasks?.open({ ...task, id: 't' }).catch(({ code }: { code: unknown }) => failed.push(code))
      await world.run(100)
    }
    expect(failed.at(-1)).toBe('NODE_NOT_RUNNING')
    world.weather = CALM
    const opened = asker.tasks?.open({ ...task, id: 't' })
    await world.run(1_000)
    expect(recordOf(world, 't')).toMatchObject({ state: 'assigned', assignee: 'ada' })
    void asker.tasks?.cancel('t')
    await world.run(1_000)
    expect((await (await opened)?.settled)?.state).toBe('cancelled')
  })

  test('waits in the queue until somebody able arrives', async () => {
    const world = new TestWorld(6, CALM)
    const asker = askerIn(world)
    world.add('cook', 'home', working([], 1, 1_000, 'cook'))
    const id = await open(world, asker)
    await world.run(120_000)
    expect(recordOf(world, id).state).toBe('open')
    world.add('ada', 'office', working([], 1, 1_000))
    await world.run(60_000)
    expect(recordOf(world, id)).toMatchObject({ state: 'done', doneBy: 'ada', attempt: 1 })
  })

  test('of a lost agent goes to the least loaded able one, nearer or not', async () => {
    const world = new TestWorld(7, CALM)
    const jobs: Job[] = []
    const asker = askerIn(world)
    world.add('ada', 'office', working(jobs, 1, 600_000))
    const id = await open(world, asker)
    await world.run(500)
    world.add('near', 'home', () => {}, { capabilities: ['build'], capacity: 10, load: 2 })
    world.add('far', 'travel', working(jobs, 10, 1_000))
    await world.run(500)
    world.crash('ada')
    void asker.tasks?.lost('ada')
    await world.run(1_000)
    expect(recordOf(world, id)).toMatchObject({ assignee: 'far', attempt: 2 })
  })

  test('that is cancelled by its signal stops its worker and is recorded as such', async () => {
    const world = new TestWorld(8, CALM)
    const jobs: Job[] = []
    const asker = askerIn(world)
    world.add('ada', 'office', working(jobs, 1, 10_000))
    const controller = new AbortController()
    const id = await open(world, asker, { signal: controller.signal })
    await world.run(500)
    controller.abort()
    await world.run(30_000)
    expect(recordOf(world, id).state).toBe('cancelled')
    expect(jobs.map(({ signal }) => signal.aborted)).toEqual([true])
  })

  test('fails at its deadline, and when it was tried as often as it may be', async () => {
    const world = new TestWorld(9, CALM)
    const asker = askerIn(world)
    const late = await open(world, asker, { withinMs: 30_000 })
    await world.run(40_000)
    expect(recordOf(world, late)).toMatchObject({ state: 'failed', result: { reason: 'Not done in time' } })
    world.add('mute', 'office', () => {}, { capabilities: ['build'], capacity: 1 })
    const tried = await open(world, asker, { attemptsMax: 2 })
    await world.run(300_000)
    expect(recordOf(world, tried)).toMatchObject({ state: 'failed', attempt: 2, assigned: ['mute', 'mute'] })
  })

  test('is not used up by those who decline it, and asks them less and less often', async () => {
    const world = new TestWorld(14, CALM)
    const asker = askerIn(world)
    const askedAtMs: number[] = []
    // Its registry entry says that there is room, and goes on saying so.
    const busy = ({ deps }: Life) => {
      deps.port.onDelivery(async ({ message }) => {
        if (message.type !== 'task-request') return
        askedAtMs.push(deps.nowMs())
        const { task: id, attempt } = message.payload as { task: string; attempt: number }
        const payload = { task: id, attempt, reason: 'no-room' }
        await deps.port.send({ to: 'asker', type: 'task-declined', payload, durable: true })
      })
    }
    world.add('busy', 'home', busy, { capabilities: ['build'], capacity: 5 })
    const id = await open(world, asker, { attemptsMax: 2 })
    await world.run(300_000)
    expect(recordOf(world, id).state).toBe('open')
    expect(askedAtMs.length).toBeGreaterThan(5)
    expect(askedAtMs.length).toBeLessThan(20)
    world.add('ada', 'office', working([], 1, 1_000))
    await world.run(120_000)
    expect(recordOf(world, id)).toMatchObject({ state: 'done', doneBy: 'ada', declines: askedAtMs.length })
  })

  test('that is settled stays on disk until newer ones have taken its place, and is answered even after that', async () => {
    const world = new TestWorld(13, CALM)
    const held: { tasks?: Tasks } = {}
    const got: unknown[] = []
    world.add('asker', 'home', async ({ deps }) => {
      held.tasks = await Tasks.start(deps, { settledKept: 2 })
    })
    world.add('ada', 'office', working([], 1, 1_000))
    world.add(
      'bob',
      'office',
      ({ deps }) =>
        void deps.port.onDelivery(({ message }) => {
          if (message.type === 'task-recorded') got.push(message.payload)
        }),
    )
    const ids: string[] = []
    for (let at = 0; at < 4; at++) {
      ids.push(await open(world, held))
      await world.run(10_000)
    }
    expect(ids.map((id) => world.onDisk(`asker.tasks.task.${id}`) !== undefined)).toEqual([false, false, true, true])
    // Those that were there at a start count as well.
    world.crash('asker')
    world.start('asker')
    const last = await open(world, held)
    await world.run(10_000)
    expect(recordOf(world, last).state).toBe('done')
    expect(world.onDisk(`asker.tasks.task.${ids[2]}`)).toBeUndefined()
    const payload = { task: ids[0], attempt: 1, outcome: { ok: true, value: null } }
    await Promise.all([world.forge('bob', { to: 'asker', type: 'task-result', payload }), world.run(500)])
    expect(got).toEqual([{ task: ids[0], attempt: 1, state: 'cancelled', doneBy: null }])
  })

  test('that does not fit its register is refused', async () => {
    const world = new TestWorld(10, CALM)
    const asker = askerIn(world)
    await world.run(100)
    const refused = asker.tasks?.open({ ...task, payload: 'x'.repeat(20_000) }).catch((cause: unknown) => cause)
    await world.run(100)
    expect(await refused).toMatchObject({ code: 'VALUE_INVALID' })
  })
})

describe('a worker without room', () => {
  test('passes the task on, and the trace shows its way from end to end', async () => {
    const world = new TestWorld(11, CALM)
    const jobs: Job[] = []
    const asker = askerIn(world)
    world.add('ada', 'office', working(jobs, 1, 5_000))
    const other = await open(world, asker)
    await world.run(500)
    world.add('bob', 'travel', working(jobs, 1, 500))
    await world.run(100)
    // As if the registry had said that ada has room.
    await Promise.all([
      world.forge('asker', {
        to: 'ada',
        type: 'task-request',
        payload: { task: 'direct', attempt: 1, ...task, deadlineAtMs: null, visited: ['asker'] },
        correlation: 'direct',
      }),
      world.run(20_000),
    ])
    const passed = jobs.find(({ agent, request }) => agent === 'bob' && request.visited.includes('ada'))
    expect(passed?.request.visited).toEqual(['asker', 'ada'])
    const lines = traceLines(
      world.traces.flatMap(({ entries }) => entries),
      'direct',
    )
    const events = lines.map((line) => line.replace(/^\S+\s+/, ''))
    for (const step of ['ada work direct got task-request', 'passed-on', 'ada task w', 'sent task-result asker'])
      expect(events.join('\n')).toContain(step)
    // The other task, which the same worker has, is not part of it.
    expect(lines.some((line) => line.includes(other))).toBe(false)
  })

  test('declines what has gone through too many hands, and what comes back to whoever had it', async () => {
    const world = new TestWorld(12, CALM)
    const answers: string[] = []
    world.add(
      'asker',
      'home',
      ({ deps }) => void deps.port.onDelivery(({ message }) => void answers.push(JSON.stringify(message.payload))),
    )
    world.add('ada', 'office', working([], 1, 60_000))
    world.add('bob', 'travel', working([], 1, 60_000))
    await world.run(100)
    const request = (id: string, visited: string[]) => ({
      to: 'ada',
      type: 'task-request',
      payload: { task: id, attempt: 1, ...task, deadlineAtMs: null, visited },
      correlation: id,
    })
    for (const draft of [
      request('a', ['asker']),
      request('b', ['asker', 'bob']),
      request('c', ['v', 'w', 'x', 'y', 'z']),
    ])
      await Promise.all([world.forge('asker', draft), world.run(500)])
    expect(answers).toEqual([
      '{"task":"a","attempt":1}',
      '{"task":"b","attempt":1,"reason":"no-room"}',
      '{"task":"c","attempt":1,"reason":"too-far"}',
    ])
  })
})

describe('an owner', () => {
  const told = (world: TestWorld, from: string, payload: unknown) =>
    world.forge(from, { to: 'asker', type: 'task-reassign', payload, durable: true })

  test('gives a task to another agent by a word of the asker to itself, and nobody else can', async () => {
    const world = new TestWorld(1, CALM)
    const jobs: Job[] = []
    const asker = askerIn(world)
    for (const name of ['ada', 'bob']) world.add(name, 'office', working(jobs, 4, 20_000))
    const id = await open(world, asker, { prefer: 'ada' })
    await world.run(1_000)
    void told(world, 'bob', { task: id, to: 'bob' })
    await world.run(1_000)
    expect(recordOf(world, id).assignee).toBe('ada')
    void told(world, 'asker', { task: id, to: 'bob' })
    await world.run(1_000)
    expect(recordOf(world, id)).toMatchObject({ assignee: 'bob', attempt: 2 })
    await world.run(60_000)
    expect(recordOf(world, id)).toMatchObject({ state: 'done' })
  })
})
