import { Command } from 'commander'
import { example } from './example.ts'
import { oneLine } from './printable.ts'
import { type Cli, withDoor } from './session.ts'

export const handover = (cli: Cli): Command =>
  new Command('handover')
    .summary('give an agent of this machine to another one')
    .description(
      'Nothing more is done for the agent here; once the other machine has all of it, that one goes on. If it does not within some seconds, the agent stays where it is.',
    )
    .argument('<agent>', 'the agent')
    .option('--to <node>', 'the machine; the next in standby order otherwise')
    .addHelpText('after', example('sealmesh handover claude --to office'))
    .action(
      withDoor(cli, async ({ door, output }, agent: string, { to }: { readonly to?: string }) => {
        const taken = await door.call('handover', { agent, ...(to === undefined ? {} : { to }) })
        output.data(taken)
        output.print(`${oneLine(taken.agent)} is held by ${oneLine(taken.holder)}, term ${taken.term}`)
      }),
    )
