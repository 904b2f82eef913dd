import type { AgentId, NodeId } from '@sealmesh/protocol/ids'
import { type LetterAnswer, LETTER_RECIPIENTS_MAX, LETTERS_MAX } from '@sealmesh/protocol/sync/payload'
import { PAYLOAD_BYTES_TARGET } from '@sealmesh/protocol/limits'
import type { Far } from './far.ts'
import { isOver, type Letter } from './letter.ts'
import type { Now } from './now.ts'

/** A letter on its way to one agent of another machine. */
export interface Posted extends Far {
  readonly sender: AgentId
  readonly letter: Letter
  readonly durable: boolean
  /** Where it lies on disk; null for one that does not outlive the process. */
  readonly stored: number | null
}

/** What of it goes into one packet. */
export interface Batch {
  readonly node: NodeId
  readonly durable: boolean
  readonly posted: readonly Posted[]
}

interface Waiting {
  readonly posted: Posted
  pauseMs: number
  dueMs: number
  /** Not durable: nobody waits for it longer. */
  readonly endMs: number
}

/** An answer takes two trips through a relay; what is lost on the way is worth a second packet soon. */
const PAUSE_FIRST_MS = 2_000
/** Each sending lies in the mailbox of a machine that is off: a dozen of them within a day, and then four a day. */
const PAUSE_MAX_MS = 6 * 3_600_000
/** A full inbox is emptied by a program that is there. */
const FULL_PAUSE_MAX_MS = 30_000
export const NOT_DURABLE_MS = 30_000
/** Of one machine that they go to: as much as one inbox there holds. */
const NODE_LETTERS_MAX = 4_096
const NODE_BYTES_MAX = 8 * 1_048_576
/** So that one agent here does not take the room of all others. */
const SENDER_LETTERS_MAX = 2_048
const ALL_BYTES_MAX = 32 * 1_048_576
/** To one machine at a time; what is left goes with the next tick. */
const TURN_BATCHES_MAX = 16

/**
 * What agents here have sent to agents of other machines, until it is answered.
 *
 * 1. What is durable leaves only by an answer from the machine that it was sent to, by its end, or with the right to send it.
 * 2. A letter is sent again after a pause that doubles; what is heard of its machine makes it due at once.
 */
export class Outbox {
  readonly #waiting = new Map<string, Waiting>()
  readonly #load = new Map<string, { letters: number; bytes: number }>()
  #bytes = 0

  get size(): number {
    return this.#waiting.size
  }

  /** The same message to the same agent is on its way already. */
  has(sender: AgentId, recipient: AgentId, id: string): boolean {
    return this.#waiting.has(keyOf(sender, recipient, id))
  }

  hasRoom(node: NodeId, sender: AgentId, { bytes }: Letter): boolean {
    const there = this.#load.get(node) ?? NOTHING
    const own = this.#load.get(sender) ?? NOTHING
    return (
      there.letters < NODE_LETTERS_MAX &&
      there.bytes + bytes <= NODE_BYTES_MAX &&
      own.letters < SENDER_LETTERS_MAX &&
      this.#bytes + bytes <= ALL_BYTES_MAX
    )
  }

