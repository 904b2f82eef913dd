import type { Message } from '@sealmesh/protocol/messages/message'
import { DELEGATIONS_MAX } from '@sealmesh/protocol/messages/task'
import type { Outcome, TaskRequest, TaskState, WorkRecord } from '@sealmesh/protocol/messages/task'
import type { Situation } from './selection.ts'
import { ranked } from './selection.ts'
import type { Effect, Step, World } from './step.ts'

/**
 * What a worker has taken on: docs/spec/17-patterns.md §2.3. Invariants:
 * 1. What it has accepted is in a register before anybody is told, and is gone on with after a crash.
 * 2. A task that it has done is not done again, however often and under whichever attempt it is asked for: the
 *    remembered result is sent once more.
 * 3. A result is sent again, at longer and longer intervals, until the one who asked answers what it recorded.
 */

/** Registers that a worker uses for it. When none is free it declines. */
export const SLOTS_MAX = 256
/** Of these, what one asker may have in use: it leaves room for others. */
export const SLOTS_OF_ONE_MAX = 64
/** Before a result that nobody has answered is sent again: first and at most. */
export const RESEND_MS = 30_000
export const RESEND_MS_MAX = 600_000
/** Whoever asked and has not answered for so long has no use for it. */
export const KEEP_MS = 7 * 86_400_000

export interface Job {
  readonly slot: number
  readonly record: WorkRecord
  readonly resendAtMs: number
  readonly resendMs: number
}

export interface Work {
  readonly name: string
  readonly capabilities: readonly string[]
  readonly capacity: number
  /** Includes what is settled, until its slot is needed; by `jobKey`. */
  readonly jobs: ReadonlyMap<string, Job>
}

export type WorkEvent =
  | { readonly type: 'tick' }
  | { readonly type: 'resumed' }
  | {
      readonly type: 'request'
      readonly asker: string
      readonly request: TaskRequest
      readonly message: Message
      readonly situation: Situation
    }
  | { readonly type: 'finished'; readonly job: string; readonly outcome: Outcome }
  | { readonly type: 'cancelled'; readonly asker: string; readonly task: string }
  | {
      readonly type: 'recorded'
      readonly asker: string
      readonly task: string
      readonly attempt: number
      readonly state: TaskState
    }

export type WorkEffect =
  | { readonly type: 'run'; readonly job: string; readonly request: TaskRequest; readonly asker: string }
  /** Open `task`, of one's own, for it, or go on with the one that is there already. */
  | { readonly type: 'delegate'; readonly job: string; readonly request: TaskRequest; readonly task: string }
  /** Nobody wants it any more. */
  | { readonly type: 'stop'; readonly job: string }
export type WorkStep = Step<Work, WorkEffect>

export const jobKey = (asker: string, task: string): string => `${asker}.${task}`
export const workKey = (slot: number): string => `work.${slot}`

/** As they were read from its registers. */
export function workFrom(
  own: Pick<Work, 'name' | 'capabilities' | 'capacity'>,
  records: ReadonlyMap<number, WorkRecord>,
  { nowMs }: World,
): Work {
  const jobs = [...records].map(([slot, record]): [string, Job] => [
    jobKey(record.asker, record.request.task),
    { slot, record, resendAtMs: nowMs, resendMs: RESEND_MS },
  ])
  return { ...own, jobs: new Map(jobs) }
}

export function workDueAtMs(work: Work): number | null {
  let dueAtMs: number | null = null
  for (const { record, resendAtMs } of work.jobs.values())
    if (record.state === 'done' && (dueAtMs === null || resendAtMs < dueAtMs)) dueAtMs = resendAtMs
  return dueAtMs
}

export const running = (work: Work): number =>
  [...work.jobs.values()].filter(({ record }) => record.state === 'running').length

