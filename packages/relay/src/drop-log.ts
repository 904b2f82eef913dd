import type { Note } from './core/event.ts'

/** Drops of one mesh for one reason come by the thousand when a mailbox is full: the log has one line a second of them. */

export type Drop = Extract<Note, { event: 'dropped' }>

const EVERY_MS = 1_000
/** Of meshes and reasons within one second; what is beyond is in the counters only. */
const WAITING_MAX = 256

export class DropLog {
  readonly #waiting = new Map<string, Drop>()
  #sinceMs = Number.NEGATIVE_INFINITY

  add(drop: Drop): void {
    const key = `${drop.reason} ${drop.mesh}`
    const known = this.#waiting.get(key)
    if (known === undefined && this.#waiting.size >= WAITING_MAX) return
    this.#waiting.set(key, known === undefined ? drop : { ...known, packets: known.packets + drop.packets })
  }

  /** What is due to be written: nothing within a second of the last time. */
  take(steadyMs: number): Drop[] {
    if (this.#waiting.size === 0 || steadyMs - this.#sinceMs < EVERY_MS) return []
    this.#sinceMs = steadyMs
    const drops = [...this.#waiting.values()]
    this.#waiting.clear()
    return drops
  }
}
