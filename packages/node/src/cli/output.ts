import { styleText } from 'node:util'
import type { Failure } from '@sealmesh/protocol/errors'
import { failureJson, failureLines } from './failures.ts'
import { oneLine, printable } from './printable.ts'
import { type Column, table } from './table.ts'
import { type Terminal, wantsColour } from './terminal.ts'

type Style = Parameters<typeof styleText>[0]

/**
 * Results go to stdout and talk to stderr, so that results can be piped. With `--json` results are JSON, one value a
 * line, in the shapes of the local socket's methods, and there is no talk; a failure is one line of JSON on stderr.
 */
export class Output {
  readonly json: boolean
  readonly #terminal: Terminal
  #progressShown = false

  constructor(terminal: Terminal, json: boolean) {
    this.#terminal = terminal
    this.json = json
  }

  /** One line of JSON, with `--json` only. */
  data(value: unknown): void {
    if (this.json) this.#terminal.stdout.write(`${JSON.stringify(value)}\n`)
  }

  /** Lines of a result for people; nothing with `--json`. */
  print(...lines: readonly string[]): void {
    if (!this.json && lines.length > 0) this.#terminal.stdout.write(`${lines.join('\n')}\n`)
  }

  /** Content as it is: every byte into a pipe, made harmless on a terminal. */
  content(text: string, options: { endLine: boolean }): void {
    if (this.json) return
    const shown = this.#terminal.stdout.isTTY === true ? printable(text) : text
    // A text in a pipe is the text; on a terminal the prompt should not stick to its end.
    const end = options.endLine || (this.#terminal.stdout.isTTY === true && !shown.endsWith('\n')) ? '\n' : ''
    this.#terminal.stdout.write(shown + end)
  }

  /** A table for people; nothing with `--json`. */
  table(columns: readonly Column[], rows: readonly (readonly string[])[]): void {
    const [titles = '', ...lines] = table(columns, rows)
    this.print(this.styled('dim', titles), ...lines)
  }

  /** Talk: progress, hints, what was done. Words of others go through `oneLine` first, here and in `print`. */
  say(text: string): void {
    if (this.json) return
    this.#clearProgress()
    this.#terminal.stderr.write(`${text}\n`)
  }

  /** A hint that does not belong to the result. */
  hint(text: string): void {
    this.say(this.json ? text : this.styledTalk('dim', text))
  }

  /** On a terminal one line that is written over; elsewhere nothing until `say` tells the outcome. */
  progress(text: string): void {
    if (this.json || this.#terminal.stderr.isTTY !== true) return
    this.#terminal.stderr.write(`\r\u001b[K${oneLine(text)}`)
    this.#progressShown = true
  }

  fail(failure: Failure): void {
    this.#clearProgress()
    if (this.json) {
      this.#terminal.stderr.write(`${failureJson(failure)}\n`)
      return
    }
    const { what, more } = failureLines(failure)
    const head = this.styledTalk(['bold', 'red'], `error ${failure.code}:`)
    this.#terminal.stderr.write(`${[`${head} ${what}`, ...more].join('\n')}\n`)
    if ((this.#terminal.env['SEALMESH_DEBUG'] ?? '') !== '') {
      const cause = failure.cause instanceof Error ? failure.cause.stack : undefined
      this.#terminal.stderr.write(`${failure.stack}\n${cause === undefined ? '' : `caused by ${cause}\n`}`)
    }
  }

  /** For stdout. */
  styled(style: Style, text: string): string {
    return wantsColour(this.#terminal.stdout, this.#terminal.env) ? styleText(style, text, UNCHECKED) : text
  }

  /** For stderr. */
  styledTalk(style: Style, text: string): string {
    return wantsColour(this.#terminal.stderr, this.#terminal.env) ? styleText(style, text, UNCHECKED) : text
  }

  #clearProgress(): void {
    if (!this.#progressShown) return
    this.#terminal.stderr.write('\r\u001b[K')
    this.#progressShown = false
  }
}

/** Which stream takes colour is decided here; newer Nodes would ask the process's stdout on their own. */
const UNCHECKED = { validateStream: false }
