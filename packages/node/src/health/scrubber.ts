import { setTimeout as pause } from 'node:timers/promises'
import { z } from 'zod'
import type { Meta } from '../store/meta.ts'
import type { HomeHealth } from './home-health.ts'
import { type Finding, scrub, type ScrubDeps } from './scrub.ts'

/** Once a day by itself. */
const EVERY_MS = 24 * 60 * 60_000
/** Over this time, so that nobody notices: 1 GiB at some 12 KiB a second. */
const SLOWLY_MS = 24 * 60 * 60_000
/** But never slower than this: a small store is done in a minute. */
const SLOW_BYTES_PER_S_MIN = 65_536
/** After a start there is better to do. */
const SETTLE_MS = 60_000
const CHECK_MS = 60_000
const FINDINGS_MAX = 1_000

const Last = z.object({ finishedAtMs: z.number(), bytes: z.number(), found: z.number(), lost: z.number() })
const NAME = 'last-scrub'

export interface ScrubState {
  readonly running: boolean
  readonly slow: boolean
  readonly startedAtMs: number | null
  readonly bytes: number
  /** Of the last one that ended: how much there is to read. */
  readonly bytesExpected: number | null
  /** Of the last one that ended, here or before the last restart. */
  readonly finishedAtMs: number | null
  readonly findings: readonly Finding[]
}

/** Runs a scrub when somebody asks, at once, and one a day by itself, slowly. When the last one ended is durable. */
export class Scrubber {
  readonly #deps: ScrubDeps
  readonly #meta: Meta
  readonly #health: HomeHealth
  readonly #now: () => number
  readonly #failed: (error: unknown) => void
  readonly #stop = new AbortController()
  readonly #timer: NodeJS.Timeout
  readonly #sinceMs: number
  #running: Promise<void> | undefined
  #slow = false
  #startedAtMs: number | null = null
  #bytes = 0
  #findings: Finding[] = []
  #last: z.infer<typeof Last> | undefined

  private constructor(deps: ScrubberDeps, last: z.infer<typeof Last> | undefined) {
    this.#deps = deps.scrub
    this.#meta = deps.meta
    this.#health = deps.health
    this.#now = deps.now
    this.#failed = deps.failed
    this.#last = last
    this.#sinceMs = deps.now()
    this.#timer = setInterval(() => this.#whenDue(), CHECK_MS)
    this.#timer.unref()
  }

  static async load(deps: ScrubberDeps): Promise<Scrubber> {
    return new Scrubber(deps, await deps.meta.read(NAME, Last).catch(() => undefined))
  }

  get state(): ScrubState {
    return {
      running: this.#running !== undefined,
      slow: this.#slow,
      startedAtMs: this.#startedAtMs,
      bytes: this.#bytes,
      bytesExpected: this.#last?.bytes ?? null,
      finishedAtMs: this.#last?.finishedAtMs ?? null,
      findings: this.#findings,
    }
  }

  /** At once; one that runs slowly goes on at full speed. Resolves when it has ended. */
  async run(): Promise<void> {
    this.#slow = false
    this.#running ??= this.#scrub().finally(() => {
      this.#running = undefined
    })
    await this.#running
  }

  async close(): Promise<void> {
    clearInterval(this.#timer)
    this.#stop.abort()
    await this.#running?.catch(() => undefined)
  }

  #whenDue(): void {
    const nowMs = this.#now()
    if (this.#running !== undefined || nowMs - this.#sinceMs < SETTLE_MS) return
    if (nowMs - (this.#last?.finishedAtMs ?? 0) < EVERY_MS) return
    this.#slow = true
    this.#running = this.#scrub()
      .catch(this.#failed)
      .finally(() => {
        this.#running = undefined
      })
  }

  async #scrub(): Promise<void> {
    this.#startedAtMs = this.#now()
    this.#bytes = 0
    this.#findings = []
    for await (const { bytes, findings } of scrub(this.#deps)) {
      this.#bytes += bytes
      for (const finding of findings) {
        if (this.#findings.length < FINDINGS_MAX) this.#findings.push(finding)
        await this.#health.event(`scrub: ${finding.what}: ${finding.state}`)
        if (finding.state === 'lost') await this.#health.lost(finding.what)
      }
      if (this.#stop.signal.aborted) return
      const perSecond = Math.max(SLOW_BYTES_PER_S_MIN, ((this.#last?.bytes ?? 0) / SLOWLY_MS) * 1_000)
      if (this.#slow) await pause((bytes / perSecond) * 1_000, undefined, { signal: this.#stop.signal }).catch(() => {})
    }
    const lost = this.#findings.filter(({ state }) => state === 'lost').length
    this.#last = { finishedAtMs: this.#now(), bytes: this.#bytes, found: this.#findings.length, lost }
    await this.#meta.write(NAME, Last, this.#last)
  }
}

export interface ScrubberDeps {
  readonly scrub: ScrubDeps
  readonly meta: Meta
  readonly health: HomeHealth
  readonly now: () => number
  readonly failed: (error: unknown) => void
}
