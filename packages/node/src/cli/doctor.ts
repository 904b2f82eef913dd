import { Failure } from '@sealmesh/protocol/errors'
import { Command } from 'commander'
import { gather } from '../doctor/facts.ts'
import { type Check, judge } from '../doctor/judge.ts'
import { example } from './example.ts'
import { oneLine } from './printable.ts'
import { type Cli, type Session, withHome } from './session.ts'

const FOUND_MAX = 300
const STYLES = { ok: 'green', warn: 'yellow', fail: 'red' } as const

export const doctor = (cli: Cli): Command =>
  new Command('doctor')
    .summary('look at all that a node stands on, and say what to do')
    .description(
      'Checks the home and its rights, the config, the disk, the clock, the node, the way to each relay, other machines, the service and what mcp install has written, whether the node runs or not. Exit code 6: something fails.',
    )
    .addHelpText('after', example('sealmesh doctor'))
    .action(
      withHome(cli, async (session) => {
        const checks = judge(await gather(session.home, session.terminal.env))
        session.output.data({ checks })
        show(session, checks)
        const names = [...new Set(checks.filter(({ state }) => state === 'fail').map(({ name }) => name))]
        if (names.length > 0)
          throw new Failure('CHECKS_FAILED', `Not well: ${names.join(', ')}.`, {
            next: 'do what stands below each check',
          })
      }),
    )

function show({ output }: Session, checks: readonly Check[]): void {
  const width = Math.max(...checks.map(({ name }) => name.length))
  for (const { name, state, found, next } of checks) {
    output.print(
      `${output.styled(STYLES[state], state.padEnd(4))}  ${name.padEnd(width)}  ${oneLine(found, FOUND_MAX)}`,
    )
    if (next !== null) output.print(`      ${' '.repeat(width)}  next: ${oneLine(next, FOUND_MAX)}`)
  }
}
