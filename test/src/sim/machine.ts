import type { Timeline } from './timeline.ts'

/** Of every machine's wall clock, when the world begins. */
export const BEGUN_WALL_MS = 1_700_000_000_000

/** One run of a program on a machine; nothing of it happens after its end. */
export class Process {
  readonly machine: Machine
  alive = true

  constructor(machine: Machine) {
    this.machine = machine
  }
}

/** A machine as its programs see it: three clocks that run at its own rate, and stretches in which nothing runs. */
export class Machine {
  /** Own milliseconds in a true one. */
  readonly rate: number
  /** What its wall clock is ahead of the true one. */
  skewMs: number
  /** True milliseconds that it has slept since it was started: its monotonic clock has not seen them. */
  sleptMs = 0
  isStill = false
  /** What is to happen when it goes on. */
  readonly waiting: (() => void)[] = []
  readonly #time: Timeline
  #bootedMs: number
  #stillSinceMs = 0

  constructor(time: Timeline, rate: number, skewMs: number, upForMs: number) {
    this.#time = time
    this.rate = rate
    this.skewMs = skewMs
    this.#bootedMs = -upForMs
  }

  wallMs(): number {
    return Math.floor(BEGUN_WALL_MS + this.#time.nowMs * this.rate + this.skewMs)
  }

  /** Since the machine was started; stands while it sleeps. */
  monotonicMs(): number {
    return (this.#time.nowMs - this.#bootedMs - this.sleptMs) * this.rate
  }

  /** The same, sleep counted. */
  uptimeMs(): number {
    return (this.#time.nowMs - this.#bootedMs) * this.rate
  }

  stop(): void {
    this.isStill = true
    this.#stillSinceMs = this.#time.nowMs
  }

  /** `slept`: its monotonic clock stood as well. */
  goOn(slept: boolean): void {
    this.isStill = false
    if (slept) this.sleptMs += this.#time.nowMs - this.#stillSinceMs
    for (const go of this.waiting.splice(0)) go()
  }

  /** Its clocks, but the one on the wall, begin anew. */
  reboot(): void {
    this.isStill = false
    this.waiting.length = 0
    this.#bootedMs = this.#time.nowMs
    this.sleptMs = 0
  }
}
