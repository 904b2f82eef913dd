import { Command } from 'commander'
import { example } from './example.ts'
import { type Cli, withDoor } from './session.ts'
import { checkUmr } from './umr.ts'

export const rm = (cli: Cli): Command =>
  new Command('rm')
    .summary('delete a register')
    .description('Deletes a register here and on every machine that it is shared with.')
    .argument('<umr>', 'agent.layer.id')
    .addHelpText('after', example('sealmesh rm claude.semantic.deploy-day'))
    .action(
      withDoor(cli, async ({ door, output }, umr: string) => {
        checkUmr(umr)
        const written = await door.call('rm', { umr })
        output.data(written)
        output.hint(`deleted ${written.umr}`)
      }),
    )
