import type { Program } from '../processes/program.ts'
import { BIN, runProgram } from '../processes/program.ts'

/** What one run of `sealmesh-relay` printed and how it ended. */
export interface Said {
  readonly code: number | null
  readonly out: string
  readonly err: string
  /** With `--json`: the result, or what is under `error`. */
  readonly json: Record<string, unknown>
}

/** Runs a verb on a data directory, to its end. */
export async function relayVerb(data: string, ...words: readonly string[]): Promise<Said> {
  const { exit, program } = await runProgram(BIN.relay, [...words, '--data', data], { name: words.join(' ') })
  const [out, err] = [program.stdout.toString(), program.stderr.toString()]
  return { code: exit.code, out, err, json: words.includes('--json') ? jsonOf(out, err) : {} }
}

function jsonOf(out: string, err: string): Record<string, unknown> {
  const result = JSON.parse(out === '' ? err : out) as Record<string, unknown>
  return (result['error'] as Record<string, unknown> | undefined) ?? result
}

/** The objects that a relay has logged. */
export const logOf = (program: Program): Record<string, unknown>[] =>
  program.stderr
    .toString()
    .split('\n')
    .filter((line) => line.startsWith('{'))
    .map((line) => JSON.parse(line) as Record<string, unknown>)
