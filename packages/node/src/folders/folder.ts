import type { Logger } from 'pino'
import type { Commit } from '../documents/documents.ts'
import { Failure } from '@sealmesh/protocol/errors'
import { Mirror } from './mirror.ts'
import type { BaseEntry, MirrorDeps } from './ports.ts'
import { FolderWatch } from './watch.ts'

/** Without a watch only looking helps. */
const POLL_MS = 2_000
/** After a failure, such as a full disk. */
const RETRY_MS = 5_000

/** One mirrored folder at work: a mirror, a watch, and the timer that gives it its rounds, one at a time. */
export class Folder {
  readonly mirror: Mirror
  /** Why the last round failed. */
  failure: Failure | undefined
  readonly #watch: FolderWatch
  readonly #log: Pick<Logger, 'error' | 'warn'>
  readonly #now: () => number
  #timer: NodeJS.Timeout | undefined
  #dueAtMs = Number.POSITIVE_INFINITY
  #running: Promise<void> | undefined
  #again = false
  #closed = false
  #canWrite: boolean

  constructor(
    root: string,
    deps: MirrorDeps,
    base: ReadonlyMap<string, BaseEntry>,
    log: Pick<Logger, 'error' | 'warn'>,
  ) {
    this.mirror = new Mirror(deps, base)
    this.#log = log
    this.#now = deps.now
    this.#canWrite = deps.document.refusal() === undefined
    this.#watch = new FolderWatch(root, (path) => this.#wake(this.mirror.touch(path)))
  }

  get watched(): boolean {
    return this.#watch.complete
  }

  /** A round now; resolves when it is done. */
  async run(): Promise<void> {
    if (this.#running !== undefined) {
      this.#again = true
      while (this.#running !== undefined) await this.#running
      return
    }
    this.#running = this.#rounds().finally(() => {
      this.#running = undefined
    })
    await this.#running
  }

  committed(commit: Commit): void {
    if (this.mirror.changed(commit)) this.#wake(this.#now())
  }

  /** Rights may have changed. */
  meshChanged(): void {
    const canWrite = this.mirror.state.deps.document.refusal() === undefined
    if (canWrite === this.#canWrite) return
    this.#canWrite = canWrite
    this.lookAgain()
  }

  lookAgain(): void {
    this.mirror.reconsider()
    this.#wake(this.#now())
  }

  /** What a person said of deletions that are held; gives how many files it was about. */
  async confirm(keep: boolean): Promise<number> {
    while (this.#running !== undefined) await this.#running
    const count = await this.mirror.confirm(keep)
    await this.run()
    return count
  }

  async close(): Promise<void> {
    this.#closed = true
    clearTimeout(this.#timer)
    this.#watch.close()
    await this.#running
    // What cannot be done now is found by the next start.
    await this.mirror.finish().catch((error: unknown) => this.#log.warn({ err: error }, 'a folder was not finished'))
  }

  async #rounds(): Promise<void> {
    do {
      this.#again = false
      this.#dueAtMs = Number.POSITIVE_INFINITY
      try {
        const next = await this.mirror.round()
        this.failure = undefined
        if (this.#closed) return
        if (this.mirror.present) this.#watch.follow(this.mirror.state.directories.values())
        this.#wake(this.#watch.complete ? next : Math.min(next, this.#now() + POLL_MS))
        if (!this.#watch.complete) this.mirror.touch('')
      } catch (error) {
        if (this.#closed) return
        this.failure =
          error instanceof Failure
            ? error
            : new Failure('INTERNAL', 'The folder could not be mirrored.', { cause: error })
        // No path and no content: both may come from a peer.
        this.#log.warn({ code: this.failure.code, err: error instanceof Failure ? undefined : error }, 'a folder waits')
        this.mirror.failed()
        this.#wake(this.#now() + RETRY_MS)
      }
    } while (this.#again && !this.#closed)
  }

  #wake(atMs: number): void {
    if (this.#closed || atMs >= this.#dueAtMs) return
    this.#dueAtMs = atMs
    clearTimeout(this.#timer)
    this.#timer = setTimeout(
      () => {
        this.#timer = undefined
        void this.run()
      },
      Math.max(0, atMs - this.#now()),
    )
  }
}
