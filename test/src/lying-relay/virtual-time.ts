import { setImmediate as nextTurn } from 'node:timers/promises'

/** Turns of the loop without anything happening, after which nothing is on its way any more. */
const QUIET_TURNS = 4

interface Entry {
  atMs: number
  readonly everyMs: number | undefined
  readonly run: () => void
}

/**
 * Takes the place of the process's timers, so that minutes of heartbeats pass in milliseconds and in the same order each
 * time. What a turn of the event loop does is left to the loop: between two moments all of it is waited for.
 */
export class VirtualTime {
  nowMs = 1_700_000_000_000
  /** Grows with everything that happens: whoever reads or writes on behalf of a node says so. */
  stirred = 0
  /** Real milliseconds without anything happening that count as quiet, where bytes pass through the kernel; else none. */
  readonly #quietMs: number
  readonly #entries = new Map<object, Entry>()
  readonly #real = {
    setTimeout: globalThis.setTimeout,
    setInterval: globalThis.setInterval,
    clearTimeout: globalThis.clearTimeout,
    clearInterval: globalThis.clearInterval,
  }

  constructor(quietMs = 0) {
    this.#quietMs = quietMs
  }

  install(): void {
    const set = (everyMs: number | undefined, afterMs: number, run: () => void) => {
      const handle = { ref: () => handle, unref: () => handle, hasRef: () => false }
      this.#entries.set(handle, { atMs: this.nowMs + Math.max(1, afterMs), everyMs, run })
      return handle
    }
    const clear = (handle: object | undefined) => void (handle && this.#entries.delete(handle))
    Object.assign(globalThis, {
      setTimeout: (run: () => void, ms = 1) => set(undefined, ms, run),
      setInterval: (run: () => void, ms = 1) => set(Math.max(1, ms), ms, run),
      clearTimeout: clear,
      clearInterval: clear,
    })
  }

  uninstall(): void {
    Object.assign(globalThis, this.#real)
    this.#entries.clear()
  }

  /** Runs `run` once. */
  after(ms: number, run: () => void): void {
    this.#entries.set({}, { atMs: this.nowMs + Math.max(1, ms), everyMs: undefined, run })
  }

  async pass(ms: number): Promise<void> {
    const endMs = this.nowMs + ms
    await this.settle()
    for (;;) {
      let next: [object, Entry] | undefined
      for (const each of this.#entries) if (next === undefined || each[1].atMs < next[1].atMs) next = each
      if (next === undefined || next[1].atMs > endMs) break
      const [handle, entry] = next
      this.nowMs = Math.max(this.nowMs, entry.atMs)
      if (entry.everyMs === undefined) this.#entries.delete(handle)
      else entry.atMs = this.nowMs + entry.everyMs
      this.stirred += 1
      entry.run()
      await this.settle()
    }
    this.nowMs = endMs
  }

  async settle(): Promise<void> {
    let before = this.stirred
    for (let quiet = 0; quiet < QUIET_TURNS; ) {
      await nextTurn()
      if (this.#quietMs > 0 && quiet === QUIET_TURNS - 1)
        await new Promise((resolve) => this.#real.setTimeout(resolve, this.#quietMs))
      quiet = this.stirred === before ? quiet + 1 : 0
      before = this.stirred
    }
  }
}
