import type { MeshLog } from './log.ts'

/**
 * What may go from the mailboxes' streams: everything of a subject before a place, and single messages. Each is a fact
 * that no later home can make untrue, so it may be told late, twice or never; what is still there then is delivered
 * again.
 */

const AT_ONCE = 16
const RETRY_MS = 1_000
/** Of single messages that are waiting to go; beyond it they stay until they expire or are passed over. */
const SINGLES_MAX = 65_536

export class Forgetting {
  readonly #log: MeshLog
  readonly #before = new Map<string, { readonly shard: number; readonly before: number }>()
  readonly #singles = new Map<number, Set<number>>()
  #running: Promise<void> | null = null
  #later: NodeJS.Timeout | null = null

  constructor(log: MeshLog) {
    this.#log = log
  }

  purge(shard: number, subject: string, before: number): void {
    this.#before.set(subject, { shard, before })
    this.#run()
  }

  remove(shard: number, place: number): void {
    const places = this.#singles.get(shard) ?? new Set()
    this.#singles.set(shard, places)
    if (places.size < SINGLES_MAX) places.add(place)
    this.#run()
  }

  /** Tried once more, whatever comes of it. */
  async settle(): Promise<void> {
    if (this.#later !== null) clearTimeout(this.#later)
    this.#later = null
    this.#run()
    await this.#running
    if (this.#later !== null) clearTimeout(this.#later)
  }

  #run(): void {
    if (this.#running !== null || this.#later !== null) return
    this.#running = this.#go().finally(() => {
      this.#running = null
    })
  }

  async #go(): Promise<void> {
    try {
      while (this.#before.size > 0) {
        const some = [...this.#before].slice(0, AT_ONCE)
        for (const [subject] of some) this.#before.delete(subject)
        const done = await Promise.allSettled(
          some.map(([subject, { shard, before }]) => this.#log.purge(shard, subject, before)),
        )
        // A newer place for the same subject may have come meanwhile.
        done.forEach((each, at) => {
          const [subject, what] = some[at] ?? []
          if (each.status === 'rejected' && subject !== undefined && what !== undefined && !this.#before.has(subject))
            this.#before.set(subject, what)
        })
        const failed = done.find((each) => each.status === 'rejected')
        if (failed !== undefined) throw failed.reason
      }
      for (const [shard, places] of this.#singles) {
        while (places.size > 0) {
          const some = [...places].slice(0, AT_ONCE)
          await this.#log.remove(shard, some)
          for (const place of some) places.delete(place)
        }
      }
    } catch {
      // JetStream has no leader, or cannot be reached: later.
      this.#later = setTimeout(() => {
        this.#later = null
        this.#run()
      }, RETRY_MS)
    }
  }
}
