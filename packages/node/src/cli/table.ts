import { oneLine } from './printable.ts'

const GAP = '  '
/** East Asian wide and emoji: two columns on every terminal that we know. */
const WIDE =
  /[\u1100-\u115f\u2e80-\u303e\u3041-\u33ff\u3400-\u4dbf\u4e00-\u9fff\ua000-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6]|[\u{1f300}-\u{1faff}]|[\u{20000}-\u{3fffd}]/u

export interface Column {
  readonly title: string
  readonly align?: 'right'
}

/** Aligned columns, one row a line, no trailing blanks; cells are cleaned of what would tear a line apart. */
export function table(columns: readonly Column[], rows: readonly (readonly string[])[]): string[] {
  const cells = [columns.map((column) => column.title), ...rows.map((row) => row.map((cell) => oneLine(cell)))]
  const widths = columns.map((_, index) => Math.max(...cells.map((row) => widthOf(row[index] ?? ''))))
  return cells.map((row) =>
    columns
      .map((column, index) => {
        const cell = row[index] ?? ''
        const blanks = ' '.repeat((widths[index] ?? 0) - widthOf(cell))
        return column.align === 'right' ? blanks + cell : cell + blanks
      })
      .join(GAP)
      .trimEnd(),
  )
}

function widthOf(text: string): number {
  let width = 0
  for (const character of text) width += WIDE.test(character) ? 2 : 1
  return width
}
