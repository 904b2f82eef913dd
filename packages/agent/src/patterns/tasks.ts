import { assert } from '@sealmesh/protocol/result'
import { Failure } from '@sealmesh/protocol/errors'
import { agentOf } from '@sealmesh/protocol/messages/addresses'
import type { Message } from '@sealmesh/protocol/messages/message'
import {
  TaskAccepted,
  TaskDeclined,
  TaskReassign,
  TaskRecord,
  TaskResult,
  TASK_REASSIGN,
  TASK_RECORDED,
} from '@sealmesh/protocol/messages/task'
import { learn } from './core/performance.ts'
import type { PerformanceBook } from './core/performance.ts'
import type { Situation } from './core/selection.ts'
import { isSettled, openTask, stepTask, taskDueAtMs, taskFrom, taskKey } from './core/task.ts'
import type { Task, TaskEffect, TaskEvent, TaskSpec } from './core/task.ts'
import type { PatternDeps } from './deps.ts'
import { readRecord, recordsOf } from './own-registers.ts'
import { Shelf } from './shelf.ts'
import { Turns } from './turns.ts'

/** Tasks of one agent that are not settled: each is some KB of memory, and a register that is read at every start. */
export const TASKS_OPEN_MAX = 512
/** Settled ones that stay on disk, to be read and to answer late results from; the oldest are removed. */
const SETTLED_KEPT = 256
const ATTEMPTS_DEFAULT = 16

export interface NewTask extends Pick<TaskSpec, 'title' | 'capability' | 'payload'> {
  /** Opening one that is there already gives that one. */
  readonly id?: string
  /** Milliseconds from now; without, it waits for as long as it takes. */
  readonly withinMs?: number
  readonly deadlineAtMs?: number | null
  /** Tried first. */
  readonly prefer?: string
  readonly visited?: readonly string[]
  readonly attemptsMax?: number
  /** Looks in a row that may find nobody able with room before it fails; without, it waits in the queue. */
  readonly looksMax?: number
  /** Cancels it. */
  readonly signal?: AbortSignal
}

interface TasksOptions {
  readonly settledKept?: number
  readonly only?: string
}

export interface OpenTask {
  readonly id: string
  /** Done, failed or cancelled. */
  readonly settled: Promise<TaskRecord>
}

type TaskTurns = Turns<Task, TaskEvent, TaskEffect>
interface Held {
  readonly turns: TaskTurns
  readonly settled: Promise<TaskRecord>
}

/** The tasks that this agent has given to others: it alone records what becomes of them. */
export class Tasks {
  readonly #deps: PatternDeps
  readonly #held = new Map<string, Held>()
  readonly #opening = new Map<string, Promise<OpenTask>>()
  readonly #shelf: Shelf
  #book: PerformanceBook = new Map()
  #stopListening: () => void = () => {}

  private constructor(deps: PatternDeps, settledKept: number) {
    this.#deps = deps
    this.#shelf = new Shelf(deps.port, settledKept)
  }

