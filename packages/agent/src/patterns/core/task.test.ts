import { view } from './test-view.ts'
import type { Message } from '@sealmesh/protocol/messages/message'
import { expect, test } from 'vitest'
import type { Situation } from './selection.ts'
import { openTask, stepTask, taskFrom } from './task.ts'
import type { Task, TaskEvent } from './task.ts'

const NOBODY: Situation = { views: [], book: new Map(), given: new Map() }
const message = { id: 'm1' } as Message
const types = ({ effects }: { effects: readonly { type: string }[] }) => effects.map(({ type }) => type)

const spec = {
  id: 'a',
  title: '',
  capability: 'build',
  payload: null,
  deadlineAtMs: null,
  prefer: null,
  visited: ['asker'],
  attemptsMax: 4,
  looksMax: null,
}
const stepped = (task: Task, event: TaskEvent) => stepTask(task, event, { nowMs: 10 })
const given = () =>
  stepped(openTask(spec, { nowMs: 0 }).next, {
    type: 'candidates',
    situation: { ...NOBODY, views: [view('ada')] },
  })

test('a task is given to somebody only after that is written down', () => {
  expect(types(given())).toEqual(['record', 'note', 'send'])
})

test('a task that was given away before a crash is given to the same one again, as the same attempt', () => {
  const { record } = given().next
  const again = stepped(taskFrom(record), { type: 'resumed' })
  expect(again.effects).toMatchObject([
    { type: 'send', draft: { to: 'ada', type: 'task-request', payload: { attempt: 1 } } },
  ])
})

test('a task is not taken from anybody because another was lost', () => {
  const { next } = given()
  expect(stepped(next, { type: 'lost', agent: 'bob' })).toEqual({ next, effects: [] })
  expect(stepped(next, { type: 'lost', agent: 'ada' }).next.record).toMatchObject({ state: 'open', assignee: null })
})

test('a task knows each attempt by the agent that had it', () => {
  const result = (from: string, attempt: number): TaskEvent => ({
    type: 'result',
    from,
    attempt,
    outcome: { ok: true, value: 1 },
    message,
  })
  const { next } = given()
  for (const event of [result('eve', 1), result('ada', 2), result('ada', 64)])
    expect(stepped(next, event).next.record.state).toBe('assigned')
  expect(stepped(next, result('ada', 1)).next.record.state).toBe('done')
})

test('a task that is given to somebody else is given to the one that is named, also to one that had it before', () => {
  const both: TaskEvent = { type: 'candidates', situation: { ...NOBODY, views: [view('ada'), view('bob')] } }
  const moved = stepped(given().next, { type: 'reassign', to: 'bob' })
  expect(moved.next.record).toMatchObject({ state: 'open', assignee: null, prefer: 'bob' })
  const bobs = stepped(moved.next, both).next
  expect(bobs.record).toMatchObject({ assignee: 'bob', attempt: 2, assigned: ['ada', 'bob'] })
  expect(stepped(bobs, { type: 'reassign', to: 'bob' })).toEqual({ next: bobs, effects: [] })
  expect(stepped(stepped(bobs, { type: 'reassign', to: 'ada' }).next, both).next.record.assignee).toBe('ada')
})

test('a task in the queue that is given to somebody is looked at at once, and that is written down', () => {
  const queued = stepped(openTask(spec, { nowMs: 0 }).next, { type: 'candidates', situation: NOBODY }).next
  const step = stepped(queued, { type: 'reassign', to: 'bob' })
  expect(types(step)).toEqual(['record', 'note'])
  expect([step.next.dueAtMs, step.next.record.prefer]).toEqual([10, 'bob'])
})
