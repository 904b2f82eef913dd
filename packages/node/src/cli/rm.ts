import { Command } from 'commander'
import { example } from './example.ts'
import { type LevelOptions, tellLevel, waitingOf, withLevel } from './level-option.ts'
import { type Cli, withDoor } from './session.ts'
import { checkUmr } from './umr.ts'

export const rm = (cli: Cli): Command =>
  withLevel(new Command('rm'))
    .summary('delete a register')
    .description('Deletes a register here and on every machine that it is shared with.')
    .argument('<umr>', 'agent.layer.id')
    .addHelpText('after', example('sealmesh rm claude.semantic.deploy-day'))
    .action(
      withDoor(cli, async (session, umr: string, options: LevelOptions) => {
        const { door, output } = session
        checkUmr(umr)
        const written = await door.call('rm', { umr, ...waitingOf(options) })
        output.data(written)
        output.hint(`deleted ${written.umr}`)
        tellLevel(session, written.acknowledged, options.wait)
      }),
    )
