import { agentOf } from '@sealmesh/protocol/messages/addresses'
import type { Message } from '@sealmesh/protocol/messages/message'
import type { Outcome } from '@sealmesh/protocol/messages/task'
import { TaskCancelled, TaskRecorded, TaskRequest, TASK_RECORDED, WorkRecord } from '@sealmesh/protocol/messages/task'
import { running, stepWork, workDueAtMs, workFrom, workKey } from './core/work.ts'
import type { Work, WorkEffect, WorkEvent } from './core/work.ts'
import type { PatternDeps } from './deps.ts'
import { Jobs } from './jobs.ts'
import { readRecords } from './own-registers.ts'
import type { Tasks } from './tasks.ts'
import { Turns } from './turns.ts'

/** Looks of a task that was passed on, before this agent says that nobody has room after all. */
const DELEGATED_LOOKS_MAX = 3
/** After a result could not be written down. */
const FINISH_AGAIN_MS = 1_000

export interface WorkerOptions {
  readonly capabilities: readonly string[]
  /** Tasks at a time. */
  readonly capacity: number
  /** Passes on what there is no room for. */
  readonly tasks: Tasks
  /**
   * Does one task; what it gives, a JSON value, is the result, and what it throws a failure. It may be called again for
   * one that it had begun before a crash. The signal says that nobody wants the result any more.
   */
  readonly handle: (request: TaskRequest & { readonly asker: string }, signal: AbortSignal) => Promise<unknown>
}

/** Does tasks for others: docs/spec/17-patterns.md §2.3. */
export class Worker {
  readonly #deps: PatternDeps
  readonly #options: WorkerOptions
  readonly #turns: Turns<Work, WorkEvent, WorkEffect>
  readonly #jobs = new Jobs()
  #stopListening: () => void = () => {}

  private constructor(deps: PatternDeps, options: WorkerOptions, initial: Work) {
    this.#deps = deps
    this.#options = options
    this.#turns = new Turns(deps, {
      pattern: 'work',
      id: 'work',
      initial,
      step: stepWork,
      dueAtMs: workDueAtMs,
      run: (effect) => this.#run(effect),
      // The next change says it again.
      changed: (work) => void this.#offer(work).catch(() => {}),
    })
  }

  /** Goes on with what it had taken on when it ran last. */
  static async start(deps: PatternDeps, options: WorkerOptions): Promise<Worker> {
    const { port, nowMs } = deps
    const records = await readRecords(port, workKey(0).slice(0, -1), WorkRecord)
    const slots = new Map([...records].map(([slot, record]) => [Number(slot), record]))
    const { capabilities, capacity } = options
    const work = workFrom({ name: port.name, capabilities, capacity }, slots, { nowMs: nowMs() })
    const worker = new Worker(deps, options, work)
    await worker.#offer(work)
    worker.#stopListening = port.onDelivery(({ message }) => worker.#take(message))
    await worker.#turns.feed({ type: 'resumed' })
    return worker
  }

  /** What runs is told to stop, and is gone on with at the next start. */
  async close(): Promise<void> {
    this.#stopListening()
    await this.#turns.close()
    this.#jobs.stopAll()
  }

  async #take(message: Message): Promise<void> {
    const event = await this.#eventOf(message)
    if (event === undefined) return
    this.#deps.trace.heard(this.#deps.port.name, 'work', message, this.#deps.nowMs())
    await this.#turns.take(event)
  }

  async #eventOf(message: Message): Promise<WorkEvent | undefined> {
    const asker = agentOf(message.from)
    switch (message.type) {
      case 'task-request': {
        const read = TaskRequest.safeParse(message.payload)
        if (!read.success) return undefined
        const situation = await this.#options.tasks.situation(read.data.capability)
        return { type: 'request', asker, request: read.data, message, situation }
      }
      case 'task-cancelled': {
        const read = TaskCancelled.safeParse(message.payload)
        return read.success ? { type: 'cancelled', asker, task: read.data.task } : undefined
      }
      case TASK_RECORDED: {
        const read = TaskRecorded.safeParse(message.payload)
        return read.success ? { type: 'recorded', asker, ...read.data } : undefined
      }
      default:
        return undefined
    }
  }

  #run(effect: WorkEffect): void {
    switch (effect.type) {
      case 'run':
        return this.#start(effect.job, (signal) =>
          this.#options.handle({ ...effect.request, asker: effect.asker }, signal),
        )
      case 'delegate':
        return this.#start(effect.job, (signal) => this.#passOn(effect.request, effect.task, signal))
      case 'stop':
        return this.#jobs.stop(effect.job)
    }
  }

  #start(job: string, work: (signal: AbortSignal) => Promise<unknown>): void {
    this.#jobs.start(job, work, (outcome) => this.#finish(job, outcome))
  }

  /** A register that cannot be written now may be in a while; until then the job runs. */
  async #finish(job: string, outcome: Outcome): Promise<void> {
    try {
      await this.#turns.feed({ type: 'finished', job, outcome })
    } catch {
      this.#deps.after(FINISH_AGAIN_MS, () => void this.#finish(job, outcome))
    }
  }

  async #passOn(request: TaskRequest, id: string, signal: AbortSignal): Promise<unknown> {
    const { tasks } = this.#options
    const { title, capability, payload, deadlineAtMs, visited } = request
    const { port, trace, nowMs } = this.#deps
    trace.note({ atMs: nowMs(), self: port.name, pattern: 'task', id, event: 'passed-on', partOf: request.task })
    const own = await tasks.open({
      id,
      title,
      capability,
      payload,
      deadlineAtMs,
      visited: [...visited, port.name],
      looksMax: DELEGATED_LOOKS_MAX,
      signal,
    })
    const { result } = await own.settled
    if (result?.ok === true) return result.value
    throw new Error(result?.reason ?? 'Cancelled')
  }

  async #offer(work: Work): Promise<void> {
    const { capabilities, capacity } = this.#options
    await this.#deps.offers.set('work', { capabilities, capacity, load: running(work) })
  }
}
