import { MASS_MAX, MASS_MIN, MASS_SHARE, MASS_WINDOW_MS } from './limits.ts'

/**
 * Whether deletions are so many that a person has to confirm them. Those of the last minute count as one act: `rm -r`
 * takes its time, and a peer's deletions come in several packets.
 */
export class MassDeletion {
  #from = Number.NEGATIVE_INFINITY
  #before = 0
  #done = 0

  /** `files`: how many the folder has before these are gone. */
  holds(count: number, files: number, nowMs: number): boolean {
    this.#enter(files, nowMs)
    const all = this.#done + count
    return all >= MASS_MIN && (all > MASS_MAX || all > this.#before * MASS_SHARE)
  }

  /** These were carried out. */
  did(count: number, files: number, nowMs: number): void {
    this.#enter(files, nowMs)
    this.#done += count
  }

  #enter(files: number, nowMs: number): void {
    if (nowMs - this.#from < MASS_WINDOW_MS) {
      this.#before = Math.max(this.#before, files)
      return
    }
    this.#from = nowMs
    this.#before = files
    this.#done = 0
  }
}
