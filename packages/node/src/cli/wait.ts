import { Failure } from '@sealmesh/protocol/errors'
import { Command, InvalidArgumentError } from 'commander'
import { parseDuration } from '../history/moment.ts'
import { example } from './example.ts'
import { oneLine } from './printable.ts'
import { progressBar } from './progress-bar.ts'
import { type Cli, withDoor } from './session.ts'
import { count } from './status.ts'
import { atHome } from './step.ts'

interface Options {
  readonly synced?: boolean
  readonly replicated?: boolean
  readonly timeout: number
  readonly peer?: string
}

const TIMEOUT_MS = 60_000

export const wait = (cli: Cli): Command =>
  new Command('wait')
    .summary('wait until other machines have what is here')
    .description(
      '--replicated: until every other machine that may read has confirmed, durably, all that is here now. --synced: until, besides, those machines are there and everything that they have named is here. Exit code 10: the time was over.',
    )
    .argument('[umr-or-agent]', 'of this agent, or of the layer of this item; everything without it')
    .option('--synced', 'both ways (the default)')
    .option('--replicated', 'from here to them')
    .option('--peer <peer>', 'wait for this machine alone')
    .option('--timeout <time>', 'give up after so long: seconds, or 500ms, 90s, 10m, 2h', parseTimeout, TIMEOUT_MS)
    .addHelpText('after', example('sealmesh wait --replicated --timeout 30s claude'))
    .action(
      withDoor(cli, async (session, target: string | undefined, options: Options) => {
        const { door, output } = session
        if (options.synced === true && options.replicated === true)
          throw new Failure('USAGE', 'Say --synced or --replicated, not both.', {
            next: session.command('wait --help'),
          })
        const until = options.replicated === true ? 'replicated' : 'synced'
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
          output.hint(`${oneLine(`${agent}.${layer}`)} is not shared, so nobody waited for it`)
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

/** Seconds without a unit, as every other tool's `--timeout`. */
function parseTimeout(text: string): number {
  const ms = /^\d{1,6}(\.\d+)?$/.test(text)
    ? Number(text) * 1_000
    : /^\d{1,8}ms$/.test(text)
      ? Number(text.slice(0, -2))
      : parseDuration(text)
  if (ms === undefined || ms > 86_400_000)
    throw new InvalidArgumentError('It is a time of up to a day: 30, 90s, 10m, 2h.')
  return Math.round(ms)
}
