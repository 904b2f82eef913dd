import { Failure } from '@sealmesh/protocol/errors'
import { gather } from '../doctor/facts.ts'
import { judge } from '../doctor/judge.ts'
import { type CommonFlags, configPathOf, dataOf } from './flags.ts'
import { Output } from './output.ts'

/** Looks at everything that a relay stands on. Throws CHECKS_FAILED, after saying what, when something is not well. */
export async function doctor(flags: CommonFlags): Promise<void> {
  const output = new Output(flags.json === true)
  const checks = judge(await gather(dataOf(flags), configPathOf(flags)))
  const width = Math.max(...checks.map(({ name }) => name.length))
  const lines = checks.flatMap(({ name, state, found, next }) => [
    `${state === 'ok' ? state.padEnd(4) : output.bold(state.padEnd(4))}  ${name.padEnd(width)}  ${found}`,
    ...(next === null ? [] : [`      ${' '.repeat(width)}  next: ${next}`]),
  ])
  output.result({ checks }, ...lines)
  const failed = checks.filter(({ state }) => state === 'fail')
  if (failed.length > 0)
    throw new Failure('CHECKS_FAILED', `Not well: ${[...new Set(failed.map(({ name }) => name))].join(', ')}.`)
}
