import { createRequire, syncBuiltinESMExports } from 'node:module'
import type { Process } from './machine.ts'

type Timers = Record<'setTimeout' | 'setImmediate', unknown>
/** What modules have imported by name from here is changed in place. */
const timersPromises = createRequire(import.meta.url)('node:timers/promises') as Timers

interface Entry {
  atMs: number
  order: number
  /** Whose it is: with that process it ends, and while its machine stands still it waits. Undefined: the world's. */
  readonly owner: Process | undefined
  readonly run: () => void
  /** Sleep of the owner's machine that is counted in `atMs`; null for what comes from outside, which does not wait. */
  sleptMs: number | null
  everyMs: number | undefined
  gone: boolean
}

/**
 * One clock for all machines of a world, and the only loop there is: timers, immediates and `performance.now` of
 * whatever code runs within it are its own. An event belongs to one process, and the next one happens when nothing of
 * it is left to do, so that whatever it starts belongs to that process too.
 */
export class Timeline {
  nowMs = 0
  /** Whose event happens now. */
  owner: Process | undefined
  events = 0
  readonly #heap: Entry[] = []
  #immediates: { owner: Process | undefined; run: () => void; gone: boolean }[] = []
  #orders = 0
  readonly #real = {
    setTimeout: globalThis.setTimeout,
    setInterval: globalThis.setInterval,
    setImmediate: globalThis.setImmediate,
    clearTimeout: globalThis.clearTimeout,
    clearInterval: globalThis.clearInterval,
    clearImmediate: globalThis.clearImmediate,
  }
  readonly #realNow = performance.now
  readonly #unhandled: (reason: unknown) => void
  readonly #realPromises = { ...timersPromises }

  /** A promise that is rejected and that nobody waits for ends a program: whose was it? */
  constructor(onUnhandled: (owner: Process, reason: unknown) => void = () => undefined) {
    this.#unhandled = (reason) => {
      // The queue of a process that is gone has stood still, with whoever would have waited.
      if (this.owner?.alive === true) onUnhandled(this.owner, reason)
    }
  }

  install(): void {
    process.on('unhandledRejection', this.#unhandled)
    const clear = (handle: Handle | undefined) => {
      if (handle !== undefined && handle !== null) handle.entry.gone = true
    }
    const timer = (everyMs: number | undefined, ms: number, run: () => void) => {
      const owner = this.owner
      const entry = this.#add(this.nowMs + this.#trueMs(owner, ms), owner, run, owner?.machine.sleptMs ?? 0)
      entry.everyMs = everyMs === undefined ? undefined : this.#trueMs(owner, ms)
      return handleOf(entry)
    }
    const immediate = (run: (...given: unknown[]) => void, ...given: unknown[]) => {
      const entry = { owner: this.owner, run: () => run(...given), gone: false }
      this.#immediates.push(entry)
      return handleOf(entry)
    }
    Object.assign(globalThis, {
      setTimeout: (run: () => void, ms = 1) => timer(undefined, ms, run),
      setInterval: (run: () => void, ms = 1) => timer(ms, ms, run),
      setImmediate: immediate,
      clearTimeout: clear,
      clearInterval: clear,
      clearImmediate: clear,
    })
    performance.now = () => this.owner?.machine.monotonicMs() ?? this.nowMs
    timersPromises.setImmediate = (value: unknown) => new Promise((resolve) => immediate(resolve as never, value))
    timersPromises.setTimeout = (ms = 1, value: unknown) =>
      new Promise((resolve) => timer(undefined, ms, () => resolve(value)))
    syncBuiltinESMExports()
  }

  uninstall(): void {
    process.off('unhandledRejection', this.#unhandled)
    Object.assign(globalThis, this.#real)
    Object.assign(timersPromises, this.#realPromises)
    Reflect.deleteProperty(performance, 'now')
    if (performance.now !== this.#realNow) performance.now = this.#realNow
    syncBuiltinESMExports()
    this.#heap.length = 0
    this.#immediates.length = 0
  }

  /** Something that reaches `owner` (or the world) from outside, so much later. */
  after(ms: number, owner: Process | undefined, run: () => void): void {
    this.#add(this.nowMs + Math.max(0, ms), owner, run, null)
  }

  /** Until this moment, or until `isOver` says so between two events. */
  async runUntil(endMs: number, isOver?: () => boolean): Promise<void> {
    await this.#settle()
    for (;;) {
      const entry = this.#heap[0]
      if (entry === undefined || entry.atMs > endMs) break
      this.#pop()
      if (entry.gone || entry.owner?.alive === false) continue
      this.nowMs = Math.max(this.nowMs, entry.atMs)
      const machine = entry.owner?.machine
      if (machine?.isStill === true) {
        machine.waiting.push(() => this.#put(entry, this.nowMs))
        continue
      }
      if (machine !== undefined && entry.sleptMs !== null && machine.sleptMs > entry.sleptMs) {
        const shiftMs = machine.sleptMs - entry.sleptMs
        entry.sleptMs = machine.sleptMs
        this.#put(entry, entry.atMs + shiftMs)
        continue
      }
      if (entry.everyMs !== undefined) this.#put(entry, this.nowMs + entry.everyMs)
      this.events += 1
      this.owner = entry.owner
      entry.run()
      await this.#settle()
      this.owner = undefined
      if (isOver?.() === true) return
    }
    this.nowMs = Math.max(this.nowMs, endMs)
  }

  /** What a process does of its own, now: as an event of it. */
  async as<T>(owner: Process | undefined, run: () => T): Promise<T> {
    const before = this.owner
    this.owner = owner
    const result = run()
    await this.#settle()
    this.owner = before
    return result
  }

  /** One real turn empties the queue of promises; what waited for a turn of its own comes next, until nothing does. */
  async #settle(): Promise<void> {
    for (;;) {
      await new Promise((resolve) => this.#real.setImmediate(resolve))
      if (this.#immediates.length === 0) return
      const due = this.#immediates
      this.#immediates = []
      for (const { owner, run, gone } of due) if (!gone && owner?.alive !== false) run()
    }
  }

  #trueMs(owner: Process | undefined, ms: number): number {
    return Math.max(1, ms) / (owner?.machine.rate ?? 1)
  }

  #add(atMs: number, owner: Process | undefined, run: () => void, sleptMs: number | null): Entry {
    const entry: Entry = { atMs, order: 0, owner, run, sleptMs, everyMs: undefined, gone: false }
    this.#put(entry, atMs)
    return entry
  }

  #put(entry: Entry, atMs: number): void {
    entry.atMs = atMs
    entry.order = this.#orders++
    const heap = this.#heap
    let at = heap.push(entry) - 1
    while (at > 0) {
      const above = (at - 1) >> 1
      if (!isBefore(entry, heap[above]!)) break
      heap[at] = heap[above]!
      at = above
    }
    heap[at] = entry
  }

  #pop(): void {
    const heap = this.#heap
    const last = heap.pop()!
    if (heap.length === 0) return
    let at = 0
    for (;;) {
      let below = 2 * at + 1
      if (below >= heap.length) break
      if (below + 1 < heap.length && isBefore(heap[below + 1]!, heap[below]!)) below += 1
      if (!isBefore(heap[below]!, last)) break
      heap[at] = heap[below]!
      at = below
    }
    heap[at] = last
  }
}

const isBefore = (a: Entry, b: Entry): boolean => a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order)

interface Handle {
  readonly entry: { gone: boolean }
}

function handleOf(entry: { gone: boolean }) {
  const handle = { entry, ref: () => handle, unref: () => handle, hasRef: () => false, refresh: () => handle }
  return handle
}
