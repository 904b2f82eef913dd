import { Failure } from '@sealmesh/protocol/errors'
import { Command } from 'commander'
import { example } from './example.ts'
import { oneLine } from './printable.ts'
import { progressBar } from './progress-bar.ts'
import { type Cli, withDoor } from './session.ts'
import { count } from './status.ts'
import { atHome } from './step.ts'
import { timeoutOption } from './timeout-option.ts'

interface Options {
  readonly synced?: boolean
  readonly replicated?: boolean
  readonly relayed?: boolean
  readonly timeout: number
  readonly peer?: string
}

const TIMEOUT_MS = 60_000

export const wait = (cli: Cli): Command =>
  new Command('wait')
    .summary('wait until other machines have what is here')
    .description(
      '--replicated: until every standby in step has confirmed, durably, all that is here now (every reader, while the agent has no sync set). --relayed: until the relay has it for these. --synced: until every reader has it, is there, and has named nothing that is missing here. Exit code 10: the time was over.',
    )
    .argument('[umr-or-agent]', 'of this agent, or of the layer of this item; everything without it')
    .option('--synced', 'both ways (the default)')
    .option('--relayed', 'from here to the relay, for them')
    .option('--replicated', 'from here to them')
    .option('--peer <peer>', 'wait for this machine alone')
    .addOption(timeoutOption('--timeout <time>', 'give up after so long: seconds, or 500ms, 90s, 10m, 2h', TIMEOUT_MS))
    .addHelpText('after', example('sealmesh wait --replicated --timeout 30s claude'))
    .action(
      withDoor(cli, async (session, target: string | undefined, options: Options) => {
        const { door, output } = session
        const [until = 'synced', ...more] = (['synced', 'relayed', 'replicated'] as const).filter(
          (each) => options[each] === true,
        )
        if (more.length > 0)
          throw new Failure('USAGE', 'Say one of --synced, --relayed and --replicated.', {
            next: session.command('wait --help'),
          })
        // Of how much there was at most: more may be written meanwhile.
        let most = 0
        door.on('wait.progress', (now) => {
          most = Math.max(most, now.blocks)
          output.progress(
            `${progressBar(most - now.blocks, most)}  waiting for ${oneLine(now.machines.join(', '), 40)}: ${count(now.blocks, 'block')} in ${count(now.documents, 'document')}, ${Math.round(now.waitedMs / 1_000)} s`,
          )
        })
        const outcome = await door.call('wait', {
          until,
          timeoutMs: options.timeout,
          ...(target === undefined ? {} : { target }),
          ...(options.peer === undefined ? {} : { peer: options.peer }),
        })
        output.data(outcome)
        for (const { agent, layer } of target === undefined ? [] : outcome.unshared)
          output.hint(
            `${oneLine(`${agent}.${layer}`)} is not shared with a machine that counts, so nobody waited for it`,
          )
        const alone = outcome.alone.map(
          ({ agent, layer, left }) =>
            `only this machine has ${oneLine(`${agent}.${layer}`)}: ${left.map((name) => oneLine(name)).join(', ')} left the sync set.`,
        )
        if (outcome.done && alone.length > 0)
          throw new Failure('WAIT_TIMEOUT', `It is not ${until}.\n${alone.join('\n')}`, {
            next: session.command('status'),
          })
        if (outcome.done) {
          const at = outcome.readers.map((name) => oneLine(name)).join(', ')
          return output.hint(`${until}: ${count(outcome.documents, 'document')}, ${at}`)
        }
        const [first] = outcome.behind
        throw new Failure(
          'WAIT_TIMEOUT',
          `After ${Math.round(outcome.waitedMs / 1_000)} s it is not ${until}.${first === undefined ? '' : `\n${oneLine(`${first.agent}.${first.layer}`)}: ${oneLine(first.text)}.`}`,
          {
            next:
              first?.next == null
                ? session.command(`why ${target ?? first?.agent ?? 'AGENT'}`)
                : atHome(session, first.next),
          },
        )
      }),
    )
