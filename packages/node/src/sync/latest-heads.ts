import type { IncarnationId, RecordHash } from '@sealmesh/protocol/ids'
import type { SyncItem } from '@sealmesh/protocol/sync/payload'
import { HEARTBEATS_APART_MS } from '@sealmesh/protocol/sync/withholding'
import type { Arrived } from './peer.ts'

/**
 * What a peer said last of where it stands, by the numbers under its signature. A relay can give out packets in any
 * order, and with an old word hide that a newer one was not kept: what was sealed before heads that are known says
 * nothing of the sender any more. What it carries is taken all the same.
 */
export class LatestHeads {
  #incarnation: IncarnationId | undefined
  #sequence = 0
  #logHeads: readonly RecordHash[] = []
  #lookedAtMs = Number.NEGATIVE_INFINITY

  /** What is news in it, and the log heads that its sender named last. */
  newsIn({ items, packet }: Pick<Arrived, 'items' | 'packet'>): {
    readonly items: readonly SyncItem[]
    readonly logHeads: readonly RecordHash[]
  } {
    const { incarnation, sequence, logHeads } = packet
    if (incarnation === this.#incarnation && sequence < this.#sequence)
      return { items: items.filter(({ type }) => !STANDINGS.has(type)), logHeads: this.#logHeads }
    if (hasHeads(items)) {
      this.#incarnation = incarnation
      this.#sequence = sequence
      this.#logHeads = logHeads
    }
    return { items, logHeads }
  }

  /** Whether it is a heartbeat to count by: several at once are one chance to mend things. */
  isChance({ items }: Pick<Arrived, 'items'>, nowMs: number): boolean {
    if (!hasHeads(items) || nowMs - this.#lookedAtMs < HEARTBEATS_APART_MS) return false
    this.#lookedAtMs = nowMs
    return true
  }
}

/** Whoever asked is asked back by the next heads, if the two still differ. */
const STANDINGS: ReadonlySet<SyncItem['type']> = new Set(['heads', 'buckets', 'vectors'])

const hasHeads = (items: readonly SyncItem[]): boolean => items.some(({ type }) => type === 'heads')