export function stepWork(work: Work, event: WorkEvent, world: World): WorkStep {
  switch (event.type) {
    case 'tick':
      return resend(work, world)
    case 'resumed':
      return { next: work, effects: [...work.jobs.entries()].flatMap(([key, job]) => goOn(key, job)) }
    case 'request': {
      const job = work.jobs.get(jobKey(event.asker, event.request.task))
      return job === undefined ? take(work, event, world) : again(work, job, event)
    }
    case 'finished':
      return finish(work, event.job, event.outcome, world)
    case 'cancelled':
    case 'recorded': {
      const key = jobKey(event.asker, event.task)
      const job = work.jobs.get(key)
      if (job === undefined || job.record.state === 'settled') return { next: work, effects: [] }
      // The answer to an earlier attempt says nothing of this one, unless nobody wants it any more.
      if (event.type === 'recorded' && event.attempt < job.record.request.attempt && isOpen(event.state))
        return { next: work, effects: [] }
      // A task that was cancelled while it ran leaves no result; should it be asked for again, that is a new one.
      const step = put(work, key, { ...job, record: { ...job.record, state: 'settled' } })
      return job.record.state === 'done'
        ? step
        : { next: step.next, effects: [...step.effects, { type: 'stop', job: key }] }
    }
  }
}

type RequestEvent = Extract<WorkEvent, { type: 'request' }>

function take(work: Work, event: RequestEvent, { nowMs }: World): WorkStep {
  const { request, asker } = event
  if (request.deadlineAtMs !== null && nowMs >= request.deadlineAtMs) return decline(work, event, 'expired')
  const place = placeOf(work, event)
  if (place === 'unable' || place === 'no-room' || place === 'too-far') return decline(work, event, place)
  const held = [...work.jobs.values()].filter(({ record }) => record.asker === asker && record.state !== 'settled')
  if (held.length >= SLOTS_OF_ONE_MAX) return decline(work, event, 'no-room')
  const free = freeSlot(work, nowMs)
  if (free === undefined) return decline(work, event, 'no-room')
  const record: WorkRecord = { version: 1, asker, request, state: place, outcome: null, takenAtMs: nowMs }
  const cleared = new Map(work.jobs)
  if (free.key !== undefined) cleared.delete(free.key)
  const key = jobKey(asker, request.task)
  const job: Job = { slot: free.slot, record, resendAtMs: nowMs, resendMs: RESEND_MS }
  const step = put({ ...work, jobs: cleared }, key, job)
  return { next: step.next, effects: [...step.effects, accept(event), ...goOn(key, job)] }
}

/**
 * Self-organising distribution: done here when there is room, passed on to a peer that is able and has not had it yet,
 * else declined with the reason. What is passed on becomes a task of this agent's own: each of them watches over the
 * one that it gave it to, and nobody has to believe somebody that he did not ask.
 */
export function placeOf(
  work: Work,
  { request, asker, situation }: Pick<RequestEvent, 'request' | 'asker' | 'situation'>,
): 'running' | 'delegated' | 'unable' | 'no-room' | 'too-far' {
  const able = work.capabilities.includes(request.capability)
  if (able && running(work) < work.capacity) return 'running'
  if (request.visited.length > DELEGATIONS_MAX) return 'too-far'
  const visited = new Set([...request.visited, asker, work.name])
  if (ranked(request.capability, situation, visited).length > 0) return 'delegated'
  return able ? 'no-room' : 'unable'
}

function again(work: Work, job: Job, event: RequestEvent): WorkStep {
  const { record } = job
  const { request } = event
  const key = jobKey(event.asker, request.task)
  // An attempt from before a crash of the network: a later one is known already.
  if (request.attempt < record.request.attempt) return { next: work, effects: [] }
  const anew = request.attempt > record.request.attempt
  const succeeded = record.outcome?.ok === true
  if (record.state === 'running' || record.state === 'delegated') {
    if (!anew) return { next: work, effects: [accept(event)] }
    const step = put(work, key, { ...job, record: { ...record, request } })
    return { next: step.next, effects: [...step.effects, accept(event)] }
  }
  if (!anew || succeeded) {
    if (record.outcome === null) return { next: work, effects: [] }
    const next: Job = { ...job, record: { ...record, request, state: 'done' } }
    const step = put(work, key, next)
    return { next: step.next, effects: [...step.effects, result(next.record, event.message)] }
  }
  // It failed, or was cancelled, and is wanted again.
  if (running(work) >= work.capacity) return decline(work, event, 'no-room')
  const next: WorkRecord = { ...record, request, state: 'running', outcome: null }
  const anewJob: Job = { ...job, record: next }
  const step = put(work, key, anewJob)
  return { next: step.next, effects: [...step.effects, accept(event), ...goOn(key, anewJob)] }
}

