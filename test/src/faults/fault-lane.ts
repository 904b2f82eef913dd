import type { Socket } from 'node:net'
import { type Fate, fateOf, type FaultPlan } from './fault-plan.ts'
import { MessageCutter } from './message-cutter.ts'

export interface FaultLaneDeps {
  readonly from: Socket
  readonly to: Socket
  readonly plan: () => FaultPlan
  readonly dice: () => number
  /** Of the whole connection. */
  readonly reset: () => void
  readonly silence: () => void
  readonly count: (fate: Fate) => void
}

/** Beyond this nothing more is read, so that who sends feels the bandwidth. */
const QUEUED_BYTES_MAX = 1_048_576
/** A message that waits for the next one to overtake it. */
const HELD_MS_MAX = 50
/** Pieces of the size in which a slow line would take them. */
const SLICE_BYTES = 16_384

/** One direction of one connection through the proxy. */
export class FaultLane {
  readonly #deps: FaultLaneDeps
  readonly #cutter = new MessageCutter()
  readonly #timers = new Set<NodeJS.Timeout>()
  #held: { bytes: Buffer; timer: NodeJS.Timeout } | null = null
  #queuedBytes = 0
  /** When what was sent last has arrived. */
  #arrivedAtMs = 0
  #silent = false

  constructor(deps: FaultLaneDeps) {
    this.#deps = deps
    deps.from.on('data', (chunk) => this.#take(chunk))
    deps.from.on('end', () => this.#after(0, () => deps.to.end()))
  }

  /** Nothing passes from now on, and both ends stay open. */
  silence(): void {
    this.#silent = true
    this.close()
  }

  close(): void {
    for (const timer of this.#timers) clearTimeout(timer)
    this.#timers.clear()
    if (this.#held !== null) clearTimeout(this.#held.timer)
    this.#held = null
  }

  #take(chunk: Buffer): void {
    for (const { bytes, isMessage } of this.#cutter.take(chunk)) {
      if (this.#silent) return
      const { plan, dice, count } = this.#deps
      const fate = isMessage ? fateOf(plan(), dice) : 'pass'
      count(fate)
      switch (fate) {
        case 'silence':
          return this.#deps.silence()
        case 'reset':
          // The other end reads half a message, and then nothing.
          this.#send(bytes.subarray(0, bytes.length >> 1))
          return this.#after(0, () => this.#deps.reset())
        case 'reorder':
          if (this.#held === null) this.#hold(bytes)
          else this.#send(bytes)
          break
        case 'duplicate':
          this.#send(bytes)
          this.#send(bytes)
          break
        case 'pass':
          this.#send(bytes)
          break
      }
      if (fate !== 'reorder') this.#release()
    }
  }

  #hold(bytes: Buffer): void {
    this.#held = { bytes, timer: setTimeout(() => this.#release(), HELD_MS_MAX) }
  }

  #release(): void {
    if (this.#held === null) return
    const { bytes, timer } = this.#held
    this.#held = null
    clearTimeout(timer)
    this.#send(bytes)
  }

  #send(bytes: Buffer): void {
    for (let at = 0; at < bytes.length; at += SLICE_BYTES) {
      const slice = bytes.subarray(at, at + SLICE_BYTES)
      this.#queuedBytes += slice.length
      if (this.#queuedBytes > QUEUED_BYTES_MAX) this.#deps.from.pause()
      this.#after(slice.length, () => {
        this.#queuedBytes -= slice.length
        if (this.#queuedBytes <= QUEUED_BYTES_MAX / 2) this.#deps.from.resume()
        if (this.#deps.to.writable) this.#deps.to.write(slice)
      })
    }
  }

  /** In order, whatever the dice say: one timer for each, due no earlier than the one before. */
  #after(bytes: number, act: () => void): void {
    const { latencyMs, jitterMs, bytesPerSecond } = this.#deps.plan()
    const nowMs = performance.now()
    const onTheLineMs = bytesPerSecond > 0 ? (bytes / bytesPerSecond) * 1_000 : 0
    const arrivesAtMs = nowMs + latencyMs + jitterMs * this.#deps.dice()
    this.#arrivedAtMs = Math.max(this.#arrivedAtMs + onTheLineMs, arrivesAtMs + onTheLineMs)
    const waitMs = Math.ceil(this.#arrivedAtMs - nowMs)
    if (waitMs <= 0 && this.#timers.size === 0) return act()
    const timer = setTimeout(() => {
      this.#timers.delete(timer)
      act()
    }, waitMs)
    this.#timers.add(timer)
  }
}
