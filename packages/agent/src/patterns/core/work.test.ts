import type { AgentView } from '@sealmesh/protocol/messages/profile'
import type { Message } from '@sealmesh/protocol/messages/message'
import type { TaskRequest } from '@sealmesh/protocol/messages/task'
import { describe, expect, test } from 'vitest'
import { BOOK_MAX, learn } from './performance.ts'
import type { PerformanceBook } from './performance.ts'
import { LOAD_ALONE, ranked } from './selection.ts'
import type { Situation } from './selection.ts'
import { openTask, stepTask, taskFrom } from './task.ts'
import type { Task, TaskEvent } from './task.ts'
import { jobKey, SLOTS_MAX, stepWork, workFrom } from './work.ts'
import type { Work, WorkEvent } from './work.ts'

const NOBODY: Situation = { views: [], book: new Map(), given: new Map() }
const message = { id: 'm1' } as Message

const requestFor = (task: string, attempt = 1): TaskRequest => ({
  task,
  attempt,
  title: '',
  capability: 'build',
  payload: null,
  deadlineAtMs: null,
  visited: ['asker'],
})
const asked = (task: string, attempt = 1): WorkEvent => ({
  type: 'request',
  asker: 'asker',
  request: requestFor(task, attempt),
  message,
  situation: NOBODY,
})
const idle = (capacity = 1): Work =>
  workFrom({ name: 'ada', capabilities: ['build'], capacity }, new Map(), { nowMs: 0 })

function after(work: Work, ...events: readonly WorkEvent[]) {
  let step = { next: work, effects: [] } as ReturnType<typeof stepWork>
  events.forEach((event, at) => {
    step = stepWork(step.next, event, { nowMs: at })
  })
  return step
}
const types = ({ effects }: { effects: readonly { type: string }[] }) => effects.map(({ type }) => type)
const stateOf = (work: Work, task: string) => work.jobs.get(jobKey('asker', task))?.record.state

describe('a worker', () => {
  test('writes down what it takes before it says so', () => {
    expect(types(after(idle(), asked('a')))).toEqual(['record', 'note', 'send', 'run'])
  })

  test('does not give up a later attempt because an earlier one was answered', () => {
    const failed: WorkEvent = { type: 'finished', job: jobKey('asker', 'a'), outcome: { ok: false, reason: 'no' } }
    const answered: WorkEvent = { type: 'recorded', asker: 'asker', task: 'a', attempt: 1, state: 'assigned' }
    const step = after(idle(), asked('a', 1), failed, asked('a', 2), answered)
    expect(stateOf(step.next, 'a')).toBe('running')
    expect(step.effects).toEqual([])
    const over = after(step.next, { ...answered, state: 'done' })
    expect(types(over)).toContain('stop')
  })

  test('ignores an attempt that was overtaken, and sends what it has for a later one', () => {
    const done: WorkEvent = { type: 'finished', job: jobKey('asker', 'a'), outcome: { ok: true, value: 1 } }
    const { next } = after(idle(), asked('a', 2), done)
    expect(after(next, asked('a', 1)).effects).toEqual([])
    const again = after(next, asked('a', 3))
    expect(types(again)).toEqual(['record', 'note', 'send'])
    expect(again.effects.at(-1)).toMatchObject({ draft: { type: 'task-result', payload: { attempt: 3 } } })
  })

  test('uses a bounded number of registers, and the settled ones again', () => {
    let work = idle(10_000)
    for (let at = 0; at < SLOTS_MAX; at++) work = after(work, asked(`t${at}`)).next
    expect(after(work, asked('more')).effects[0]).toMatchObject({ draft: { payload: { reason: 'no-room' } } })
    work = after(work, { type: 'cancelled', asker: 'asker', task: 't7' }).next
    const taken = after(work, asked('more')).next
    expect(taken.jobs.size).toBe(SLOTS_MAX)
    expect(stateOf(taken, 't7')).toBeUndefined()
    expect(taken.jobs.get(jobKey('asker', 'more'))?.slot).toBe(7)
  })

  test('keeps the tasks of two that use one id apart', () => {
    const other: WorkEvent = { ...asked('a'), asker: 'other' } as WorkEvent
    const { next } = after(idle(2), asked('a'), other)
    expect([...next.jobs.keys()]).toEqual(['asker.a', 'other.a'])
  })
})

describe('a task', () => {
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
  const view = (name: string, more: Partial<AgentView> = {}): AgentView => ({
    name,
    agent: name,
    role: '',
    persona: '',
    kind: 'service',
    status: 'active',
    capabilities: ['build'],
    load: 0,
    capacity: 2,
    nodeName: 'home',
    here: true,
    state: 'attached',
    pid: null,
    since: '',
    heardAt: null,
    ...more,
  })
  const stepped = (task: Task, event: TaskEvent) => stepTask(task, event, { nowMs: 10 })
  const given = () =>
    stepped(openTask(spec, { nowMs: 0 }).next, {
      type: 'candidates',
      situation: { ...NOBODY, views: [view('ada')] },
    })

  test('is given to somebody only after that is written down', () => {
    expect(types(given())).toEqual(['record', 'note', 'send'])
  })

  test('that was given away before a crash is given to the same one again, as the same attempt', () => {
    const { record } = given().next
    const again = stepped(taskFrom(record), { type: 'resumed' })
    expect(again.effects).toMatchObject([
      { type: 'send', draft: { to: 'ada', type: 'task-request', payload: { attempt: 1 } } },
    ])
  })

  test('knows each attempt by the agent that had it', () => {
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

  test('prefers room, nearness and good experience, and after a loss room alone', () => {
    const views = [view('far', { here: false }), view('near', { load: 1 }), view('full', { load: 2 })]
    const none = new Set<string>()
    expect(ranked('build', { ...NOBODY, views }, none)).toEqual(['far', 'near'])
    const bad = learn(learn(new Map(), 'far', { ok: false, tookMs: null }), 'far', { ok: false, tookMs: null })
    expect(ranked('build', { ...NOBODY, views, book: bad }, none)).toEqual(['near', 'far'])
    expect(ranked('build', { ...NOBODY, views, book: bad }, none, LOAD_ALONE)).toEqual(['far', 'near'])
    const slow = learn(new Map(), 'far', { ok: true, tookMs: 60_000 })
    expect(ranked('build', { ...NOBODY, views, book: slow }, none)).toEqual(['near', 'far'])
    const given = new Map([['far', 2]])
    expect(ranked('build', { ...NOBODY, views, given }, none)).toEqual(['near'])
    const absent = [view('a', { state: 'away' }), view('b', { status: 'away' }), view('c', { capabilities: [] })]
    expect(ranked('build', { ...NOBODY, views: absent }, none)).toEqual([])
  })

  test('is not judged by more agents than fit the book', () => {
    let book: PerformanceBook = new Map()
    for (let at = 0; at < BOOK_MAX + 10; at++) book = learn(book, `a${at}`, { ok: true, tookMs: 1 })
    expect(book.size).toBe(BOOK_MAX)
    expect(book.has('a0')).toBe(false)
  })
})
