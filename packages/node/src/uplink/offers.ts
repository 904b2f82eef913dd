import type { MailboxId, PacketId, RelayId } from '@sealmesh/protocol/ids'
import type { Outcome } from '@sealmesh/protocol/wire/frame'

/** Copies that wait for a second relay's answer. What is not kept goes to one relay; heads find what that leaves out. */
const HELD_BYTES_MAX = 8 * 1024 * 1024
/** Readers of which it is remembered where they were met last: three days of the mailboxes of a mesh of a thousand. */
const MET_MAX = 4_096

export interface Offer {
  readonly id: PacketId
  readonly bytes: Uint8Array
  readonly mailboxes: readonly MailboxId[]
}

/** What follows from an answer, or from a link that fell. */
export interface Verdict {
  readonly offer: Offer
  /** For who sent it; null while it is not decided, or has been told. */
  readonly tell: readonly Outcome[] | null
  /** Where to offer it now; call `offeredTo` if that relay's link takes it. */
  readonly next: RelayId | null
}

interface Held extends Offer {
  readonly asked: Set<RelayId>
  /** Whose answer is awaited. */
  at: RelayId | null
  best: readonly Outcome[] | null
  /** Of the recipients, by their places: those to whom a relay has handed it. */
  readonly met: Set<number>
  told: boolean
}

/**
 * Where each packet goes when there are several relays (docs/spec/07-relay.md §8): to the one at which its reader was
 * met last, else to the first; and to the next as long as none has handed it over. Decides; the driver owns the links.
 */
export class Offers {
  readonly #held = new Map<PacketId, Held>()
  readonly #met = new Map<MailboxId, RelayId>()
  /** Relays that were given what is not held: if their links fall, nobody knows what became of it. */
  readonly #doubtful = new Set<RelayId>()
  readonly #bytesMax: number
  #bytes = 0

  constructor(bytesMax: number = HELD_BYTES_MAX) {
    this.#bytesMax = bytesMax
  }

  get heldBytes(): number {
    return this.#bytes
  }

  /** `live`: in the order of preference. */
  firstFor(mailboxes: readonly MailboxId[], live: readonly RelayId[]): RelayId | undefined {
    const met = mailboxes.map((mailbox) => this.#met.get(mailbox)).find((relay) => relay !== undefined)
    return met !== undefined && live.includes(met) ? met : live[0]
  }

  /** A relay's link has taken it. The bytes are kept, not copied: nobody may change them. */
  sent(offer: Offer, relay: RelayId): void {
    if (this.#bytes + offer.bytes.length > this.#bytesMax) {
      this.#doubtful.add(relay)
      return
    }
    this.#held.set(offer.id, { ...offer, asked: new Set([relay]), at: relay, best: null, met: new Set(), told: false })
    this.#bytes += offer.bytes.length
  }

  /** A further one has. */
  offeredTo(id: PacketId, relay: RelayId): void {
    const held = this.#held.get(id)
    if (held === undefined) return
    held.asked.add(relay)
    held.at = relay
  }

  /** Undefined for what is not held: its answer is as it is. Null for one that was not asked for. */
  answered(
    id: PacketId,
    relay: RelayId,
    outcomes: readonly Outcome[],
    live: readonly RelayId[],
  ): Verdict | null | undefined {
    const held = this.#held.get(id)
    if (held === undefined) return undefined
    if (held.at !== relay) return null
    for (const [at, mailbox] of held.mailboxes.entries())
      if (outcomes[at]?.outcome === 'delivered') {
        held.met.add(at)
        this.#noteMet(mailbox, relay)
      }
    held.best = held.best === null ? outcomes : held.best.map((best, at) => better(best, outcomes[at]))
    held.at = null
    return this.#judge(held, live)
  }

  /** The link to it fell: what it has not answered goes elsewhere. */
  down(relay: RelayId, live: readonly RelayId[]): Verdict[] {
    const verdicts: Verdict[] = []
    for (const held of [...this.#held.values()]) {
      if (held.at === relay) held.at = null
      if (held.at !== null) continue
      const verdict = this.#judge(held, live)
      if (verdict.next === null && held.best === null) this.#doubtful.add(relay)
      verdicts.push(verdict)
    }
    return verdicts
  }

  /** Whether something was given to it that cannot be offered elsewhere. Asked once, when its link has fallen. */
  takeDoubt(relay: RelayId): boolean {
    return this.#doubtful.delete(relay)
  }

  /** What it was to be offered when its link had no room. */
  owedTo(relay: RelayId): Offer[] {
    return [...this.#held.values()].filter(({ at, asked }) => at === null && !asked.has(relay))
  }

  /** No link is left: whoever sent it knows that nothing has an answer. */
  forget(): void {
    this.#held.clear()
    this.#doubtful.clear()
    this.#bytes = 0
  }

  #judge(held: Held, live: readonly RelayId[]): Verdict {
    const next = held.met.size === held.mailboxes.length ? undefined : live.find((relay) => !held.asked.has(relay))
    // One that took it is enough: nobody waits for a relay that is slow. A refusal counts when all have refused.
    const isTaken = held.best?.every(({ outcome }) => outcome !== 'refused') === true
    const tell = !held.told && (isTaken || next === undefined) ? held.best : null
    if (tell !== null) held.told = true
    if (next === undefined) {
      this.#held.delete(held.id)
      this.#bytes -= held.bytes.length
    }
    return { offer: held, tell, next: next ?? null }
  }

  #noteMet(mailbox: MailboxId, relay: RelayId): void {
    this.#met.delete(mailbox)
    this.#met.set(mailbox, relay)
    for (const [oldest] of this.#met) if (this.#met.size > MET_MAX) this.#met.delete(oldest)
  }
}

/** Durable at one relay is more than handed over by another, whose reader may go before it has written it down. */
const RANK = { stored: 2, delivered: 1, refused: 0 } as const

const better = (best: Outcome, other: Outcome | undefined): Outcome =>
  other !== undefined && RANK[other.outcome] > RANK[best.outcome] ? other : best
