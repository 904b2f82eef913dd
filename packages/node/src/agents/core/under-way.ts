import type { NodeId } from '@sealmesh/protocol/ids'
import type { LetterAnswer } from '@sealmesh/protocol/sync/payload'
import type { Posted } from './outbox.ts'

/** What is told of older ones is not known here any more. */
const LETTERS_MAX = 8_192

/** Nothing is told behind these. */
const ENDS: ReadonlySet<LetterAnswer['outcome']> = new Set(['refused', 'acknowledged', 'expired', 'dropped'])

/**
 * Letters of this machine of which another one may still tell something: they have left the outbox once they were taken.
 * What another machine says of any other letter is not noted, so it fills no trace.
 */
export class UnderWay {
  readonly #letters = new Map<string, Posted>()

  add(posted: Posted): void {
    const { sender, agent, letter } = posted
    // Its text may be large, and is not asked for here.
    this.#letters.set(keyOf(sender, agent, letter.id), { ...posted, letter: { ...letter, text: '' } })
    if (this.#letters.size <= LETTERS_MAX) return
    const [oldest] = this.#letters.keys()
    if (oldest !== undefined) this.#letters.delete(oldest)
  }

  /** Undefined for what is nothing of ours, or not that machine's to say. */
  told(from: NodeId, { sender, recipient, id, outcome }: LetterAnswer): Posted | undefined {
    const key = keyOf(sender, recipient, id)
    const posted = this.#letters.get(key)
    if (posted?.node !== from) return undefined
    if (ENDS.has(outcome)) this.#letters.delete(key)
    return posted
  }
}

const keyOf = (...ids: readonly string[]): string => ids.join(' ')
