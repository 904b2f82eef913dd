import type { Delivery } from '@sealmesh/protocol/ipc/agent-methods'
import type { AgentPort } from '../agent-port.ts'

type Listener = (delivery: Delivery) => Promise<void> | void

/**
 * What comes for the patterns of one agent. Whatever comes before all of them have started waits: a delivery that
 * nobody listens to yet would be done, and gone.
 */
export class Inbox {
  readonly #listeners = new Set<Listener>()
  readonly #opened: Promise<void>
  readonly #stopListening: () => void
  #open: () => void = () => {}

  constructor(port: AgentPort) {
    this.#opened = new Promise((resolve) => {
      this.#open = resolve
    })
    this.#stopListening = port.onDelivery((delivery) => this.#deliver(delivery))
  }

  /** The same port, for patterns: their listeners are called once this is open. */
  portOf(port: AgentPort): AgentPort {
    return {
      name: port.name,
      send: (draft) => port.send(draft),
      onDelivery: (listener) => {
        this.#listeners.add(listener)
        return () => this.#listeners.delete(listener)
      },
      agents: (filter) => port.agents(filter),
      describe: (profile) => port.describe(profile),
      read: (umr) => port.read(umr),
      list: (prefix) => port.list(prefix),
      write: (umr, value) => port.write(umr, value),
      remove: (umr) => port.remove(umr),
    }
  }

  open(): void {
    this.#open()
  }

  close(): void {
    this.#stopListening()
  }

  async #deliver(delivery: Delivery): Promise<void> {
    await this.#opened
    // One that fails at once must not end the delivery for another that is at work on it.
    const ends = await Promise.allSettled([...this.#listeners].map(async (listener) => listener(delivery)))
    for (const end of ends) if (end.status === 'rejected') throw end.reason
  }
}
