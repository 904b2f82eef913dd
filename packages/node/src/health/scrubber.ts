import { setTimeout as pause } from 'node:timers/promises'
import { z } from 'zod'
import type { Meta } from '../store/meta.ts'
import type { HomeHealth } from './home-health.ts'
import { type Finding, scrub, SCRUB_PARTS, type ScrubDeps } from './scrub.ts'

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
/** What a crash makes a slow scrub read again. */
const NOTE_EVERY_MS = 60_000

const Last = z.object({ finishedAtMs: z.number(), bytes: z.number(), found: z.number(), lost: z.number() })
const NAME = 'last-scrub'
/** How far a slow one is, for the next process: a machine that is on for hours a day would never get to the end. */
const Progress = z.object({
  position: z.object({ part: z.enum(SCRUB_PARTS), after: z.string() }),
  startedAtMs: z.number(),
  bytes: z.number(),
  found: z.number(),
  lost: z.number(),
})
type Progress = z.infer<typeof Progress>
const PROGRESS_NAME = 'slow-scrub'

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

/**
 * Runs a scrub when somebody asks, at once, and one a day by itself, slowly. When the last one ended is durable, and how
 * far a slow one is.
 */
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
  /** Of a slow one, here or in an earlier process. */
  #progress: Progress | undefined
  #notedAtMs = 0

  private constructor(deps: ScrubberDeps, last: z.infer<typeof Last> | undefined, progress: Progress | undefined) {
    this.#deps = deps.scrub
    this.#meta = deps.meta
    this.#health = deps.health
    this.#now = deps.now
    this.#failed = deps.failed
    this.#last = last
    this.#progress = progress
    this.#sinceMs = deps.now()
    this.#timer = setInterval(() => this.whenDue(), CHECK_MS)
    this.#timer.unref()
  }

  static async load(deps: ScrubberDeps): Promise<Scrubber> {
    const read = <T>(name: string, schema: z.ZodType<T>) => deps.meta.read(name, schema).catch(() => undefined)
    return new Scrubber(deps, await read(NAME, Last), await read(PROGRESS_NAME, Progress))
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
    this.#running ??= this.#scrub(undefined).finally(() => {
      this.#running = undefined
    })
    await this.#running
  }

  async close(): Promise<void> {
    clearInterval(this.#timer)
    this.#stop.abort()
    await this.#running?.catch(() => undefined)
    await this.#noteProgress()
  }

  /** Begins a slow one, or goes on with it, when it is time. Called every minute. */
  whenDue(): void {
    const nowMs = this.#now()
    if (this.#running !== undefined || nowMs - this.#sinceMs < SETTLE_MS) return
    if (this.#progress === undefined && nowMs - (this.#last?.finishedAtMs ?? 0) < EVERY_MS) return
    this.#slow = true
    this.#running = this.#scrub(this.#progress)
      .catch(this.#failed)
      .finally(() => {
        this.#running = undefined
      })
  }

  async #scrub(from: Progress | undefined): Promise<void> {
    const startedAtMs = from?.startedAtMs ?? this.#now()
    this.#startedAtMs = startedAtMs
    this.#bytes = from?.bytes ?? 0
    this.#findings = []
    let { found, lost } = from ?? { found: 0, lost: 0 }
    for await (const { bytes, findings, position } of scrub(this.#deps, from?.position)) {
      this.#bytes += bytes
      for (const finding of findings) {
        found += 1
        if (this.#findings.length < FINDINGS_MAX) this.#findings.push(finding)
        await this.#health.event(`scrub: ${finding.what}: ${finding.state}`)
        if (finding.state !== 'lost') continue
        lost += 1
        await this.#health.lost(finding.what)
      }
      if (this.#slow && position !== undefined) {
        this.#progress = { position, startedAtMs, bytes: this.#bytes, found, lost }
        await this.#noteProgress()
      }
      if (this.#stop.signal.aborted) return
      const perSecond = Math.max(SLOW_BYTES_PER_S_MIN, ((this.#last?.bytes ?? 0) / SLOWLY_MS) * 1_000)
      if (this.#slow) await pause((bytes / perSecond) * 1_000, undefined, { signal: this.#stop.signal }).catch(() => {})
    }
    this.#last = { finishedAtMs: this.#now(), bytes: this.#bytes, found, lost }
    await this.#meta.write(NAME, Last, this.#last)
    this.#progress = undefined
    await this.#meta.delete(PROGRESS_NAME)
  }

  async #noteProgress(): Promise<void> {
    if (this.#progress === undefined) return
    if (!this.#stop.signal.aborted && this.#now() - this.#notedAtMs < NOTE_EVERY_MS) return
    this.#notedAtMs = this.#now()
    // A place that is not noted is read again.
    await this.#meta.write(PROGRESS_NAME, Progress, this.#progress).catch(this.#failed)
  }
}

export interface ScrubberDeps {
  readonly scrub: ScrubDeps
  readonly meta: Meta
  readonly health: HomeHealth
  readonly now: () => number
  readonly failed: (error: unknown) => void
}
