import { Failure } from '@sealmesh/protocol/errors'
import type { Message } from '@sealmesh/protocol/messages/message'
import type { Step, World } from './core/step.ts'
import type { PatternDeps } from './deps.ts'
import { readRecord, recordsOf } from './own-registers.ts'
import type { Schema } from './own-registers.ts'
import { Shelf } from './shelf.ts'
import { Turns } from './turns.ts'

/** Of one pattern and agent: those that run, and ended ones until room is needed; those are read again when asked for. */
const HELD_MAX = 256
/** Ended ones that stay on disk, to be read and for latecomers; the oldest are removed. */
const DONE_KEPT = 256
const TOLD_AGAIN_MS = 1_000

/** Asks for `told`: what had to be sent about the end has been. */
export interface AllTold {
  readonly type: 'all-told'
}

interface Kind<Record, State, Event, Own> {
  readonly pattern: string
  readonly key: (id: string) => string
  readonly schema: Schema<Record>
  readonly stateOf: (record: Record) => State
  readonly recordOf: (state: State) => Record
  readonly idOf: (record: Record) => string
  readonly deadlineAtMs: (record: Record) => number
  readonly isOver: (record: Record) => boolean
  /** Nothing is left to do but to answer latecomers. */
  readonly isDone: (record: Record) => boolean
  readonly step: (state: State, event: Event | Common, world: World) => Step<State, AllTold | Own>
  readonly dueAtMs: (state: State) => number | null
  /** How many that have ended stay on disk. */
  readonly doneKept?: number
  /** What only this kind knows how to do. */
  readonly run?: (effect: Own, id: string) => void
}

type Named = { readonly type: string }
type Common =
  | { readonly type: 'tick' }
  | { readonly type: 'resumed' }
  | { readonly type: 'cancel' }
  | { readonly type: 'told' }

export interface Held<Record> {
  readonly id: string
  readonly over: Promise<Record>
}

interface Entry<Record, State, Event, Own extends Named> extends Held<Record> {
  readonly turns: Turns<State, Event | Common, AllTold | Own>
}

/** What runs on from a register of its own, one turn at a time: votes, auctions, rounds. */
export class Kept<Record, State, Event, Own extends Named = never> {
  readonly #deps: PatternDeps
  readonly #kind: Kind<Record, State, Event, Own>
  readonly #held = new Map<string, Entry<Record, State, Event, Own>>()

  readonly #shelf: Shelf

  constructor(deps: PatternDeps, kind: Kind<Record, State, Event, Own>) {
    this.#deps = deps
    this.#kind = kind
    this.#shelf = new Shelf(deps.port, kind.doneKept ?? DONE_KEPT)
  }

  /** What was there when the agent ran last, or `only` that one; `resume` goes on with it. */
  async load(only?: string): Promise<void> {
    const { key, schema, isDone, idOf, deadlineAtMs } = this.#kind
    const all = await recordsOf(this.#deps.port, key, schema, only)
    for (const record of all) if (!isDone(record)) this.#hold(record)
    const done = all.filter(isDone)
    this.#shelf.fill(done.map((record) => ({ key: key(idOf(record)), atMs: deadlineAtMs(record) })))
  }

  async resume(): Promise<void> {
    for (const { turns } of [...this.#held.values()]) await turns.feed({ type: 'resumed' })
  }

  /** Undefined when there is none of that id, in memory or on disk. */
  async find(id: string): Promise<Held<Record> | undefined> {
    return this.#find(id)
  }

  /** Throws `CORE_BUSY` when too many run; what writing the register threw, when it was not written. */
  async add(record: Record, first: Step<State, AllTold | Own>, signal?: AbortSignal): Promise<Held<Record>> {
    // Another call with this id may have been faster.
    const since = this.#held.get(this.#kind.idOf(record))
    if (since !== undefined) return since
    if (!this.#makeRoom())
      throw new Failure('CORE_BUSY', `${HELD_MAX} of this kind run already, which is as many as may.`, {
        next: 'wait until some of them have ended',
      })
    const entry = this.#hold(record)
    try {
      await entry.turns.enter(first)
    } catch (cause) {
      this.#held.delete(entry.id)
      await entry.turns.close()
      throw cause
    }
    const cancel = () => void entry.turns.feed({ type: 'cancel' }).catch(() => {})
    if (signal?.aborted === true) cancel()
    else signal?.addEventListener('abort', cancel, { once: true })
    // A signal may live as long as its agent.
    void entry.over.then(() => signal?.removeEventListener('abort', cancel))
    return entry
  }

  /** Resolves when it has taken effect, however often its record must be tried; at once when nobody knows that id. */
  async take(id: string, event: Event, message?: Message): Promise<void> {
    const entry = await this.#find(id)
    if (entry === undefined) return
    const { port, trace, nowMs } = this.#deps
    if (message !== undefined) trace.heard(port.name, this.#kind.pattern, message, nowMs())
    await entry.turns.take(event)
  }

  async close(): Promise<void> {
    for (const { turns } of this.#held.values()) await turns.close()
  }

  async #find(id: string): Promise<Entry<Record, State, Event, Own> | undefined> {
    const held = this.#held.get(id)
    if (held !== undefined) return held
    const { port } = this.#deps
    const record = await readRecord(port, port.name, this.#kind.key(id), this.#kind.schema)
    // Another may have read it meanwhile: two that hold it would overwrite each other.
    const since = this.#held.get(id)
    if (since !== undefined || record === undefined) return since
    this.#makeRoom()
    const entry = this.#hold(record)
    // Written by a call of which nobody knew whether it had been.
    if (!this.#kind.isDone(record)) await entry.turns.feed({ type: 'resumed' })
    return entry
  }

  #hold(record: Record): Entry<Record, State, Event, Own> {
    const { pattern, stateOf, recordOf, idOf, key, isOver, isDone, step, dueAtMs, run } = this.#kind
    const id = idOf(record)
    let end: (record: Record) => void = () => {}
    const over = new Promise<Record>((resolve) => {
      end = resolve
    })
    const changed = (now: Record) => {
      if (isOver(now)) end(now)
      if (isDone(now)) this.#shelf.put(key(id))
    }
    const turns: Turns<State, Event | Common, AllTold | Own> = new Turns(this.#deps, {
      pattern,
      id,
      initial: stateOf(record),
      step,
      dueAtMs,
      run: (effect) => {
        if (isAllTold(effect)) void this.#markTold(turns)
        else run?.(effect, id)
      },
      changed: (state) => changed(recordOf(state)),
    })
    changed(record)
    const entry = { id, turns, over }
    this.#held.set(id, entry)
    return entry
  }

  /** Until that can be written down; everybody is told once more should the agent end before. */
  async #markTold(turns: Turns<State, Event | Common, AllTold | Own>): Promise<void> {
    try {
      await turns.feed({ type: 'told' })
    } catch {
      this.#deps.after(TOLD_AGAIN_MS, () => void this.#markTold(turns))
    }
  }

  /** False when all that are held run. */
  #makeRoom(): boolean {
    for (const [id, { turns }] of this.#held) {
      if (this.#held.size < HELD_MAX) break
      if (this.#kind.isDone(this.#kind.recordOf(turns.state))) this.#held.delete(id)
    }
    return this.#held.size < HELD_MAX
  }
}

const isAllTold = (effect: Named): effect is AllTold => effect.type === 'all-told'
