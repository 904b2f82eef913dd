import { Command, Option } from 'commander'
import { example } from './example.ts'
import { type Cli, withDoor } from './session.ts'

const PROFILES = ['default', 'fast', 'calm'] as const

export const witness = (cli: Cli): Command =>
  new Command('witness')
    .summary('the relay that keeps leases')
    .description('Agents that fail over by themselves need one place that says no: a relay that keeps leases.')
    .addHelpText('after', example('sealmesh witness set'))
    .addCommand(set(cli))

const set = (cli: Cli): Command =>
  new Command('set')
    .summary('let the relay in use keep leases')
    .description(
      'default: a dead machine is noticed after some 16 seconds. fast: after 7, where the network is good. calm: after 31, for laptops and phones.',
    )
    .addOption(
      new Option('--profile <profile>', 'how soon a machine counts as dead').choices(PROFILES).default('default'),
    )
    .addHelpText('after', example('sealmesh witness set --profile fast'))
    .action(
      withDoor(cli, async ({ door, output }, { profile }: { readonly profile: (typeof PROFILES)[number] }) => {
        const now = await door.call('witness.set', { profile })
        output.data(now)
        output.print(`the relay in use keeps leases, profile ${now.profile}`)
      }),
    )
