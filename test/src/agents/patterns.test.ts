import { Patterns } from '@sealmesh/agent/patterns/patterns'
import type { PatternOptions } from '@sealmesh/agent/patterns/patterns'
import { traceLines } from '@sealmesh/agent/patterns/trace'
import { expect, onTestFinished, test } from 'vitest'
import { until } from '../processes/wait.ts'
import { agentsNode } from './agents-node.ts'
import type { AgentsNode } from './agents-node.ts'

/** Agents of a real node that do all that the patterns know. */
async function started(node: AgentsNode, name: string, options: PatternOptions = {}): Promise<Patterns> {
  const patterns = await Patterns.start(await node.attach(name), options)
  onTestFinished(() => patterns.close())
  return patterns
}

const able = (name: string, price: number): PatternOptions => ({
  worker: { capabilities: ['build'], capacity: 2, handle: async ({ payload }) => ({ by: name, payload }) },
  answerer: { capabilities: ['sum'], capacity: 4, handle: async ({ body }) => (body as number[]).length },
  voter: { decide: async ({ options }) => options[0] ?? null },
  bidder: { bid: async () => ({ price, load: 0, capacity: 1 }), onWon: () => undefined },
  contributor: {
    brainstorm: async () => `an idea of ${name}`,
    critique: async ({ ideas }) => ({ text: 'fine', about: ideas[0]?.id ?? null }),
  },
})

test('agents of one node do tasks, answer, vote, bid and think together, and the trace shows how', async () => {
  const node = await agentsNode(['alice', 'bob', 'carol'])
  const alice = await started(node, 'alice')
  const others = [await started(node, 'bob', able('bob', 2)), await started(node, 'carol', able('carol', 1))]

  const task = await alice.tasks.open({ title: 'a shed', capability: 'build', payload: { wood: 12 } })
  expect(await task.settled).toMatchObject({ state: 'done', result: { ok: true, value: { payload: { wood: 12 } } } })
  const entries = [alice, ...others].flatMap(({ deps }) => deps.trace.entries)
  const lines = traceLines(entries, task.id).join('\n')
  for (const step of ['opened', 'got task-request', 'work-done', 'got task-result', 'task-recorded'])
    expect(lines).toContain(step)

  expect(await alice.asker.ask('sum', [1, 2, 3])).toMatchObject({ state: 'answered', value: 3 })

  const electorate = ['bob', 'carol']
  const vote = await alice.votes.call({ question: 'Which?', options: ['a', 'b'], electorate, withinMs: 60_000 })
  expect(await vote.outcome).toMatchObject({ decision: 'a', missing: 0 })

  const wanted = { id: 'sold', title: 'a hut', capability: 'build', payload: null, withinMs: 500 }
  const sold = await alice.auctions.assign(alice.tasks, wanted)
  expect(await sold?.settled).toMatchObject({ state: 'done', doneBy: 'carol' })

  const participants = ['bob', 'carol']
  const round = await alice.rounds.call({ problem: 'Rain', participants, capability: 'build', phaseMs: 60_000 })
  expect(await round.over).toMatchObject({ phase: 'done', decision: 'idea-1', result: { ok: true } })
})

test('a task goes on when its worker is gone, and when its node was', async () => {
  const node = await agentsNode(['alice', 'bob', 'carol'])
  const alice = await started(node, 'alice', { heartbeats: { everyMs: 100, suspectMs: 300, lostMs: 600 } })
  let began = false
  const connection = await node.connect()
  const bob = await connection.attach({ token: node.tokens.get('bob') ?? '' })
  const handle = () => {
    began = true
    return new Promise(() => undefined)
  }
  await Patterns.start(bob, { worker: { capabilities: ['build'], capacity: 2, handle } })
  const task = await alice.tasks.open({ title: 'a shed', capability: 'build', payload: null })
  await until('bob is at work', () => began)
  await connection.close()
  await started(node, 'carol', able('carol', 1))
  expect(await task.settled).toMatchObject({ state: 'done', doneBy: 'carol', attempt: 2 })

  // A call that breaks off is made again, under an id of its own.
  const open = () => alice.tasks.open({ id: 'again', title: 'a hut', capability: 'build', payload: null })
  const restarted = node.restart()
  const again = await open().catch(async () => {
    await restarted
    return open()
  })
  await restarted
  expect(await again.settled).toMatchObject({ state: 'done', doneBy: 'carol' })
})
