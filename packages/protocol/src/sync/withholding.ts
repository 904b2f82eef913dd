import type { DocumentName } from '../crdt/block.ts'
import type { Dot, VersionVector } from '../crdt/clock.ts'
import { countMissing, joinTips, tipsBeyond } from '../crdt/vector.ts'
import type { PacketId, RecordHash } from '../ids.ts'

/**
 * Whether what a peer says it has, or should have, comes through (docs/spec/08-sync.md §6). Looks at heartbeats alone:
 * a peer from which none comes is unreachable, which accuses nobody. A finding says between whom nothing comes
 * through, never who is to blame: a relay that keeps it back and a peer that does not send it look the same from here.
 */
export class Withholding {
  readonly #watched = new Map<string, Watched>()
  readonly #records: Count = { heartbeats: 0, packets: [] }
  readonly #answers: Count = { heartbeats: 0, packets: [] }
  #recordsFrom: readonly RecordHash[] = []
  readonly #raised = new Map<string, Withheld>()

  /** All that is open now. */
  get open(): Withheld[] {
    return [...this.#raised.values()]
  }

  /**
   * One that came from the peer itself, by a relay that had nothing older in store, and no sooner after the last than
   * HEARTBEATS_APART_MS: the caller sees to that, since asked and answered are of the time between. What it changed, in order.
   */
  heartbeat(heard: Heartbeat): { readonly raised: readonly Withheld[]; readonly healed: readonly Withheld[] } {
    const before = new Map(this.#raised)
    this.#weighRecords(heard)
    const unanswered: Count = { ...this.#answers }
    this.#weighAnswers(heard)
    const seen = new Set<string>()
    for (const each of heard.documents) {
      const key = `${each.name.agent}.${each.name.layer}`
      if (!this.#watched.has(key) && this.#watched.size === WATCHED_MAX) continue
      seen.add(key)
      this.#weigh(key, each, heard, unanswered)
    }
    for (const [key] of this.#watched) if (!seen.has(key)) this.#forget(key)
    return {
      raised: [...this.#raised].flatMap(([key, each]) => (before.has(key) ? [] : [each])),
      healed: [...before].flatMap(([key, each]) => (this.#raised.has(key) ? [] : [each])),
    }
  }

  /** Records are named and do not come: none of ours has changed since the last heartbeat either. */
  #weighRecords({ lacksRecords, ownHeads, packet, nowMs }: Heartbeat): void {
    const isSame =
      ownHeads.length === this.#recordsFrom.length && ownHeads.every((hash, at) => hash === this.#recordsFrom[at])
    if (!lacksRecords || !isSame) reset(this.#records)
    this.#recordsFrom = ownHeads
    if (lacksRecords) note(this.#records, packet)
    this.#say('records', this.#records, { what: 'records', document: null, blocks: 0, missing: [] }, nowMs)
  }

  /** Its documents are not ours, and no word comes of which. Before both have the same log that may well be so. */
  #weighAnswers({ sameLog, differs, asked, answered, packet, nowMs }: Heartbeat): void {
    if (!differs || !sameLog || answered) reset(this.#answers)
    const begins = this.#answers.heartbeats === 0
    if (differs && sameLog && (begins || asked)) note(this.#answers, packet)
    this.#say('answers', this.#answers, { what: 'answers', document: null, blocks: 0, missing: [] }, nowMs)
  }

  /** `unanswered`: what was missing before anybody had said of what counts for this document too. */
  #weigh(key: string, document: Compared, { sameLog, packet, nowMs }: Heartbeat, unanswered: Count): void {
    const { name, mine, named, receipted, handed, askedSinceMs, isBusy } = document
    const watched: Watched = this.#watched.get(key) ?? {
      incoming: { goal: [], missing: 0, heartbeats: 0, packets: [] },
      outgoing: { goal: [], missing: 0, heartbeats: 0, packets: [] },
      question: { heartbeats: 0, packets: [], sinceMs: undefined },
      busy: 0,
    }
    this.#watched.set(key, watched)
    const { incoming, outgoing, question } = watched
    // What fills it as a whole shows in no vector for a while; not for ever, or sending a little would hide the rest.
    watched.busy = isBusy ? watched.busy + 1 : 0
    const excused = isBusy && watched.busy <= BUSY_HEARTBEATS_MAX
    if (excused || !sameLog) reset(incoming)
    else towards(incoming, mine, named ?? [], packet, longer(question, unanswered))
    if (sameLog) towards(outgoing, receipted, handed, packet, NONE)
    else reset(outgoing)
    const isAsked = askedSinceMs !== undefined && sameLog && !excused
    if (!isAsked || question.sinceMs !== askedSinceMs) reset(question)
    if (isAsked && question.sinceMs === undefined) inherit(question, unanswered)
    question.sinceMs = askedSinceMs
    if (isAsked) note(question, packet)
    const about = (count: Towards, have: VersionVector) => {
      const missing = tipsBeyond(have, count.goal).slice(0, MISSING_SHOWN)
      return { document: name, blocks: count.missing, missing }
    }
    this.#say(`${key} from`, incoming, { what: 'blocks', ...about(incoming, mine) }, nowMs)
    this.#say(`${key} to`, outgoing, { what: 'receipts', ...about(outgoing, receipted) }, nowMs)
    this.#say(`${key} ask`, question, { what: 'answers', document: name, blocks: 0, missing: [] }, nowMs)
  }

  #say(key: string, count: Count, finding: Omit<Withheld, 'sinceMs' | 'lastMs' | 'packets'>, nowMs: number): void {
    const known = this.#raised.get(key)
    // One that begins anew: what the finding was about has come, or some of it.
    if (count.heartbeats < 2) this.#raised.delete(key)
    else if (count.heartbeats >= HEARTBEATS_MAX)
      this.#raised.set(key, {
        ...finding,
        sinceMs: known?.sinceMs ?? nowMs,
        lastMs: nowMs,
        packets: [...count.packets],
      })
  }

  #forget(key: string): void {
    this.#watched.delete(key)
    for (const kind of ['from', 'to', 'ask']) this.#raised.delete(`${key} ${kind}`)
  }
}

export interface Heartbeat {
  readonly nowMs: number
  /** The packet that it came in. */
  readonly packet: PacketId
  /** The packet names records that are not here. */
  readonly lacksRecords: boolean
  readonly sameLog: boolean
  readonly ownHeads: readonly RecordHash[]
  /** The roots over what both read are not the same. */
  readonly differs: boolean
  /** Since the last one it was asked what differs, and the link has taken the question. */
  readonly asked: boolean
  /** Since the last one it has said something of that. */
  readonly answered: boolean
  /** Those of which either lacks something, or that were asked for. */
  readonly documents: Iterable<Compared>
}

export interface Compared {
  readonly name: DocumentName
  readonly mine: VersionVector
  readonly named: VersionVector | undefined
  readonly receipted: VersionVector
  /** What the relay has answered for. */
  readonly handed: VersionVector
  /** Since when a question about it waits for the peer to say what it has. */
  readonly askedSinceMs: number | undefined
  /** It is being taken over as a whole, or cannot be now. */
  readonly isBusy: boolean
}

export interface Withheld {
  /**
   * `blocks`: the peer named them, and they do not come. `receipts`: the relay has answered for blocks of ours, and
   * the peer does not have them. `records`: it names membership records that do not come. `answers`: it says that
   * something differs, and nothing comes of what.
   */
  readonly what: 'blocks' | 'receipts' | 'records' | 'answers'
  readonly document: DocumentName | null
  readonly blocks: number
  /** Up to where they go: at most a few of them. */
  readonly missing: readonly Dot[]
  /** The packets that speak for it: heartbeats that its sender signed, the latest last. */
  readonly packets: readonly PacketId[]
  readonly sinceMs: number
  readonly lastMs: number
}

interface Count {
  heartbeats: number
  packets: PacketId[]
}

interface Towards extends Count {
  /** What was to be reached when the count began. */
  goal: VersionVector
  missing: number
}

interface Watched {
  readonly incoming: Towards
  readonly outgoing: Towards
  readonly question: Count & { sinceMs: number | undefined }
  busy: number
}

/** A difference that is as it was at the third of them is a finding (DESIGN.md §10). */
export const HEARTBEATS_MAX = 3
/** Heartbeats come every ten seconds; several that come at once are one chance to mend things. */
export const HEARTBEATS_APART_MS = 5_000
/** Five minutes: a large document that is taken over as a whole. */
const BUSY_HEARTBEATS_MAX = 30
/** Documents of one peer that are looked at; the others follow when these are in step. */
const WATCHED_MAX = 256
const MISSING_SHOWN = 8

/** Counts heartbeats in which nothing of what was missing at the first of them has come; `before` goes on. */
function towards(count: Towards, have: VersionVector, want: VersionVector, packet: PacketId, before: Count): void {
  const begins = count.heartbeats === 0
  const left = count.heartbeats === 0 ? 0 : countMissing(have, count.goal)
  if (left > 0 && left >= count.missing) {
    return note(count, packet)
  }
  // Some has come, or all: whatever is missing now has its own three.
  const missing = countMissing(have, want)
  reset(count)
  count.missing = missing
  count.goal = missing === 0 ? [] : joinTips(have, want)
  if (missing > 0 && begins) inherit(count, before)
  if (missing > 0) note(count, packet)
}

const NONE: Count = { heartbeats: 0, packets: [] }

const longer = (a: Count, b: Count): Count => (a.heartbeats >= b.heartbeats ? a : b)

function inherit(count: Count, before: Count): void {
  count.heartbeats = before.heartbeats
  count.packets = [...before.packets]
}

function note(count: Count, packet: PacketId): void {
  count.heartbeats += 1
  count.packets.push(packet)
  if (count.packets.length > HEARTBEATS_MAX) count.packets.shift()
}

function reset(count: Count): void {
  count.heartbeats = 0
  count.packets = []
}
