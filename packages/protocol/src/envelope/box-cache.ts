import { toHex } from '../bytes.ts'
import type { SealPublicKey } from '../keys.ts'
import { CONTENT_KEY_REUSE_MS } from '../limits.ts'

export interface OpenedBox {
  readonly contentKey: Uint8Array
  /** The public half of the prekey that opened it. */
  readonly prekey: SealPublicKey
}

/** One for each sender and set of recipients that was heard of in the last minute; more is worth opening again. */
const BOXES_MAX = 1_024

/**
 * The receiver's half of reusing content keys: boxes that repeat within a minute are opened once (40 to 130 µs each).
 * Its clock is what `tick` was last told, so that it can be driven by a test.
 */
export class BoxCache {
  readonly #kept = new Map<string, { opened: OpenedBox; keptAtMs: number }>()
  #nowMs = 0

  /** Before opening packets, and now and then without any: erases the keys of boxes that are over a minute old. */
  tick(nowMs: number): void {
    this.#nowMs = nowMs
    for (const [box, { keptAtMs }] of this.#kept) {
      if (nowMs >= keptAtMs && nowMs - keptAtMs < CONTENT_KEY_REUSE_MS) return // Kept in order of time.
      this.#drop(box)
    }
  }

  get(box: Uint8Array): OpenedBox | undefined {
    return this.#kept.get(toHex(box))?.opened
  }

  /** The minute runs from the first time: keeping it again changes nothing. */
  keep(box: Uint8Array, opened: OpenedBox): void {
    const name = toHex(box)
    if (this.#kept.has(name)) return
    this.#kept.set(name, { opened, keptAtMs: this.#nowMs })
    if (this.#kept.size > BOXES_MAX) this.#drop(this.#kept.keys().next().value ?? '')
  }

  eraseAll(): void {
    for (const box of this.#kept.keys()) this.#drop(box)
  }

  get size(): number {
    return this.#kept.size
  }

  #drop(box: string): void {
    this.#kept.get(box)?.opened.contentKey.fill(0)
    this.#kept.delete(box)
  }
}
