/** What one bench writes with `--json`; its fields are the same for every bench. */
export interface BenchResult {
  readonly name: string
  readonly commit: string
  readonly node: string
  readonly rows: readonly Row[]
}

/** One measured figure, with the bar that an issue set for it, if one did. */
export interface Row {
  readonly id: string
  /** Medians of the runs; null where that side has no such figure. */
  readonly ours: number | null
  readonly rival: number | null
  readonly unit: string
  /** ours / rival */
  readonly ratio: number | null
  /** In words, with the number that was compared; null for a figure that explains others. */
  readonly bar: string | null
  readonly ok: boolean | null
}

export interface Measured {
  readonly rows: readonly Row[]
  /** What was equal, what was chosen, and why: printed under the table. */
  readonly notes: readonly string[]
}

export interface BenchOptions {
  readonly runs: number
  /** One part of a bench that has parts, while it is worked on. */
  readonly only: string | undefined
  /** Says what is going on, on stderr. */
  readonly progress: (line: string) => void
}

export type Bench = (options: BenchOptions) => Promise<Measured>

export function row(fields: Omit<Row, 'ratio'>): Row {
  const { ours, rival } = fields
  const ratio = ours === null || rival === null || rival === 0 ? null : round(ours / rival)
  return {
    ...fields,
    ours: ours === null ? null : round(ours),
    rival: rival === null ? null : round(rival),
    ratio,
  }
}

/** Three significant digits say all that two noisy cores can. */
const round = (value: number): number => Number(value.toPrecision(value >= 1_000 ? 5 : 3))

export function median(values: readonly number[]): number {
  return quantile(values, 0.5)
}

/** Nearest rank; NaN when there are no values. */
export function quantile(values: readonly number[], at: number): number {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(at * sorted.length))] ?? Number.NaN
}

export function formatTable(rows: readonly Row[]): string {
  const head = ['', 'ours', 'rival', 'unit', 'ours/rival', 'bar', '']
  const cells = rows.map((each) => [
    each.id,
    number(each.ours),
    number(each.rival),
    each.unit,
    number(each.ratio),
    each.bar ?? '',
    each.ok === null ? '' : each.ok ? 'ok' : 'SHORT',
  ])
  const widths = head.map((title, column) => Math.max(title.length, ...cells.map((line) => line[column]?.length ?? 0)))
  const numeric = new Set([1, 2, 4])
  const line = (texts: readonly string[]) =>
    texts
      .map((text, column) =>
        numeric.has(column) ? text.padStart(widths[column] ?? 0) : text.padEnd(widths[column] ?? 0),
      )
      .join('  ')
      .trimEnd()
  return [line(head), line(widths.map((width) => '-'.repeat(width))), ...cells.map(line)].join('\n')
}

const number = (value: number | null): string =>
  value === null ? '' : value >= 1_000 ? Math.round(value).toLocaleString('en') : String(value)
