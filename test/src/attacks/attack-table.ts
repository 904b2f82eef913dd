import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { isTest, readSource, ROOT, sourceFiles } from '../architecture/sources.ts'

/**
 * A test whose name begins with a row of docs/threat-model.md (`T-relay-1: …`) is an attack: it tries what the row
 * says must not be achieved. Its row is thus in whatever a test run prints, and in docs/attacks.md.
 */
export interface Attack {
  readonly row: string
  /** The names of what the test stands in, and its own. */
  readonly name: string
  readonly file: string
}

/** A row of the threat model: what is tried, and what stops it. */
export interface ThreatRow {
  readonly row: string
  readonly tried: string
  readonly stoppedBy: string
}

const THREAT_MODEL = 'docs/threat-model.md'
export const TABLE = 'docs/attacks.md'

export function attacksIn(file: string, source: string): Attack[] {
  const groups = [...source.matchAll(/^( *)describe(?:\.\w+\([^)]*\))?\(\s*(['"])((?:\\.|(?!\2).)*)\2/gm)].map(
    (match) => ({ at: match.index, indent: match[1]?.length ?? 0, name: match[3] ?? '' }),
  )
  return [...source.matchAll(/^( *)[^\n]*\(\s*(['"])(T-[a-z]+-\d+): ((?:\\.|(?!\2).)*)\2/gm)].map((match) => {
    const around: string[] = []
    let indent = match[1]?.length ?? 0
    for (const group of groups.filter(({ at }) => at < match.index).toReversed())
      if (group.indent < indent) {
        around.unshift(group.name)
        indent = group.indent
      }
    return { row: match[3] ?? '', name: [...around, match[4] ?? ''].join(', ').replaceAll('\\', ''), file }
  })
}

/** Every attack of the repository, in the order of files and lines. */
export const allAttacks = (): Attack[] =>
  sourceFiles('packages', 'test')
    .filter(isTest)
    .sort()
    .flatMap((file) => attacksIn(file, readSource(file)))

export function threatRows(): ThreatRow[] {
  const text = readFileSync(join(ROOT, THREAT_MODEL), 'utf8')
  return [...text.matchAll(/^\| \[(T-[a-z]+-\d+)\]\(attacks\.md#([a-z0-9-]+)\) \| (.*?) \| (.*?) \|$/gm)].map(
    ([, row = '', anchor, tried = '', stoppedBy = '']) => {
      if (anchor !== row.toLowerCase()) throw new Error(`${row} leads to ${anchor}`)
      return { row, tried, stoppedBy }
    },
  )
}

/** docs/attacks.md, as the tests and the threat model say it. */
export function attackTable(attacks: readonly Attack[], rows: readonly ThreatRow[]): string {
  const lines = [
    '# Attacks',
    '',
    `${attacks.length} attacks on ${rows.length} rows of the [threat model](threat-model.md): each is a test that tries it and sees it`,
    'fail. This page is made from the names of the tests; after a change: `tsc -b && node test/dist/attacks/write-table.js`.',
  ]
  for (const { row, tried } of rows) {
    lines.push('', `## ${row}`, '', tried, '')
    const tests = attacks.filter((attack) => attack.row === row)
    lines.push('| attack | test |', '| --- | --- |')
    for (const { name, file } of tests) lines.push(`| ${name.replaceAll('|', '\\|')} | [${file}](../${file}) |`)
  }
  return `${lines.join('\n')}\n`
}

/** Paths that the threat model names as what stops something, and that are not there. */
export const missingChecks = (rows: readonly ThreatRow[]): string[] =>
  rows.flatMap(({ row, stoppedBy }) => {
    const paths = [...stoppedBy.matchAll(/`([\w./-]+\.ts)`/g)].map(([, path]) => path ?? '')
    if (paths.length === 0) return [`${row}: names no check`]
    return paths
      .filter((path) => !existsSync(join(ROOT, 'packages', path.replace('/', '/src/'))))
      .map((path) => `${row}: ${path}`)
  })
