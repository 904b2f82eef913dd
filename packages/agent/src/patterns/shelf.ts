import type { AgentPort } from '../agent-port.ts'
import { registerOf } from './turns.ts'

/** Registers of what has ended: the newest stay, so that a document does not grow with every task that ever was. */
export class Shelf {
  readonly #port: AgentPort
  readonly #kept: number
  /** The oldest first. */
  readonly #keys = new Set<string>()

  constructor(port: AgentPort, kept: number) {
    this.#port = port
    this.#kept = kept
  }

  /** What was there at a start. */
  fill(found: readonly { readonly key: string; readonly atMs: number }[]): void {
    for (const { key } of [...found].sort((a, b) => a.atMs - b.atMs)) this.put(key)
  }

  put(key: string): void {
    this.#keys.add(key)
    for (const oldest of this.#keys) {
      if (this.#keys.size <= this.#kept) return
      this.#keys.delete(oldest)
      // What stays behind is found, and removed, at the next start.
      void this.#port.remove(registerOf(this.#port.name, oldest)).catch(() => {})
    }
  }
}