  add(posted: Posted, { monotonicMs }: Now): void {
    const key = keyOf(posted.sender, posted.agent, posted.letter.id)
    if (this.#waiting.has(key)) return
    const endMs = posted.durable ? Number.POSITIVE_INFINITY : monotonicMs + NOT_DURABLE_MS
    this.#waiting.set(key, { posted, pauseMs: PAUSE_FIRST_MS, dueMs: monotonicMs, endMs })
    this.#count(posted, 1)
  }

  /** What is to be sent now, oldest first; call `sent` for each that a link has taken. */
  due({ monotonicMs }: Now): Batch[] {
    const batches: Filling[] = []
    const open = new Map<string, Filling>()
    const turns = new Map<NodeId, number>()
    for (const { posted, dueMs } of this.#waiting.values()) {
      if (dueMs > monotonicMs) continue
      const key = `${posted.node} ${posted.durable}`
      let batch = open.get(key)
      if (batch === undefined || !fits(batch, posted)) {
        const turn = (turns.get(posted.node) ?? 0) + 1
        if (turn > TURN_BATCHES_MAX) continue
        turns.set(posted.node, turn)
        batch = { node: posted.node, durable: posted.durable, posted: [], bytes: 0 }
        open.set(key, batch)
        batches.push(batch)
      }
      batch.posted.push(posted)
      batch.bytes += posted.letter.bytes
    }
    return batches
  }

  sent({ posted }: Batch, { monotonicMs }: Now): void {
    for (const { sender, agent, letter } of posted) {
      const waiting = this.#waiting.get(keyOf(sender, agent, letter.id))
      if (waiting === undefined) continue
      waiting.dueMs = monotonicMs + waiting.pauseMs
      waiting.pauseMs = Math.min(2 * waiting.pauseMs, PAUSE_MAX_MS)
    }
  }

  /** What an answer ends, if it comes from the machine that was asked. What is told later shows that it was taken, too. */
  answered(from: NodeId, answer: LetterAnswer, { monotonicMs }: Now): Posted | undefined {
    const key = keyOf(answer.sender, answer.recipient, answer.id)
    const waiting = this.#waiting.get(key)
    if (waiting === undefined || waiting.posted.node !== from) return undefined
    if (answer.outcome === 'full') {
      waiting.dueMs = monotonicMs + Math.min(waiting.pauseMs, FULL_PAUSE_MAX_MS)
      return undefined
    }
    return this.#remove(key, waiting)
  }

  /** That machine is heard again, so there is a way to it: what was sent before may be lost. */
  retry(node: NodeId, { monotonicMs }: Now): void {
    for (const waiting of this.#waiting.values()) {
      if (waiting.posted.node !== node) continue
      waiting.dueMs = Math.min(waiting.dueMs, monotonicMs)
      waiting.pauseMs = PAUSE_FIRST_MS
    }
  }

  /** Takes out what is over, and what may not be sent any more. */
  drop({ monotonicMs, wallMs }: Now, isWanted: (posted: Posted) => boolean): Posted[] {
    const gone: Posted[] = []
    for (const [key, waiting] of this.#waiting) {
      const { posted, endMs } = waiting
      if (endMs <= monotonicMs || isOver(posted.letter, wallMs) || !isWanted(posted))
        gone.push(this.#remove(key, waiting))
    }
    return gone
  }

  all(): Posted[] {
    return [...this.#waiting.values()].map(({ posted }) => posted)
  }

  /** It is no business of that machine any more. */
  remove({ sender, agent, letter }: Posted): void {
    const key = keyOf(sender, agent, letter.id)
    const waiting = this.#waiting.get(key)
    if (waiting !== undefined) this.#remove(key, waiting)
  }

  #remove(key: string, { posted }: Waiting): Posted {
    this.#waiting.delete(key)
    this.#count(posted, -1)
    return posted
  }

  #count({ node, sender, letter }: Posted, sign: 1 | -1): void {
    this.#bytes += sign * letter.bytes
    for (const key of [node, sender]) {
      const { letters, bytes } = this.#load.get(key) ?? NOTHING
      if (letters + sign === 0) this.#load.delete(key)
      else this.#load.set(key, { letters: letters + sign, bytes: bytes + sign * letter.bytes })
    }
  }
}

interface Filling extends Batch {
  readonly posted: Posted[]
  bytes: number
}

const NOTHING = { letters: 0, bytes: 0 }

/** One item of a payload at most; `bytes` of a letter is twice its text, so a packet is mostly half of this. */
const fits = ({ posted, bytes }: Filling, { letter }: Posted): boolean =>
  posted.length < Math.min(LETTERS_MAX, LETTER_RECIPIENTS_MAX) && bytes + letter.bytes <= PAYLOAD_BYTES_TARGET

const keyOf = (sender: AgentId, recipient: AgentId, id: string): string => `${sender} ${recipient} ${id}`
