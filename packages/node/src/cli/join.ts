import { Failure } from '@sealmesh/protocol/errors'
import { Command } from 'commander'
import { example } from './example.ts'
import { readInput } from './input.ts'
import { keysPassphrase } from './passphrase.ts'
import { oneLine } from './printable.ts'
import { canAsk } from './terminal.ts'
import { type Cli, withHome } from './session.ts'

interface Options {
  readonly relay?: string
  readonly name?: string
  readonly logLevel?: string
  readonly passphraseFile?: string
}

export const join = (cli: Cli): Command =>
  new Command('join')
    .summary('join a mesh by the link or the code that `pair` printed')
    .description('Brings a new home into a mesh. Shows four words: the other machine must show the same.')
    .argument('<link>', 'the link or the code, or - to read it from standard input, out of sight of other users')
    .option('--relay <address>', 'with a code: the address that sealmesh-relay up printed')
    .option('--name <name>', "this node's name in the mesh (default: the machine's)")
    .option(
      '--passphrase-file <file>',
      'read the passphrase of the keys from there, where an earlier try left some that have one; - is standard input',
    )
    .option('--log-level <level>', 'debug, info, warn or error')
    .addHelpText('after', example('sealmesh join - --name office', 'then paste the link, Enter and Ctrl-D'))
    .action(
      withHome(cli, async (session, given: string, options: Options) => {
        const { home, output, terminal, command, signal } = session
        if (given === '-' && options.passphraseFile === '-')
          throw new Failure('USAGE', 'The link and the passphrase cannot both come from standard input.', {
            next: 'put the passphrase into a file',
          })
        // Before the link: after Ctrl-D nothing more can be asked.
        const passphrase = await keysPassphrase(session, options.passphraseFile)
        if (given === '-' && terminal.stdin.isTTY === true) output.hint('Paste the link, then Enter and Ctrl-D:')
        const text = (given === '-' ? await readInput(terminal) : given).trim()
        const { givenFrom } = await import('../setup/given.ts')
        const invitation = givenFrom(text, options.relay, canAsk(terminal))
        const { joinMesh } = await import('../setup/join.ts')
        const joining = joinMesh({
          home: home.path,
          given: invitation,
          ...(options.name === undefined ? {} : { name: options.name }),
          ...(passphrase === undefined ? {} : { passphrase }),
          ...(options.logLevel === undefined ? {} : { logLevel: options.logLevel }),
          onWords: (words) => {
            output.data({ event: 'words', words })
            output.say('Compare with the other machine, and confirm there only if it shows the same words:')
            output.say(`  ${output.styledTalk('bold', words.map((word) => oneLine(word)).join(' '))}`)
          },
          onProgress: (text) => {
            output.data({ event: 'progress', text })
            output.say(text)
          },
        })
        const joined = await Promise.race([joining, untilAborted(signal)])
        output.data({ event: 'joined', ...joined })
        output.print(`joined the mesh ${oneLine(joined.meshName)}`)
        if (joined.agents.length > 0)
          output.hint(`agents there: ${joined.agents.map((agent) => oneLine(agent)).join(', ')}`)
        output.hint(
          'Nothing is shared with this node until somebody there says so: sealmesh share set, on that machine.',
        )
        output.say(`Next: ${command('up')}`)
      }),
    )

/** Ctrl-C while the other machine is being asked: a home that was cut off half-way can be joined again. */
const untilAborted = (signal: AbortSignal): Promise<never> =>
  new Promise((_, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason), { once: true })
  })