  /**
   * Goes on with what was open when the agent ran last, here or on the machine that it was taken over from; with `only`
   * with that one task, and touches no other.
   */
  static async start(deps: PatternDeps, options: TasksOptions = {}): Promise<Tasks> {
    const tasks = new Tasks(deps, options.settledKept ?? SETTLED_KEPT)
    const all = (await recordsOf(deps.port, taskKey, TaskRecord, options.only)).map(taskFrom)
    for (const task of all) if (!isSettled(task)) tasks.#hold(task)
    const settled = all.filter(isSettled).map(({ record }) => ({ key: taskKey(record.id), atMs: settledAtMs(record) }))
    tasks.#shelf.fill(settled)
    tasks.#stopListening = deps.port.onDelivery(({ message }) => tasks.#take(message))
    for (const { turns } of [...tasks.#held.values()]) await turns.feed({ type: 'resumed' })
    return tasks
  }

  /** Resolves when the task is durable. Throws `CORE_BUSY` when too many are open. */
  async open(wanted: NewTask): Promise<OpenTask> {
    const id = wanted.id ?? this.#deps.newId()
    const opening = this.#opening.get(id) ?? this.#open(id, wanted)
    this.#opening.set(id, opening)
    try {
      return await opening
    } finally {
      this.#opening.delete(id)
    }
  }

  /** Whoever has it now is told. A task that is settled stays as it is. */
  async cancel(id: string): Promise<void> {
    await this.#held.get(id)?.turns.feed({ type: 'cancel' })
  }

  /** Gives it to another agent, if there is one: to `to` first, when that one is able and has room. */
  async reassign(id: string, to: string | null = null): Promise<void> {
    await this.#held.get(id)?.turns.feed({ type: 'reassign', to })
  }

  /** Its open tasks go to the least loaded able agent, or wait in the queue. It may have come back all the same. */
  async lost(agent: string): Promise<void> {
    for (const { turns } of [...this.#held.values()]) await turns.feed({ type: 'lost', agent })
  }

  /** Not settled. */
  list(): readonly TaskRecord[] {
    return [...this.#held.values()].map(({ turns }) => turns.state.record)
  }

  /** What is known of those that might do it. */
  async situation(capability: string): Promise<Situation> {
    const given = new Map<string, number>()
    for (const { assignee } of this.list()) if (assignee !== null) given.set(assignee, (given.get(assignee) ?? 0) + 1)
    const { port } = this.#deps
    const views = (await port.agents({ capability })).filter(({ name }) => name !== port.name)
    return { views, book: this.#book, given }
  }

  async close(): Promise<void> {
    this.#stopListening()
    for (const { turns } of this.#held.values()) await turns.close()
  }

  async #open(id: string, wanted: NewTask): Promise<OpenTask> {
    const { port, nowMs } = this.#deps
    const known = this.#held.get(id)
    if (known !== undefined) return { id, settled: known.settled }
    const before = await readRecord(port, port.name, taskKey(id), TaskRecord)
    if (before !== undefined) return this.#goOn(taskFrom(before))
    if (this.#held.size >= TASKS_OPEN_MAX)
      throw new Failure('CORE_BUSY', `This agent has ${TASKS_OPEN_MAX} tasks open, which is as many as it may.`, {
        next: 'wait until some of them are done, or cancel some',
      })
    const spec: TaskSpec = {
      id,
      title: wanted.title,
      capability: wanted.capability,
      payload: wanted.payload,
      deadlineAtMs: wanted.deadlineAtMs ?? (wanted.withinMs === undefined ? null : nowMs() + wanted.withinMs),
      prefer: wanted.prefer ?? null,
      visited: wanted.visited ?? [port.name],
      attemptsMax: wanted.attemptsMax ?? ATTEMPTS_DEFAULT,
      looksMax: wanted.looksMax ?? null,
    }
    const step = openTask(spec, { nowMs: nowMs() })
    // The register is read with the same schema: what does not fit it could not be gone on with.
    if (!TaskRecord.safeParse(step.next.record).success)
      throw new Failure('VALUE_INVALID', 'The task does not fit its register: a name, its title or its payload.', {
        next: 'keep large content in a document, and put its UMR into the payload',
      })
    const held = this.#hold(step.next)
    try {
      await held.turns.enter(step)
    } catch (cause) {
      this.#held.delete(id)
      await held.turns.close()
      throw cause
    }
    const cancel = () => void this.cancel(id).catch(() => {})
    if (wanted.signal?.aborted === true) cancel()
    else wanted.signal?.addEventListener('abort', cancel, { once: true })
    // A signal may live as long as its agent.
    void held.settled.then(() => wanted.signal?.removeEventListener('abort', cancel))
    return { id, settled: held.settled }
  }

  /** One that is on disk already: settled, or written by a call of which nobody knew whether it had been. */
  async #goOn(task: Task): Promise<OpenTask> {
    const { record } = task
    if (isSettled(task)) return { id: record.id, settled: Promise.resolve(record) }
    const { turns, settled } = this.#hold(task)
    await turns.feed({ type: 'resumed' })
    return { id: record.id, settled }
  }

  #hold(initial: Task): Held {
    const { id } = initial.record
    let settle: (record: TaskRecord) => void = () => {}
    const settled = new Promise<TaskRecord>((resolve) => {
      settle = resolve
    })
    const turns: TaskTurns = new Turns(this.#deps, {
      pattern: 'task',
      id,
      initial,
      step: stepTask,
      dueAtMs: taskDueAtMs,
      run: (effect) => this.#run(turns, effect),
      changed: (task) => {
        if (!isSettled(task)) return
        this.#held.delete(id)
        this.#shelf.put(taskKey(id))
        settle(task.record)
      },
    })
    const held = { turns, settled }
    this.#held.set(id, held)
    return held
  }

  #run(turns: TaskTurns, effect: TaskEffect): void {
    switch (effect.type) {
      case 'look':
        // What fails here is looked for again when the core next is due.
        void this.situation(turns.state.record.capability)
          .then((situation) => turns.feed({ type: 'candidates', situation }))
          .catch(() => {})
        return
      case 'performed':
        this.#book = learn(this.#book, effect.agent, effect)
        return
    }
  }

  async #take(message: Message): Promise<void> {
    const { port, trace, nowMs } = this.#deps
    const event = eventOf(message, port.name)
    if (event === undefined) return
    trace.heard(port.name, 'task', message, nowMs())
    const held = this.#held.get(event.task)
    if (held !== undefined) return held.turns.take(event)
    if (event.type !== 'result') return
    const record = await readRecord(port, port.name, taskKey(event.task), TaskRecord)
    // Removed long ago, or of another life: the worker need not keep its result.
    if (record === undefined) return this.#answerUnknown(event)
    const settled = taskFrom(record)
    // Registers that are not settled are all held; one that was just opened has been given to nobody yet.
    if (!isSettled(settled)) return
    for (const effect of stepTask(settled, event, { nowMs: nowMs() }).effects) {
      assert(effect.type !== 'record', 'a settled task is not written again')
      if (effect.type === 'send') await port.send(effect.draft)
    }
  }

  async #answerUnknown({ task, from, attempt, message }: Extract<FromWorker, { type: 'result' }>): Promise<void> {
    await this.#deps.port.send({
      to: from,
      type: TASK_RECORDED,
      payload: { task, attempt, state: 'cancelled', doneBy: null },
      correlation: task,
      causedBy: message,
      durable: true,
    })
  }
}

