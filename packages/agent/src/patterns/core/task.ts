import type { Message } from '@sealmesh/protocol/messages/message'
import { ATTEMPTS_MAX, HISTORY_MAX, TASK_RECORDED } from '@sealmesh/protocol/messages/task'
import type { Outcome, TaskEventName, TaskRecord, TaskRequest } from '@sealmesh/protocol/messages/task'
import type { Situation } from './selection.ts'
import { LOAD_ALONE, ranked, WEIGHTS } from './selection.ts'
import type { Effect, Step, World } from './step.ts'

/**
 * One task, on the side of whoever asked: docs/spec/17-patterns.md §2. Invariants:
 * 1. Nobody else writes its register, and a register that is done, failed or cancelled never changes again.
 * 2. A result counts from an agent that was given the task, under the attempt that it was given, and from nobody else.
 * 3. The first such result counts, whichever attempt it is of: the work is done, and waiting for a later attempt would
 *    do it again for nothing.
 */

/** Answered neither with `task-accepted` nor in another way: the next one is asked. */
export const ACCEPT_MS = 10_000
/** How long it waits in the queue before it looks for somebody again: first and at most. */
export const LOOK_MS = 1_000
export const LOOK_MS_MAX = 30_000

export interface TaskSpec {
  readonly id: string
  readonly title: string
  readonly capability: string
  readonly payload: TaskRecord['payload']
  readonly deadlineAtMs: number | null
  readonly prefer: string | null
  readonly visited: readonly string[]
  readonly attemptsMax: number
  readonly looksMax: number | null
}

export interface Task {
  readonly record: TaskRecord
  /** Agents that are not asked again before everybody else was. Forgotten in a crash. */
  readonly passed: ReadonlySet<string>
  /** Looks for somebody, or goes on to the next one, at this time. */
  readonly dueAtMs: number | null
  readonly lookMs: number
  /** That found nobody, in a row. */
  readonly looks: number
  readonly assignedAtMs: number
  /** The one that had it was lost: it goes to the least loaded. */
  readonly redistributed: boolean
}

export type TaskEvent =
  | { readonly type: 'tick' }
  /** After a start: what a crash may have kept from being sent is sent again. */
  | { readonly type: 'resumed' }
  | { readonly type: 'candidates'; readonly situation: Situation }
  | { readonly type: 'accepted'; readonly from: string; readonly attempt: number }
  | { readonly type: 'declined'; readonly from: string; readonly attempt: number; readonly reason: string }
  | {
      readonly type: 'result'
      readonly from: string
      readonly attempt: number
      readonly outcome: Outcome
      readonly message: Message
    }
  | { readonly type: 'lost'; readonly agent: string }
  /** `to` is tried first from now on; null: whoever is best. */
  | { readonly type: 'reassign'; readonly to: string | null }
  | { readonly type: 'cancel' }

export type TaskEffect =
  /** Answer with `candidates`. */
  | { readonly type: 'look' }
  | { readonly type: 'performed'; readonly agent: string; readonly ok: boolean; readonly tookMs: number | null }
export type TaskStep = Step<Task, TaskEffect>

export const taskKey = (id: string): string => `task.${id}`

export function openTask(spec: TaskSpec, { nowMs }: World): TaskStep {
  const record: TaskRecord = {
    version: 1,
    ...spec,
    visited: [...spec.visited],
    attemptsMax: Math.min(spec.attemptsMax, ATTEMPTS_MAX),
    state: 'open',
    assignee: null,
    attempt: 0,
    declines: 0,
    openedAtMs: nowMs,
    assigned: [],
    result: null,
    doneBy: null,
    history: [],
  }
  const task = { ...taskFrom(record), dueAtMs: nowMs }
  return recorded(task, 'opened', null, nowMs)
}

/** As it was read from its register. */
export const taskFrom = (record: TaskRecord): Task => ({
  record,
  passed: new Set(),
  dueAtMs: null,
  lookMs: LOOK_MS,
  looks: 0,
  assignedAtMs: record.openedAtMs,
  redistributed: false,
})

export const isSettled = ({ record: { state } }: Task): boolean =>
  state === 'done' || state === 'failed' || state === 'cancelled'

/** When it wants a `tick`. */
export function taskDueAtMs(task: Task): number | null {
  if (isSettled(task)) return null
  const { deadlineAtMs } = task.record
  return Math.min(task.dueAtMs ?? Number.POSITIVE_INFINITY, deadlineAtMs ?? Number.POSITIVE_INFINITY)
}

