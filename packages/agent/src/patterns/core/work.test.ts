import type { Message } from '@sealmesh/protocol/messages/message'
import type { TaskRequest } from '@sealmesh/protocol/messages/task'
import { describe, expect, test } from 'vitest'
import type { Situation } from './selection.ts'
import { jobKey, SLOTS_MAX, SLOTS_OF_ONE_MAX, stepWork, workFrom } from './work.ts'
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
    const from = (asker: string, task: string) => ({ ...asked(task), asker }) as WorkEvent
    const refused = [{ draft: { payload: { reason: 'no-room' } } }, { type: 'note' }]
    for (let at = 0; at < SLOTS_MAX; at++) {
      const asker = `asker${Math.floor(at / SLOTS_OF_ONE_MAX)}`
      work = after(work, from(asker, `t${at}`)).next
      // One asker leaves room for others.
      if (at % SLOTS_OF_ONE_MAX === SLOTS_OF_ONE_MAX - 1)
        expect(after(work, from(asker, 'more')).effects).toMatchObject(refused)
    }
    expect(after(work, asked('more')).effects).toMatchObject(refused)
    work = after(work, { type: 'cancelled', asker: 'asker0', task: 't7' }).next
    const taken = after(work, asked('more')).next
    expect(taken.jobs.size).toBe(SLOTS_MAX)
    expect(taken.jobs.has(jobKey('asker0', 't7'))).toBe(false)
    expect(taken.jobs.get(jobKey('asker', 'more'))?.slot).toBe(7)
  })

  test('keeps the tasks of two that use one id apart', () => {
    const other: WorkEvent = { ...asked('a'), asker: 'other' } as WorkEvent
    const { next } = after(idle(2), asked('a'), other)
    expect([...next.jobs.keys()]).toEqual(['asker.a', 'other.a'])
  })
})
