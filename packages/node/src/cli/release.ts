import { Command } from 'commander'
import { example } from './example.ts'
import { type Cli, withDoor } from './session.ts'

export const release = (cli: Cli): Command =>
  new Command('release')
    .summary('let go of all leases, before this machine sleeps')
    .description(
      'Standbys then take over at once instead of waiting for leases to run out. A node that is stopped does so by itself; infra/systemd has a hook for sleep.',
    )
    .option('--undo', 'claim again what nobody has taken')
    .addHelpText('after', example('sealmesh release'))
    .action(
      withDoor(cli, async ({ door, output }, { undo }: { readonly undo?: boolean }) => {
        const now = await door.call('release', { undo: undo === true })
        output.data(now)
        output.print(undo === true ? 'leases are claimed again' : 'no lease is held here')
      }),
    )