export function stepTask(task: Task, event: TaskEvent, world: World): TaskStep {
  const { record } = task
  if (isSettled(task)) {
    if (event.type !== 'result' || !wasGiven(record, event)) return { next: task, effects: [] }
    return { next: task, effects: [answer(record, event), { type: 'note', event: 'result-again', agent: event.from }] }
  }
  switch (event.type) {
    case 'tick':
      return tick(task, world)
    case 'resumed':
      return resume(task, world)
    case 'candidates':
      return record.state === 'open' ? choose(task, event.situation, world) : { next: task, effects: [] }
    case 'accepted':
      if (!isCurrent(record, event) || task.dueAtMs === null) return { next: task, effects: [] }
      return recorded({ ...task, dueAtMs: null, lookMs: LOOK_MS, looks: 0 }, 'accepted', event.from, world.nowMs)
    case 'declined':
      return isCurrent(record, event) ? passOver(task, 'declined', world, event.reason) : { next: task, effects: [] }
    case 'result':
      return takeResult(task, event, world)
    case 'lost':
      if (record.state !== 'assigned' || record.assignee !== event.agent) return { next: task, effects: [] }
      return passOver({ ...task, redistributed: true }, 'lost', world)
    case 'reassign':
      return reassign(task, event.to, world)
    case 'cancel':
      return finish(task, { state: 'cancelled', result: null, doneBy: null }, 'cancelled', world)
  }
}

function tick(task: Task, world: World): TaskStep {
  const { record } = task
  if (record.deadlineAtMs !== null && world.nowMs >= record.deadlineAtMs) return giveUp(task, 'Not done in time', world)
  if (task.dueAtMs === null || world.nowMs < task.dueAtMs) return { next: task, effects: [] }
  if (record.state === 'assigned') return passOver(task, 'silent', world)
  // Asked again should the answer not come.
  return { next: { ...task, dueAtMs: world.nowMs + LOOK_MS_MAX }, effects: [{ type: 'look' }] }
}

function resume(task: Task, { nowMs }: World): TaskStep {
  if (task.record.state === 'open') return { next: { ...task, dueAtMs: nowMs }, effects: [] }
  const next = { ...task, dueAtMs: nowMs + ACCEPT_MS, assignedAtMs: nowMs }
  return { next, effects: [request(task.record)] }
}

function choose(task: Task, situation: Situation, world: World): TaskStep {
  const { record } = task
  const { nowMs } = world
  if (record.attempt - record.declines >= record.attemptsMax || record.attempt >= ATTEMPTS_MAX)
    return giveUp(task, 'Tried as often as it may be', world)
  const excluded = new Set([...task.passed, ...record.visited])
  const order = ranked(record.capability, situation, excluded, task.redistributed ? LOAD_ALONE : WEIGHTS)
  const agent = record.prefer !== null && order.includes(record.prefer) ? record.prefer : order[0]
  if (agent === undefined) {
    // Whoever declined may have room by now.
    const waiting = { ...task, passed: new Set<string>(), dueAtMs: nowMs + task.lookMs }
    const next = { ...waiting, lookMs: Math.min(task.lookMs * 2, LOOK_MS_MAX), looks: task.looks + 1 }
    if (record.looksMax !== null && next.looks >= record.looksMax) return giveUp(task, 'Nobody able has room', world)
    return { next, effects: [{ type: 'note', event: 'queued' }] }
  }
  const attempt = record.attempt + 1
  const given: TaskRecord = {
    ...record,
    state: 'assigned',
    assignee: agent,
    attempt,
    assigned: [...record.assigned, agent],
  }
  const next = {
    ...task,
    record: given,
    dueAtMs: nowMs + ACCEPT_MS,
    assignedAtMs: nowMs,
    redistributed: false,
  }
  const step = recorded(next, 'assigned', agent, nowMs)
  return { next: step.next, effects: [...step.effects, request(given)] }
}

/** The one that is named is asked even if it was passed over before. One that waits in the queue is looked at at once. */
function reassign(task: Task, to: string | null, world: World): TaskStep {
  const { record } = task
  if (to !== null && to === record.assignee) return { next: task, effects: [] }
  const prefer = to ?? record.prefer
  const wanted: Task = { ...task, record: { ...record, prefer } }
  const step =
    record.state === 'assigned'
      ? passOver(wanted, 'slow', world)
      : recorded({ ...wanted, dueAtMs: world.nowMs, lookMs: LOOK_MS }, 'reassigned', to, world.nowMs)
  const passed = new Set(step.next.passed)
  if (to !== null) passed.delete(to)
  return { next: { ...step.next, passed }, effects: step.effects }
}

