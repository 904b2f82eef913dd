import * as fs from 'node:fs'
import * as path from 'node:path'
import type { FiledReport } from '@sealmesh/protocol/drills/report'
import { BIN, runProgram } from '../processes/program.ts'

/** Commands as a person types them, and the files that they leave. */

export async function sealmesh(...words: string[]) {
  const { exit, objects, program } = await runProgram(BIN.node, [...words, '--json'], {
    name: words.join(' '),
    deadlineMs: 180_000,
  })
  const error =
    program.stderr
      .toString()
      .split('\n')
      .find((line) => line.includes('"error"')) ?? ''
  const failure = error.startsWith('{')
    ? (JSON.parse(error) as { error: { code: string; message: string } }).error
    : undefined
  return { code: exit.code, last: objects.at(-1) as Record<string, unknown> | undefined, failure }
}

/** The JSON files of a home, by their number. */
export function reportsIn(
  home: string,
): { readonly text: string; readonly filed: FiledReport; readonly page: string }[] {
  const directory = path.join(home, 'drills')
  return fs
    .readdirSync(directory)
    .filter((name) => name.endsWith('.json'))
    .toSorted()
    .map((name) => {
      const text = fs.readFileSync(path.join(directory, name), 'utf8')
      const page = fs.readFileSync(path.join(directory, name.replace(/json$/, 'md')), 'utf8')
      return { text, filed: JSON.parse(text) as FiledReport, page }
    })
}

/** What is in `drills/` of a home beside reports. */
export const leftIn = (home: string): string[] =>
  fs.readdirSync(path.join(home, 'drills')).filter((name) => !/\.(json|md)$/.test(name))
