import { Failure } from '@sealmesh/protocol/errors'
import { Command } from 'commander'
import { example } from './example.ts'
import { oneLine } from './printable.ts'
import { type Cli, withDoor } from './session.ts'

interface Options {
  readonly act?: string
  readonly check?: boolean
}

export const mustHold = (cli: Cli): Command =>
  new Command('must-hold')
    .summary('whether an agent may act here at this moment')
    .description(
      'Prints a fencing token for one act, to hand to whatever does it; exit code 4 where the agent may not act here now. With --check it says what a token of somebody else is worth.',
    )
    .argument('<agent-or-token>', 'the agent; with --check, a token')
    .option('--act <id>', 'your own name for the act, 32 hexadecimal digits: asked twice, it shows as done twice')
    .option('--check', 'look at a token')
    .addHelpText('after', example('sealmesh must-hold claude && ./send-the-mail'))
    .action(
      withDoor(cli, async ({ door, output }, subject: string, { act, check }: Options) => {
        if (check === true) {
          const { verdict, ...rest } = await door.call('must-hold.check', { token: subject })
          output.data({ verdict, ...rest })
          output.print(verdict)
          if (verdict !== 'good')
            throw new Failure(
              'FENCED',
              verdict === 'passed' ? 'A later term has begun.' : 'No holder of this mesh signed it.',
            )
          return
        }
        const granted = await door.call('must-hold', { agent: subject, ...(act === undefined ? {} : { act }) })
        output.data(granted)
        output.print(granted.token)
        output.hint(
          `${oneLine(granted.agent)}, term ${granted.term}${granted.witnessed ? '' : '; nobody excludes that another machine acts as well'}`,
        )
      }),
    )
