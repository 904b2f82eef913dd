import { expect, test } from 'vitest'
import { Auctions } from './auctions.ts'
import { Bidder } from './bidder.ts'
import { forSeeds } from './test-seeds.ts'
import { CALM, ROUGH, TestWorld } from './test-world.ts'
import { traceLines } from './trace.ts'
import type { TraceEntry } from './trace.ts'
import { Voter } from './voter.ts'
import { Votes } from './votes.ts'

const entry = (atMs: number, self: string, id: string, event: string, more: Partial<TraceEntry> = {}): TraceEntry => ({
  atMs,
  self,
  pattern: 'task',
  id,
  event,
  ...more,
})

/** Of three agents: a task, one that it was passed on as, and one that has nothing to do with them. */
const entries = [
  entry(1, 'asker', 'a', 'sent task-request', { agent: 'ada', message: 'm1' }),
  entry(9, 'asker', 'a', 'got task-result', { agent: 'ada', message: 'm4', parents: ['m1'] }),
  entry(2, 'ada', 'a', 'got task-request', { agent: 'asker', message: 'm1' }),
  entry(3, 'ada', 'w0', 'passed-on', { partOf: 'a' }),
  entry(4, 'ada', 'w0', 'sent task-request', { agent: 'bob', message: 'm2' }),
  entry(6, 'bob', 'w0', 'sent task-result', { agent: 'ada', message: 'm3', parents: ['m2'] }),
  entry(5, 'bob', 'z', 'sent task-request', { agent: 'cyd', message: 'm9' }),
  entry(7, 'bob', 'z', 'work-running', { detail: 'attempt 1' }),
]

test('a trace goes from end to end, over what was passed on, and shows nothing else', () => {
  expect(traceLines(entries, 'a')).toEqual([
    '1970-01-01T00:00:00.001Z asker task a sent task-request ada #m1',
    '1970-01-01T00:00:00.002Z ada task a got task-request asker #m1',
    '1970-01-01T00:00:00.003Z ada task w0 passed-on',
    '1970-01-01T00:00:00.004Z ada task w0 sent task-request bob #m2',
    '1970-01-01T00:00:00.006Z   bob task w0 sent task-result ada #m3',
    '1970-01-01T00:00:00.009Z   asker task a got task-result ada #m4',
  ])
  expect(traceLines(entries, 'z').length).toBe(2)
  expect(traceLines(entries, 'nothing')).toEqual([])
})

test('the trace of an auction and of a vote goes to its end in any weather, and holds nothing of what was said', async () => {
  await forSeeds(20, async (seed) => {
    const world = new TestWorld(seed, seed % 2 === 0 ? { ...ROUGH, writeFails: 0 } : CALM)
    const said = ['rosebud', 'sledge', '4711', 'snow']
    world.add('caller', 'home', async ({ deps }) => {
      const [auctions, votes] = [await Auctions.start(deps), await Votes.start(deps)]
      await new Promise<void>((resolve) => deps.after(500, resolve))
      const wanted = { title: 'rosebud', capability: 'build', payload: { with: 'sledge' }, withinMs: 5_000 }
      await auctions.call({ ...wanted, id: 'sold' })
      const asked = { question: 'rosebud', options: ['snow', 'sledge'], electorate: ['ada', 'bob'], withinMs: 60_000 }
      await votes.call({ ...asked, id: 'asked' })
    })
    for (const name of ['ada', 'bob'])
      world.add(
        name,
        'office',
        ({ deps }) => {
          new Bidder(deps, { bid: async () => ({ price: 4711, load: 0, capacity: 1 }), onWon: () => {} })
          new Voter(deps, { decide: async () => 'snow' })
        },
        { capabilities: ['build'] },
      )
    await world.run(200_000)
    const entries = world.traces.flatMap((trace) => trace.entries)
    const [sold, asked] = [traceLines(entries, 'sold').join('\n'), traceLines(entries, 'asked').join('\n')]
    for (const step of [
      'called',
      'sent auction-call',
      'got bid',
      'offered',
      'sold ada',
      'got award',
      'got award-answer',
    ])
      expect(sold).toContain(step)
    for (const step of ['sent vote-call', 'got vote-call', 'got vote ', 'sent vote-receipt', 'got vote-result'])
      expect(asked).toContain(step)
    // A receipt may get lost, as what is not durable does.
    if (world.weather === CALM) expect(asked).toContain('got vote-receipt')
    expect(sold).not.toContain('vote')
    for (const word of said) expect(`${sold}${asked}`).not.toContain(word)
  })
})
