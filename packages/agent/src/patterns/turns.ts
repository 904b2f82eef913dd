import { Failure } from '@sealmesh/protocol/errors'
import type { Draft } from '../agent-port.ts'
import type { Effect, Note, Step, World } from './core/step.ts'
import type { PatternDeps } from './deps.ts'

/** After a register could not be written, and at most before a core is asked again whether something is due. */
const RETRY_MS = 1_000
const TICK_MS_MAX = 3_600_000

interface Part<State, Event, Own> {
  readonly pattern: string
  readonly id: string
  readonly initial: State
  step(state: State, event: Event | { readonly type: 'tick' }, world: World): Step<State, Own>
  dueAtMs(state: State): number | null
  /** What only this pattern knows how to do. Starts it; nothing behind it waits. */
  run?(effect: Own): void
  changed?(state: State): void
}

/**
 * Runs one core: an event at a time, its records first, and only when they are durable its state and all else. What
 * could not be written is written before anything else happens: it may be on disk all the same.
 */
export class Turns<State, Event, Own extends { readonly type: string } = never> {
  readonly #deps: PatternDeps
  readonly #part: Part<State, Event, Own>
  #state: State
  #tail: Promise<unknown> = Promise.resolve()
  #stopTimer: () => void = () => {}
  /** Its record failed, so that nobody knows whether it is on disk: it is written before anything else happens. */
  #unsure: Step<State, Own> | undefined
  #closed = false

  constructor(deps: PatternDeps, part: Part<State, Event, Own>) {
    this.#deps = deps
    this.#part = part
    this.#state = part.initial
    this.#setTimer(false)
  }

  get state(): State {
    return this.#state
  }

  /** Resolves when it has taken effect; throws what writing its record threw. */
  async feed(event: Event | { readonly type: 'tick' }): Promise<void> {
    const turn = this.#tail.then(() => this.#turn(event))
    this.#tail = turn.catch(() => {})
    await turn
  }

  /**
   * The same for what was delivered: tried again until its record is durable, because a delivery whose listener has
   * ended, in whatever way, is done. After `close` it never ends, so that it comes again with the next start.
   */
  async take(event: Event): Promise<void> {
    while (!this.#closed) {
      try {
        await this.feed(event)
        if (!this.#closed) return
      } catch {
        await new Promise<void>((resolve) => this.#deps.after(RETRY_MS, resolve))
      }
    }
    await new Promise<never>(() => {})
  }

  /** A first step that was made elsewhere, or one without an event. */
  async enter(first: Step<State, Own>): Promise<void> {
    const turn = this.#tail.then(() => this.#commit(first))
    this.#tail = turn.catch(() => {})
    await turn
  }

  /** Waits for the turn that runs; none begins afterwards. */
  async close(): Promise<void> {
    this.#closed = true
    this.#stopTimer()
    await this.#tail
  }

  async #turn(event: Event | { readonly type: 'tick' }): Promise<void> {
    if (this.#closed) return
    if (this.#unsure !== undefined) await this.#commit(this.#unsure)
    await this.#commit(this.#part.step(this.#state, event, { nowMs: this.#deps.nowMs() }))
  }

  async #commit(step: Step<State, Own>): Promise<void> {
    const { next, effects } = step
    try {
      for (const effect of effects) if (isRecord(effect)) await this.#record(effect)
    } catch (cause) {
      this.#note({ event: 'not-recorded', detail: codeOf(cause) })
      this.#unsure = step
      this.#setTimer(true)
      throw cause
    }
    this.#unsure = undefined
    this.#state = next
    for (const effect of effects) {
      if (isSend(effect)) await this.#send(effect.draft)
      else if (isNote(effect)) this.#note(effect)
      else if (!isRecord(effect)) this.#part.run?.(effect as Own)
    }
    this.#setTimer(false)
    this.#part.changed?.(next)
  }

  async #record({ key, value }: Extract<Effect, { type: 'record' }>): Promise<void> {
    const { port } = this.#deps
    await port.write(registerOf(port.name, key), JSON.stringify(value))
  }

  async #send(draft: Draft): Promise<void> {
    const { port, trace, nowMs } = this.#deps
    const { pattern, id } = this.#part
    const about = {
      // Others' traces have it at the earliest from then on.
      atMs: nowMs(),
      self: port.name,
      pattern,
      id: draft.correlation ?? id,
      agent: draft.to,
      ...(draft.causedBy === undefined ? {} : { parents: [draft.causedBy.id] }),
    }
    try {
      const { id: message } = await port.send(draft)
      trace.note({ ...about, event: `sent ${draft.type}`, message })
    } catch (cause) {
      // As one that was lost: whoever needs it to arrive sends it again.
      trace.note({ ...about, event: `unsent ${draft.type}`, detail: codeOf(cause) })
    }
  }

  #note({ event, id, agent, detail }: Omit<Note, 'type'>): void {
    const { pattern, id: own } = this.#part
    const { port, trace, nowMs } = this.#deps
    const more = { ...(agent === undefined ? {} : { agent }), ...(detail === undefined ? {} : { detail }) }
    trace.note({ atMs: nowMs(), self: port.name, pattern, id: id ?? own, event, ...more })
  }

  #setTimer(failed: boolean): void {
    this.#stopTimer()
    const dueAtMs = this.#part.dueAtMs(this.#state)
    if (this.#closed || (!failed && (dueAtMs === null || dueAtMs === Number.POSITIVE_INFINITY))) return
    const inMs = failed ? RETRY_MS : Math.min(Math.max((dueAtMs ?? 0) - this.#deps.nowMs(), 0), TICK_MS_MAX)
    // What failed has been noted, and the timer is set again.
    this.#stopTimer = this.#deps.after(inMs, () => void this.feed({ type: 'tick' }).catch(() => {}))
  }
}

/** Where a pattern's registers are: the layer `tasks` of the agent's own. */
export const PATTERNS_LAYER = 'tasks'
export const registerOf = (agent: string, key: string): string => `${agent}.${PATTERNS_LAYER}.${key}`

const isRecord = (effect: { readonly type: string }): effect is Extract<Effect, { type: 'record' }> =>
  effect.type === 'record'
const isSend = (effect: { readonly type: string }): effect is Extract<Effect, { type: 'send' }> =>
  effect.type === 'send'
const isNote = (effect: { readonly type: string }): effect is Note => effect.type === 'note'

/** Codes are ours; a message may hold what a peer chose. */
const codeOf = (cause: unknown): string => (cause instanceof Failure ? cause.code : 'INTERNAL')