/** It is not waited for any more; should its result come all the same, it counts (3). */
function passOver(
  task: Task,
  why: 'declined' | 'silent' | 'slow' | 'lost' | 'failed',
  { nowMs }: World,
  detail?: string,
): TaskStep {
  const { record } = task
  const agent = record.assignee as string
  const declines = record.declines + (why === 'declined' ? 1 : 0)
  const open = {
    ...task,
    record: { ...record, state: 'open' as const, assignee: null, declines },
    passed: new Set(task.passed).add(agent),
    dueAtMs: nowMs,
  }
  const { next, effects } = recorded(open, why, agent, nowMs, detail)
  // To have no room is no fault.
  if (why === 'declined') return { next, effects }
  return { next, effects: [...effects, { type: 'performed', agent, ok: false, tookMs: null }] }
}

function takeResult(task: Task, event: Extract<TaskEvent, { type: 'result' }>, world: World): TaskStep {
  const { record } = task
  if (!wasGiven(record, event))
    return { next: task, effects: [{ type: 'note', event: 'result-of-nobody', agent: event.from }] }
  if (!event.outcome.ok) {
    const step = isCurrent(record, event) ? passOver(task, 'failed', world) : { next: task, effects: [] }
    return { next: step.next, effects: [...step.effects, answer(step.next.record, event)] }
  }
  const step = finish(task, { state: 'done', result: event.outcome, doneBy: event.from }, 'done', world, event.from)
  const tookMs = record.assignee === event.from ? world.nowMs - task.assignedAtMs : null
  return {
    next: step.next,
    effects: [
      ...step.effects,
      answer(step.next.record, event),
      { type: 'performed', agent: event.from, ok: true, tookMs },
    ],
  }
}

const giveUp = (task: Task, reason: string, world: World): TaskStep =>
  finish(task, { state: 'failed', result: { ok: false, reason }, doneBy: null }, 'given-up', world)

function finish(
  task: Task,
  end: Pick<TaskRecord, 'state' | 'result' | 'doneBy'>,
  event: TaskEventName,
  { nowMs }: World,
  by: string | null = null,
): TaskStep {
  const { assignee } = task.record
  const step = recorded({ ...task, record: { ...task.record, ...end }, dueAtMs: null }, event, by, nowMs)
  if (assignee === null || assignee === by) return step
  const cancelled: Effect = {
    type: 'send',
    draft: { to: assignee, type: 'task-cancelled', payload: { task: task.record.id }, ...about(task.record) },
  }
  return { next: step.next, effects: [...step.effects, cancelled] }
}

function recorded(task: Task, event: TaskEventName, agent: string | null, atMs: number, detail?: string): TaskStep {
  const { record } = task
  const history = [...record.history, { atMs, event, agent, attempt: record.attempt }].slice(-HISTORY_MAX)
  const next: Task = { ...task, record: { ...record, history } }
  const note: Effect = {
    type: 'note',
    event,
    ...(agent === null ? {} : { agent }),
    ...(detail === undefined ? {} : { detail }),
  }
  return { next, effects: [{ type: 'record', key: taskKey(record.id), value: next.record }, note] }
}

function request(record: TaskRecord): Effect {
  const { id, attempt, title, capability, payload, deadlineAtMs, visited } = record
  const body: TaskRequest = { task: id, attempt, title, capability, payload, deadlineAtMs, visited }
  const draft = { to: record.assignee as string, type: 'task-request', payload: body, ...about(record) }
  return { type: 'send', draft }
}

const answer = (record: TaskRecord, event: Extract<TaskEvent, { type: 'result' }>): Effect => ({
  type: 'send',
  draft: {
    to: event.from,
    type: TASK_RECORDED,
    payload: { task: record.id, attempt: event.attempt, state: record.state, doneBy: record.doneBy },
    causedBy: event.message,
    ...about(record),
  },
})

const about = (record: TaskRecord) => ({ correlation: record.id, durable: true })

/** Invariant 2. */
const wasGiven = (record: TaskRecord, by: { readonly from: string; readonly attempt: number }): boolean =>
  record.assigned[by.attempt - 1] === by.from

const isCurrent = (record: TaskRecord, by: { readonly from: string; readonly attempt: number }): boolean =>
  record.state === 'assigned' && record.attempt === by.attempt && record.assignee === by.from