/** When the last thing happened to it. */
const settledAtMs = ({ history, openedAtMs }: TaskRecord): number => history.at(-1)?.atMs ?? openedAtMs

type FromWorker = Extract<TaskEvent, { type: 'accepted' | 'declined' | 'result' }> & { readonly task: string }
type FromOwner = Extract<TaskEvent, { type: 'reassign' }> & { readonly task: string }

function eventOf(message: Message, self: string): FromWorker | FromOwner | undefined {
  const from = agentOf(message.from)
  switch (message.type) {
    case 'task-accepted': {
      const read = TaskAccepted.safeParse(message.payload)
      return read.success ? { type: 'accepted', from, ...read.data } : undefined
    }
    case 'task-declined': {
      const read = TaskDeclined.safeParse(message.payload)
      return read.success ? { type: 'declined', from, ...read.data } : undefined
    }
    case 'task-result': {
      const read = TaskResult.safeParse(message.payload)
      return read.success ? { type: 'result', from, message, ...read.data } : undefined
    }
    case TASK_REASSIGN: {
      // Whose task it is says so; nobody else may.
      const read = from === self ? TaskReassign.safeParse(message.payload) : undefined
      return read?.success === true ? { type: 'reassign', ...read.data } : undefined
    }
    default:
      return undefined
  }
}
