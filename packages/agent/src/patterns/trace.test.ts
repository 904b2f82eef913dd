import { expect, test } from 'vitest'
import { traceLines } from './trace.ts'
import type { TraceEntry } from './trace.ts'

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
