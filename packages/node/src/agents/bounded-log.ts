import { appendFile, rename, stat } from 'node:fs/promises'

export interface BoundedLogOptions {
  readonly path: string
  /** Past it the file becomes PATH.1, in place of the one before. */
  readonly bytesMax: number
  /** Lines, and about so many characters, that are written of one second; of the others their number. */
  readonly linesPerSecond: number
  readonly charactersPerSecond: number
  /** The disk takes nothing: told once, until it does again. */
  readonly failed: (error: unknown) => void
}

const FLUSH_MS = 200

/**
 * A log of one JSON object a line that is cheap to write to and cannot fill the disk. Lines that a crash of the process
 * catches within a fifth of a second are lost: they say what happened, nothing is made of them.
 */
export class BoundedLog {
  readonly #options: BoundedLogOptions
  #lines: string[] = []
  #second = 0
  #ofSecond = 0
  #charactersOfSecond = 0
  /** That wait for a disk which takes its time. */
  #waiting = 0
  #leftOut = 0
  #bytes: number | undefined
  #writing: Promise<void> | undefined
  #timer: NodeJS.Timeout | undefined
  #isFailing = false

  constructor(options: BoundedLogOptions) {
    this.#options = options
  }

  /** Whether the next line would be written: making one costs something too. */
  hasRoom(nowMs: number): boolean {
    const second = Math.floor(nowMs / 1_000)
    if (second !== this.#second) {
      this.#tellLeftOut()
      this.#second = second
      this.#ofSecond = 0
      this.#charactersOfSecond = 0
    }
    const { linesPerSecond, charactersPerSecond, bytesMax } = this.#options
    const isWithin = this.#ofSecond < linesPerSecond && this.#charactersOfSecond < charactersPerSecond
    if (isWithin && this.#waiting < bytesMax) return true
    this.#leftOut += 1
    return false
  }

  /** After `hasRoom` has said so. */
  write(line: string): void {
    this.#ofSecond += 1
    this.#charactersOfSecond += line.length
    this.#push(line)
  }

  /** Everything that was said is on its way to the disk when it resolves. */
  async close(): Promise<void> {
    this.#tellLeftOut()
    clearTimeout(this.#timer)
    await this.#writing
    await this.#flush()
  }

  #tellLeftOut(): void {
    if (this.#leftOut === 0) return
    this.#push(`{"at":"${new Date(this.#second * 1_000).toISOString()}","leftOut":${this.#leftOut}}`)
    this.#leftOut = 0
  }

  #push(line: string): void {
    this.#lines.push(line)
    this.#waiting += line.length
    this.#flushSoon()
  }

  #flushSoon(): void {
    if (this.#writing !== undefined) return
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined
      this.#writing = this.#flush().finally(() => {
        this.#writing = undefined
        if (this.#lines.length > 0) this.#flushSoon()
      })
    }, FLUSH_MS)
    this.#timer.unref()
  }

  async #flush(): Promise<void> {
    const lines = this.#lines
    if (lines.length === 0) return
    this.#lines = []
    this.#waiting = 0
    const { path, bytesMax, failed } = this.#options
    const bytes = Buffer.from(`${lines.join('\n')}\n`)
    try {
      this.#bytes ??= (await stat(path).catch(() => undefined))?.size ?? 0
      if (this.#bytes > 0 && this.#bytes + bytes.length > bytesMax) {
        await rename(path, `${path}.1`)
        this.#bytes = 0
      }
      await appendFile(path, bytes, { mode: 0o600 })
      this.#bytes += bytes.length
      this.#isFailing = false
    } catch (error) {
      // Looked at again: somebody may have taken the file away.
      this.#bytes = undefined
      if (!this.#isFailing) failed(error)
      this.#isFailing = true
    }
  }
}
