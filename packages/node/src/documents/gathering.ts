import { setTimeout as wait } from 'node:timers/promises'
import { bytesOf, type Filling, type Job } from './filling.ts'

/** Callers that wrote at the same time: fewer are waiting for one another's answers. */
const WRITERS_MIN = 4
/** What costs more to fill than to send on its way. */
const BYTES_MIN = 16_384
/** A batch as large as a bulk packet is large enough. */
const BYTES_ENOUGH = 196_608
/** As long as more keep coming, but no longer than a batch of that size takes. */
const QUIET_MS = 2
const WAIT_MS_MAX = 8

/**
 * Every batch costs the same once: an fsync, a signature, a packet, and all of it again at every reader. So while many
 * callers write, the next batch waits for as many as the last one had. Who writes alone, or little, never waits; and
 * callers that wait for their answers are all back at once.
 */
export class Gathering {
  /** Writers that the next batch waits for. */
  #expected = 0

  /** The batch before the next one. */
  note({ writers, bytes }: Pick<Filling, 'writers' | 'bytes'>): void {
    this.#expected = writers >= WRITERS_MIN && bytes >= BYTES_MIN ? writers : 0
  }

  /** Resolves when the next batch may be put together. */
  async gather(queue: readonly Job[]): Promise<void> {
    if (this.#expected === 0) return
    const expected = this.#expected
    this.#expected = 0
    let [writers, bytes, seen] = [0, 0, 0]
    const isEnough = (): boolean => {
      for (; seen < queue.length && writers < expected; seen++) {
        const job = queue[seen]
        if (job?.type !== 'write') continue
        writers += 1
        bytes += bytesOf(job)
      }
      return writers >= expected || bytes >= BYTES_ENOUGH
    }
    if (isEnough()) return
    // Who has just been answered, and waited in this process, writes on within this turn.
    await new Promise(setImmediate)
    let before = 0
    for (let waitedMs = 0; waitedMs < WAIT_MS_MAX; waitedMs += QUIET_MS) {
      if (isEnough() || seen === before) return
      before = seen
      await wait(QUIET_MS)
    }
  }
}
