import { Failure } from '@sealmesh/protocol/errors'
import { Command } from 'commander'
import { example } from './example.ts'
import { type LevelOptions, tellLevel, waitingOf, withLevel } from './level-option.ts'
import { momentOption } from './moment-option.ts'
import { oneLine } from './printable.ts'
import { type Cli, withDoor } from './session.ts'
import { checkUmr } from './umr.ts'
import { moment } from './when.ts'

export const restore = (cli: Cli): Command =>
  withLevel(new Command('restore'))
    .summary('bring back what an item was at a time')
    .description(
      'Writes what an item was at that time as a new write, so that every machine gets it and it can be undone the same way. A text is changed back by the smallest edit. Like `set` it replaces the value that is shown, and leaves what another machine wrote beside it.',
    )
    .argument('<umr>', 'agent.layer.id')
    .option('--at <time>', '2026-11-20T14:03, 2026-11-20, 14:03 of today, or 10m, 2h, 3d ago', momentOption)
    .addHelpText('after', example('sealmesh restore claude.semantic.deploy-day --at 10m'))
    .action(
      withDoor(cli, async (session, umr: string, options: LevelOptions & { readonly at?: number }) => {
        const { door, output, command } = session
        checkUmr(umr)
        if (options.at === undefined)
          throw new Failure('USAGE', 'Say which time: --at TIME.', { next: command(`history ${umr}`) })
        const restored = await door.call('restore', {
          umr,
          at: new Date(options.at).toISOString(),
          ...waitingOf(options),
        })
        output.data(restored)
        output.hint(
          restored.write === null
            ? `${oneLine(restored.umr)} reads as it did at ${moment(restored.from)} already`
            : `restored ${oneLine(restored.umr)} as of ${moment(restored.from)}`,
        )
        tellLevel(session, restored.acknowledged, options.wait)
      }),
    )
