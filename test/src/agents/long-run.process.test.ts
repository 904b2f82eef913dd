import { expect, test } from 'vitest'
import { type RunFigures, runAgents } from './long-run/run.ts'
import { shortcomings } from './long-run/verdict.ts'
import { Ledger } from './long-run/ledger.ts'

test('agents of two machines talk, work and vote; one machine is killed, and nothing that was promised is lost', async () => {
  const figures = await runAgents({ agents: 8, runMs: 6_000, everyMs: 100, progress: () => undefined })
  const { memory, traces } = figures
  // Seconds say nothing of memory: `pnpm agents-run` does.
  const flat = { ...memory.home, ratio: 1 }
  expect(shortcomings({ ...figures, memory: { home: flat, office: flat } })).toEqual([])
  expect(Object.keys(figures.sent).sort()).toEqual(['across', 'direct', 'durable', 'durable-across', 'topic'])
  expect(figures.kill.backSeconds).toBeGreaterThan(0)
  expect(memory.home.endMegabytes).toBeGreaterThan(0)
  // The vote's trace goes from one machine to the other and back.
  expect(traces.vote.join('\n')).toMatch(/([ho])\d vote .* called\n[^]*(?!\1)[ho]\d vote .* got vote-call/)
})

test('what was accepted and not handled is told, and what was handled twice is counted', () => {
  const ledger = new Ledger()
  ledger.answered('durable', 'a', 'bob', 1)
  ledger.answered('durable', 'b', 'bob', 1)
  ledger.answered('direct', 'c', undefined, 1)
  for (const id of ['a', 'a', 'c']) ledger.handled('bob', id, 5)
  ledger.handled('eve', 'b', 5)
  expect(ledger.lost()).toEqual(['bob b'])
  expect([ledger.accepted, ledger.duplicates, ledger.slowestMs]).toEqual([2, 1, 4])
  const whole = { durable: { accepted: 2, lost: ledger.lost() }, tasks: { opened: 1, done: 0, wrong: ['t is open'] } }
  const rest = {
    votes: { wrong: [] },
    memory: { home: { ratio: 1 }, office: { ratio: 2 } },
    traces: { task: [], vote: [] },
  }
  expect(shortcomings({ ...whole, ...rest } as unknown as RunFigures)).toEqual([
    '1 durable messages were accepted and never handled',
    '0 of 1 tasks are done',
    'tasks: t is open',
    'memory of office: 2',
    'the trace of a task has 0 lines',
    'the trace of a vote has 0 lines',
  ])
})
