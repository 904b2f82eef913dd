import { styleText } from 'node:util'
import { type Failure, reactions } from '@sealmesh/protocol/errors'

/**
 * Results go to stdout and talk to stderr, so that results can be piped. With `--json` a result is one line of JSON and
 * there is no talk; a failure is one line of JSON on stderr.
 */
export class Output {
  readonly json: boolean

  constructor(json: boolean) {
    this.json = json
  }

  /** The whole result, for programs and for people. */
  result(data: unknown, ...lines: readonly string[]): void {
    process.stdout.write(this.json ? `${JSON.stringify(data)}\n` : lines.map((line) => `${line}\n`).join(''))
  }

  say(text: string): void {
    if (!this.json) process.stderr.write(`${text}\n`)
  }

  bold = (text: string): string => styled('bold', text, process.stdout)
  dim = (text: string): string => styled('dim', text, process.stdout)

  fail(failure: Failure): void {
    const { code, message, next } = failure
    const { exit, retry } = reactions[code]
    process.exitCode = exit
    const text = this.json
      ? JSON.stringify({ error: { code, message, next, retry, exit } })
      : `${styled('red', `error ${code}:`, process.stderr)} ${message}\n  next: ${next}`
    process.stderr.write(`${text}\n`)
  }
}

/** https://no-color.org, and FORCE_COLOR as Node reads it. */
function styled(style: Parameters<typeof styleText>[0], text: string, stream: NodeJS.WriteStream): string {
  const { env } = process
  const forced = env['FORCE_COLOR']
  const wants =
    (env['NO_COLOR'] ?? '') === '' &&
    (forced === undefined ? stream.isTTY && env['TERM'] !== 'dumb' : forced !== '0' && forced !== 'false')
  return wants ? styleText(style, text, { validateStream: false }) : text
}

/** Columns that stand under one another; numbers to the right. */
export function table(rows: readonly (readonly (string | number)[])[]): string[] {
  const widths = (rows[0] ?? []).map((_, at) => Math.max(...rows.map((row) => String(row[at] ?? '').length)))
  return rows.map((row) =>
    row
      .map((cell, at) => {
        const width = widths[at] ?? 0
        return typeof cell === 'number' ? String(cell).padStart(width) : cell.padEnd(width)
      })
      .join('  ')
      .trimEnd(),
  )
}

const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB'] as const

export function size(bytes: number): string {
  let [value, unit] = [bytes, 0]
  while (value >= 1_024 && unit < UNITS.length - 1) [value, unit] = [value / 1_024, unit + 1]
  return `${unit === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${UNITS[unit]}`
}

export function duration(ms: number): string {
  const minutes = Math.floor(ms / 60_000)
  if (minutes < 1) return `${Math.max(0, Math.floor(ms / 1_000))} s`
  if (minutes < 120) return `${minutes} min`
  const hours = Math.floor(minutes / 60)
  return hours < 48 ? `${hours} h` : `${Math.floor(hours / 24)} days`
}
