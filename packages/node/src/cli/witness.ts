import { Command, Option } from 'commander'
import { example } from './example.ts'
import { type Cli, withDoor } from './session.ts'
import { shortId } from './status.ts'

const PROFILES = ['default', 'fast', 'calm'] as const

interface Options {
  readonly profile: (typeof PROFILES)[number]
}

export const witness = (cli: Cli): Command =>
  new Command('witness')
    .summary('the relays that keep leases')
    .description(
      'Agents that fail over by themselves need one place that says no: a relay that keeps leases, or three of which one may fail.',
    )
    .addHelpText('after', example('sealmesh witness set'))
    .addCommand(set(cli))

const set = (cli: Cli): Command =>
  new Command('set')
    .summary('let a relay, or three, keep leases')
    .description(
      'Without a relay: the first of the mesh. Of three relays two decide, so that one may be away. default: a dead machine is noticed after some 16 seconds. fast: after 7, where the network is good. calm: after 31, for laptops and phones.',
    )
    .argument('[relays...]', 'one or three of `sealmesh relay ls`, by address, id or the beginning of the id')
    .addOption(
      new Option('--profile <profile>', 'how soon a machine counts as dead').choices(PROFILES).default('default'),
    )
    .addHelpText('after', example('sealmesh witness set 4f2a09c1 77b0e3d2 c09a1b44 --profile fast'))
    .action(
      withDoor(cli, async ({ door, output }, relays: string[], { profile }: Options) => {
        const now = await door.call('witness.set', { profile, ...(relays.length === 0 ? {} : { relays }) })
        output.data(now)
        const who = now.relays.map(shortId)
        output.print(
          who.length === 1
            ? `${who.join()} keeps leases, profile ${now.profile}`
            : `${who.join(', ')} keep leases, profile ${now.profile}: any two of them decide`,
        )
      }),
    )
