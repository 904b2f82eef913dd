import { resolve } from 'node:path'
import { Command, Option } from 'commander'
import { example } from './example.ts'
import { passphraseFor } from './passphrase.ts'
import { oneLine } from './printable.ts'
import { type Cli, withHome } from './session.ts'
import { count } from './status.ts'
import { moment } from './when.ts'

interface Options {
  readonly name?: string
  readonly claim?: string
  readonly from?: readonly string[]
  readonly passphraseFile?: string
  readonly logLevel?: string
}

export const recover = (cli: Cli): Command =>
  new Command('recover')
    .summary('bring a mesh back with its recovery kit')
    .description(
      'Makes a new home an admin of the mesh when the machine that governed it is lost. The kit brings the keys, the relay the list of machines and what they left in its vault.',
    )
    .argument('<kit>', 'the file that `up` or `key backup` wrote')
    .option('--name <name>', "this node's name in the mesh (default: the machine's)")
    .option('--passphrase-file <file>', 'read the passphrase from there; - is standard input')
    .addOption(new Option('--claim <code>', 'for a relay that has forgotten the mesh').env('SEALMESH_CLAIM'))
    .option('--from <machine...>', 'take snapshots of these machines only (default: of all that left one at the relay)')
    .option('--log-level <level>', 'debug, info, warn or error')
    .addHelpText('after', example('sealmesh recover /media/stick/sealmesh-kit.age --name desk'))
    .action(
      withHome(cli, async (session, file: string, options: Options) => {
        const { output, home, command } = session
        const passphrase = await passphraseFor(session, options.passphraseFile, 'known')
        const { recoverMesh } = await import('../setup/recover.ts')
        const recovered = await recoverMesh({
          home: home.path,
          kit: resolve(file),
          passphrase,
          ...(options.name === undefined ? {} : { name: options.name }),
          ...(options.claim === undefined ? {} : { claim: options.claim }),
          ...(options.from === undefined ? {} : { from: options.from }),
          ...(options.logLevel === undefined ? {} : { logLevel: options.logLevel }),
          onProgress: (text) => {
            output.data({ event: 'progress', text })
            output.progress(text)
          },
        })
        output.data({ event: 'recovered', ...recovered })
        output.print(`${oneLine(recovered.name)} is an admin of the mesh ${oneLine(recovered.meshName)}`)
        const names = recovered.members.map((each) => oneLine(each.name)).join(', ')
        if (names !== '') output.hint(`other machines: ${names}`)
        const [agent] = recovered.agents
        for (const { name, at, documents, unplaced, refused, code } of recovered.vaults)
          if (at === null) output.say(`nothing of ${oneLine(name)}: its snapshots cannot be used (${code})`)
          else
            output.print(
              `${count(documents, 'document')} of ${oneLine(name)} as of ${moment(at)}${unplaced === 0 ? '' : `, without ${count(unplaced, 'block')} that follow what no snapshot has`}${refused === 0 ? '' : `, without ${count(refused, 'block')} of who had no right to write there`}`,
            )
        output.say(`Next: ${command('up')}`)
        if (agent !== undefined)
          output.hint(`To act as an agent of the lost machine: ${command(`takeover ${oneLine(agent)}`)}`)
        output.hint(`Once all is in step, remove the machine that is lost: ${command('device revoke NAME')}`)
      }),
    )
