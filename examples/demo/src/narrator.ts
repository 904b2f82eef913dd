import { styleText } from 'node:util'

/** What a step calls to say how far it is; seen when it takes over a second. */
export type Progress = (text: string) => void

const SPINNER = ['⠋', '⠙', '⠹', '⠸', '⠼', '⠴', '⠦', '⠧', '⠇', '⠏']
const FRAME_MS = 100
const SLOW_MS = 1_000

/**
 * One line for each step, with its duration. On a terminal a step that takes over a second spins and says how far
 * it is; elsewhere it says so in lines of its own, so that a log shows where time went.
 */
export class Narrator {
  readonly #out: NodeJS.WriteStream
  readonly #live: boolean
  #act = 0

  constructor(out: NodeJS.WriteStream) {
    this.#out = out
    this.#live = out.isTTY === true
  }

  act(title: string): void {
    this.#act += 1
    this.#line(`\n${this.#style('bold', `${this.#act}  ${title}`)}`)
  }

  /** Runs `work` and prints `title`, what it returned, and how long it took. */
  async step(title: string, work: (progress: Progress) => Promise<string | void>): Promise<void> {
    const startedAt = performance.now()
    const elapsed = () => performance.now() - startedAt
    let state = ''
    let saidState: string | undefined
    let frame = 0
    const show = () => {
      if (elapsed() < SLOW_MS) return
      if (this.#live) {
        const spin = SPINNER[frame++ % SPINNER.length] ?? ''
        // A line that wraps could not be written over.
        const line = `${title} ${state} ${seconds(elapsed())}`.slice(0, (this.#out.columns ?? 80) - 8)
        this.#out.write(`\r\x1b[2K   ${spin}  ${this.#style('dim', line)}`)
      } else if (saidState !== state) {
        this.#line(`   …  ${title}${state === '' ? '' : `: ${state}`}`)
        saidState = state
      }
    }
    const timer = setInterval(show, FRAME_MS)
    try {
      const detail = await work((text) => {
        state = text
      })
      this.#clear()
      const tail = typeof detail === 'string' && detail !== '' ? this.#style('dim', `: ${detail}`) : ''
      this.#line(`   ${this.#style('green', '✓')}  ${title}${tail}  ${this.#style('dim', `(${seconds(elapsed())})`)}`)
    } catch (error) {
      this.#clear()
      this.#line(`   ${this.#style('red', '✗')}  ${title}  (${seconds(elapsed())})`)
      throw error
    } finally {
      clearInterval(timer)
    }
  }

  /** Lines of what a person would see, set apart. */
  quote(text: string): void {
    for (const line of text.trimEnd().split('\n')) this.#line(`        ${this.#style('cyan', line)}`)
  }

  say(text: string): void {
    this.#line(text)
  }

  #clear(): void {
    if (this.#live) this.#out.write('\r\x1b[2K')
  }

  #line(text: string): void {
    this.#out.write(`${text}\n`)
  }

  #style(format: Parameters<typeof styleText>[0], text: string): string {
    return this.#live && process.env['NO_COLOR'] === undefined ? styleText(format, text) : text
  }
}

const seconds = (ms: number): string => (ms < 1_000 ? `${Math.round(ms)} ms` : `${(ms / 1_000).toFixed(1)} s`)
