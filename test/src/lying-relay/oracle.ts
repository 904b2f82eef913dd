import { countMissing, joinTips } from '@sealmesh/protocol/crdt/vector'
import type { DocumentName } from '@sealmesh/protocol/crdt/block'
import type { VersionVector } from '@sealmesh/protocol/crdt/clock'
import type { RecordHash } from '@sealmesh/protocol/ids'
import { HEARTBEATS_APART_MS, HEARTBEATS_MAX } from '@sealmesh/protocol/sync/withholding'

/** What a node held when it sealed a heartbeat. */
export interface Held {
  readonly vectors: ReadonlyMap<string, { readonly name: DocumentName; readonly vector: VersionVector }>
  readonly heads: readonly RecordHash[]
  readonly records: ReadonlySet<RecordHash>
}

interface Stuck {
  goal: VersionVector
  missing: number
  heartbeats: number
}

/**
 * Knows what both ends hold, which no node does, and says when a node should have found that something does not come
 * through: at the heartbeat that shows it, a fetch, and three more without any of it.
 */
export class Oracle {
  readonly #documents = new Map<string, Stuck>()
  readonly #records = { before: 0, heartbeats: 0 }
  #countedAtMs = Number.NEGATIVE_INFINITY
  /** Heartbeats in which something had been missing for so long that it has to be found. */
  due = 0

  /** `sender` as it was then, `reader` as it is now. What has to be found by now, if anything. */
  heartbeat(nowMs: number, sender: Held, reader: Held): string | undefined {
    if (nowMs - this.#countedAtMs < HEARTBEATS_APART_MS) return undefined
    this.#countedAtMs = nowMs
    let due: string | undefined
    const lacks = sender.heads.some((hash) => !reader.records.has(hash))
    const now = reader.records.size
    this.#records.heartbeats = lacks && this.#records.before === now ? this.#records.heartbeats + 1 : lacks ? 1 : 0
    this.#records.before = now
    if (this.#records.heartbeats > HEARTBEATS_MAX) due = 'records'
    const sameLog = sender.heads.join() === reader.heads.join()
    for (const [key, { vector }] of sender.vectors) {
      const mine = reader.vectors.get(key)?.vector ?? []
      const stuck = this.#documents.get(key) ?? { goal: [], missing: 0, heartbeats: 0 }
      this.#documents.set(key, stuck)
      const left = stuck.heartbeats === 0 ? 0 : countMissing(mine, stuck.goal)
      if (sameLog && left > 0 && left >= stuck.missing) stuck.heartbeats += 1
      else {
        stuck.missing = countMissing(mine, vector)
        stuck.goal = stuck.missing > 0 ? joinTips(mine, vector) : []
        stuck.heartbeats = stuck.missing > 0 && sameLog ? 1 : 0
      }
      if (stuck.heartbeats > HEARTBEATS_MAX) due ??= `${stuck.missing} blocks of ${key.slice(-8)}`
    }
    if (due !== undefined) this.due += 1
    return due
  }
}
