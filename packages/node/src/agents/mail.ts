import { fromUtf8, utf8 } from '@sealmesh/protocol/bytes'
import type { AgentId } from '@sealmesh/protocol/ids'
import { Message } from '@sealmesh/protocol/messages/message'
import { afterPrefix, agentOfKey, letterKey, numberOfLetterKey, TABLES, tablePrefix } from '../store/keys.ts'
import type { Operation, Store } from '../store/store.ts'
import { type Letter, letterOf } from './core/letter.ts'

/** A letter that was on disk when the node started. */
export interface FoundLetter {
  readonly agent: AgentId
  readonly stored: number
  readonly letter: Letter
}

/** Letters that outlive the process: on disk before their sender is answered, until their recipient acknowledged them. */
export class Mail {
  readonly #store: Store
  #next: number

  private constructor(store: Store, next: number) {
    this.#store = store
    this.#next = next
  }

  /** In the order in which they were sent. One that is damaged is left out; the scrub tells of it. */
  static async load(store: Store): Promise<{ mail: Mail; found: FoundLetter[] }> {
    const prefix = tablePrefix(TABLES.letter)
    const found: FoundLetter[] = []
    let next = 1
    for await (const { key, value } of store.examine({ from: prefix, to: afterPrefix(prefix) })) {
      const stored = numberOfLetterKey(key)
      next = Math.max(next, stored + 1)
      const message = value === undefined ? undefined : Message.safeParse(JSON.parse(fromUtf8(value))).data
      if (message === undefined) continue
      const { payload, ...head } = message
      found.push({ agent: agentOfKey(key), stored, letter: letterOf(head, JSON.stringify(payload)) })
    }
    return { mail: new Mail(store, next), found }
  }

  /**
   * For all of them or for none, and together with `beside`; durable when it resolves. Gives the number of the first, the
   * others follow.
   */
  async put(agents: readonly AgentId[], letter: Letter, beside: readonly Operation[] = []): Promise<number> {
    const first = this.#next
    this.#next += agents.length
    const value = utf8(letter.text)
    const letters = agents.map((agent, i) => ({ type: 'put', key: letterKey(agent, first + i), value }) as const)
    await this.#store.commit([...letters, ...beside])
    return first
  }

  async remove(agent: AgentId, stored: readonly number[]): Promise<void> {
    if (stored.length > 0)
      await this.#store.commit(stored.map((number) => ({ type: 'delete', key: letterKey(agent, number) })))
  }
}
