import {
  ADDRESS_FAILURES_MAX,
  ADDRESS_STRANGERS_MAX,
  ADDRESS_WINDOW_MS,
  ADDRESSES_MAX,
  CONNECTIONS_MAX,
  STRANGERS_MAX,
} from './direct-limits.ts'

interface Known {
  strangers: number
  failures: number
  sinceMs: number
}

/** Connections on which nobody has logged in yet, in all and of each address: counted before anything is spent on them. */
export class Strangers {
  readonly #addresses = new Map<string, Known>()
  #connections = 0
  #strangers = 0

  /** False when it is to be ended without a word. Else call `left` once, and `failed` before it if it has not logged in. */
  admit(address: string, nowMs: number): boolean {
    this.#forget(nowMs)
    const known = this.#addresses.get(address) ?? { strangers: 0, failures: 0, sinceMs: nowMs }
    const isBarred = known.failures >= ADDRESS_FAILURES_MAX || known.strangers >= ADDRESS_STRANGERS_MAX
    const isNew = !this.#addresses.has(address)
    const isFull = this.#connections >= CONNECTIONS_MAX || this.#strangers >= STRANGERS_MAX
    if (isBarred || isFull) return false
    if (isNew && this.#addresses.size >= ADDRESSES_MAX) return false
    known.strangers += 1
    this.#strangers += 1
    this.#connections += 1
    this.#addresses.set(address, known)
    return true
  }

  /** It has logged in: it is counted among all connections still, and among strangers no more. */
  welcome(address: string): void {
    this.#less(address)
  }

  /** The connection is gone. */
  left(address: string, was: 'stranger' | 'member'): void {
    this.#connections -= 1
    if (was === 'member') return
    this.#less(address)
    const known = this.#addresses.get(address)
    if (known !== undefined) known.failures += 1
  }

  #less(address: string): void {
    this.#strangers -= 1
    const known = this.#addresses.get(address)
    if (known !== undefined) known.strangers -= 1
  }

  #forget(nowMs: number): void {
    for (const [address, known] of this.#addresses) {
      if (nowMs - known.sinceMs < ADDRESS_WINDOW_MS) continue
      if (known.strangers === 0) this.#addresses.delete(address)
      else Object.assign(known, { failures: 0, sinceMs: nowMs })
    }
  }
}
