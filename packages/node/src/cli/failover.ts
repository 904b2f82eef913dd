import { Command, Option } from 'commander'
import { example } from './example.ts'
import { oneLine } from './printable.ts'
import { type Cli, withDoor } from './session.ts'

const MODES = ['manual', 'ask', 'auto'] as const
const DURABILITIES = ['available', 'strict'] as const

interface Settings {
  readonly mode?: (typeof MODES)[number]
  readonly durability?: (typeof DURABILITIES)[number]
}

export const failover = (cli: Cli): Command =>
  new Command('failover')
    .summary('how agents pass to another machine when theirs dies')
    .description('How agents fail over, and where this machine stands to each: who may act, and why not.')
    .addHelpText('after', example('sealmesh failover status'))
    .addCommand(status(cli))
    .addCommand(set(cli))

const status = (cli: Cli): Command =>
  new Command('status')
    .summary('who may act for which agent, and why not')
    .description('Where this machine stands to each agent, or to one.')
    .argument('[agent]', 'this agent alone')
    .addHelpText('after', example('sealmesh failover status claude'))
    .action(
      withDoor(cli, async ({ door, output }, agent: string | undefined) => {
        const now = await door.call('failover.status', agent === undefined ? {} : { agent })
        output.data(now)
        const { witness } = now
        if (witness === null) output.hint('no relay keeps leases: agents are taken over by hand')
        else if (!witness.inUse)
          output.say('the relay in use is not the one that keeps leases: leased agents do not act')
        else output.hint(`leases at the relay in use, profile ${witness.profile}`)
        if (now.released) output.say('this machine has let go of its leases: sealmesh release --undo claims them again')
        output.table(
          [
            { title: 'AGENT' },
            { title: 'MODE' },
            { title: 'DURABILITY' },
            { title: 'HOLDER' },
            { title: 'TERM', align: 'right' },
            { title: 'HERE' },
            { title: 'WHY NOT' },
          ],
          now.agents.map((each) => [
            each.agent,
            each.mode,
            each.durability,
            each.holder ?? '-',
            String(each.term),
            each.state,
            `${each.why ?? ''}${each.waitsFor.length === 0 ? '' : ` (waits for ${each.waitsFor.join(', ')})`}`,
          ]),
        )
      }),
    )

const set = (cli: Cli): Command =>
  new Command('set')
    .summary('choose how an agent fails over')
    .description(
      'manual: a person takes it over. ask: a standby proposes, and a person confirms. auto: a standby takes over by itself; needs a witness. strict: a write is acknowledged only once a standby has it.',
    )
    .argument('<agent>', 'the agent')
    .addOption(new Option('--mode <mode>', 'who decides').choices(MODES))
    .addOption(
      new Option('--durability <durability>', 'whether acknowledgements wait for a standby').choices(DURABILITIES),
    )
    .addHelpText('after', example('sealmesh failover set claude --mode auto'))
    .action(
      withDoor(cli, async ({ door, output }, agent: string, settings: Settings) => {
        const now = await door.call('failover.set', { agent, ...settings })
        output.data(now)
        output.print(`${oneLine(now.agent)}: ${now.mode}, ${now.durability}`)
      }),
    )
