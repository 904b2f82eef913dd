import type { Dot } from '@sealmesh/protocol/crdt/clock'
import type { DocumentId, IncarnationId, NodeId } from '@sealmesh/protocol/ids'

/** A base that nobody has sent anything of for so long gives way to what others send. */
const GIVEN_UP_MS = 60_000
/** With nothing else to give way to, it waits longer: on a slow line many documents take turns. */
const SILENT_MS_MAX = 3_600_000
/** Looks farther apart than this were not made: the machine slept, or its clock was set. */
const LOOK_MS_MAX = 60_000
/** Nor may it take longer, however it trickles: a slow line moves gigabytes in an hour. */
const TRANSFER_MS_MAX = 3_600_000
/** Whose base was given up begins no other one here for so long: or it would keep whole blocks out for ever. */
const BARRED_MS = 3_600_000
/** Another sender's base waits for so long: two would take turns for ever. */
const OTHER_SENDER_MS = 10_000

/** How the base that is on its way to a document gets on. */
interface Transfer {
  /** Of the last row. */
  readonly sender: NodeId | undefined
  readonly startedMs: number
  /** When the last row came that was not here. */
  readonly atMs: number
}

/** Which bases are on their way, from whom, and when one is given up. In memory: after a start the clocks begin anew. */
export class Transfers {
  readonly #now: () => number
  readonly #all = new Map<DocumentId, Transfer>()
  /** Where bases will lie that come into the document itself, row by row. */
  readonly #targets = new Map<DocumentId, ReadonlyMap<IncarnationId, number>>()
  /** Writers of a document, so it stays small. */
  readonly #barred = new Map<DocumentId, Map<NodeId, number>>()
  #lookedMs: number | undefined

  constructor(now: () => number) {
    this.#now = now
  }

  /** It comes into the document itself, which will stand at these ends. */
  aim(id: DocumentId, ends: readonly { readonly dot: Dot }[]): void {
    this.#targets.set(id, new Map(ends.map(({ dot }) => [dot.incarnation, dot.sequence])))
  }

  isAimed(id: DocumentId): boolean {
    return this.#targets.has(id)
  }

  /** Whether a block lies at or below where the document will stand. */
  isBelow(id: DocumentId, { incarnation, sequence }: Pick<Dot, 'incarnation' | 'sequence'>): boolean {
    return sequence <= (this.#targets.get(id)?.get(incarnation) ?? 0)
  }

  /** A row came that was not here, or a start found what is left. Who changes its base wins no time by it. */
  advanced(id: DocumentId, sender: NodeId | undefined, begins: boolean): void {
    const last = this.#all.get(id)
    const nowMs = this.#now()
    const startedMs = begins && last?.sender !== sender ? nowMs : (last?.startedMs ?? nowMs)
    this.#all.set(id, { sender, startedMs, atMs: nowMs })
  }

  ended(id: DocumentId): void {
    this.#all.delete(id)
    this.#targets.delete(id)
  }

  /** Whether somebody else is sending a base, and has just now. */
  isTaken(id: DocumentId, sender: NodeId): boolean {
    const transfer = this.#all.get(id)
    return transfer !== undefined && transfer.sender !== sender && this.#now() - transfer.atMs < OTHER_SENDER_MS
  }

  /** Nobody sends the rest of it, or it takes for ever. */
  isStale(id: DocumentId): boolean {
    const transfer = this.#all.get(id)
    if (transfer === undefined) return false
    const nowMs = this.#now()
    return nowMs - transfer.atMs >= GIVEN_UP_MS || nowMs - transfer.startedMs >= TRANSFER_MS_MAX
  }

  /**
   * Now and then: those that nobody has gone on with for long while somebody could. While nobody is heard who has more of
   * a document, no time passes for its transfer.
   */
  silent(isHeard: (id: DocumentId) => boolean): DocumentId[] {
    const nowMs = this.#now()
    const sinceMs = Math.max(0, nowMs - (this.#lookedMs ?? nowMs))
    this.#lookedMs = nowMs
    const silent: DocumentId[] = []
    for (const [id, { sender, startedMs, atMs }] of this.#all) {
      const passes = sinceMs <= LOOK_MS_MAX && isHeard(id)
      const later = (ms: number): number => (passes ? ms : Math.min(nowMs, ms + sinceMs))
      this.#all.set(id, { sender, startedMs: later(startedMs), atMs: later(atMs) })
      if (nowMs - later(atMs) >= SILENT_MS_MAX) silent.push(id)
    }
    return silent
  }

  /** Of the last row. */
  senderOf(id: DocumentId): NodeId | undefined {
    return this.#all.get(id)?.sender
  }

  /** Who sent the last row begins nothing more here for a while. */
  bar(id: DocumentId, sender = this.#all.get(id)?.sender): void {
    if (sender === undefined) return
    const barred = this.#barred.get(id) ?? new Map<NodeId, number>()
    this.#barred.set(id, barred.set(sender, this.#now() + BARRED_MS))
  }

  isBarred(id: DocumentId, sender: NodeId): boolean {
    return (this.#barred.get(id)?.get(sender) ?? 0) > this.#now()
  }
}
