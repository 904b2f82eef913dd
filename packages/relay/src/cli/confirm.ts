import { createInterface } from 'node:readline/promises'
import { Failure } from '@sealmesh/protocol/errors'
import type { Output } from './output.ts'

/** Asks on a terminal; elsewhere only `--yes` is a yes. Throws USAGE for a no. */
export async function confirm(output: Output, yes: boolean, question: string): Promise<void> {
  if (yes) return
  if (process.stdin.isTTY && process.stderr.isTTY && !output.json) {
    const reader = createInterface({ input: process.stdin, output: process.stderr })
    const answer = await reader.question(`${question} [y/N] `)
    reader.close()
    if (/^y(es)?$/i.test(answer.trim())) return
    throw new Failure('USAGE', 'Nothing was done.', { next: 'nothing, or the same with --yes' })
  }
  throw new Failure('USAGE', `${question} There is no terminal to ask at.`, { next: 'the same with --yes' })
}