function finish(work: Work, key: string, outcome: Outcome, { nowMs }: World): WorkStep {
  const job = work.jobs.get(key)
  if (job === undefined || (job.record.state !== 'running' && job.record.state !== 'delegated'))
    return { next: work, effects: [] }
  const record: WorkRecord = { ...job.record, state: 'done', outcome }
  const step = put(work, key, { ...job, record, resendAtMs: nowMs + RESEND_MS })
  return { next: step.next, effects: [...step.effects, result(record)] }
}

function resend(work: Work, { nowMs }: World): WorkStep {
  const jobs = new Map(work.jobs)
  const effects: Effect[] = []
  for (const [key, job] of work.jobs) {
    if (job.record.state !== 'done' || nowMs < job.resendAtMs) continue
    const resendMs = Math.min(job.resendMs * 2, RESEND_MS_MAX)
    jobs.set(key, { ...job, resendMs, resendAtMs: nowMs + resendMs })
    effects.push(result(job.record))
  }
  return { next: { ...work, jobs }, effects }
}

const goOn = (job: string, { slot, record }: Job): WorkEffect[] => {
  const { state, request, asker, takenAtMs } = record
  if (state === 'running') return [{ type: 'run', job, request, asker }]
  // The same after a crash, and nothing that whoever asked could choose.
  return state === 'delegated' ? [{ type: 'delegate', job, request, task: `w${slot}-${takenAtMs}` }] : []
}

const isOpen = (state: TaskState): boolean => state === 'open' || state === 'assigned'

/** Unused, else the one that was settled longest ago, else one that nobody has asked about for ages. */
function freeSlot(work: Work, nowMs: number): { slot: number; key?: string } | undefined {
  const jobs = [...work.jobs]
  const used = new Set(jobs.map(([, job]) => job.slot))
  for (let slot = 0; slot < SLOTS_MAX; slot++) if (!used.has(slot)) return { slot }
  const free = jobs
    .filter(
      ([, { record }]) => record.state === 'settled' || (record.state === 'done' && nowMs - record.takenAtMs > KEEP_MS),
    )
    .sort(([, a], [, b]) => a.record.takenAtMs - b.record.takenAtMs)[0]
  return free && { slot: free[1].slot, key: free[0] }
}

function put(work: Work, key: string, job: Job): Step<Work> {
  const jobs = new Map(work.jobs).set(key, job)
  const { state, request } = job.record
  return {
    next: { ...work, jobs },
    effects: [
      { type: 'record', key: workKey(job.slot), value: job.record },
      { type: 'note', event: `work-${state}`, id: request.task, detail: `attempt ${request.attempt}` },
    ],
  }
}

const accept = ({ request, asker, message }: RequestEvent): Effect => ({
  type: 'send',
  draft: {
    to: asker,
    type: 'task-accepted',
    payload: { task: request.task, attempt: request.attempt },
    causedBy: message,
    ...about(request),
  },
})

const decline = (
  work: Work,
  { request, asker, message }: RequestEvent,
  reason: 'unable' | 'no-room' | 'too-far' | 'expired',
): WorkStep => ({
  next: work,
  effects: [
    {
      type: 'send',
      draft: {
        to: asker,
        type: 'task-declined',
        payload: { task: request.task, attempt: request.attempt, reason },
        causedBy: message,
        ...about(request),
      },
    },
    { type: 'note', event: 'work-declined', id: request.task, detail: reason },
  ],
})

const result = ({ asker, request, outcome }: WorkRecord, causedBy?: Message): Effect => ({
  type: 'send',
  draft: {
    to: asker,
    type: 'task-result',
    payload: { task: request.task, attempt: request.attempt, outcome },
    ...(causedBy === undefined ? {} : { causedBy }),
    ...about(request),
  },
})

const about = (request: TaskRequest) => ({ correlation: request.task, durable: true })
