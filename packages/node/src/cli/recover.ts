import { resolve } from 'node:path'
import { Command, Option } from 'commander'
import { example } from './example.ts'
import { passphraseFor } from './passphrase.ts'
import { oneLine } from './printable.ts'
import { type Cli, withHome } from './session.ts'

interface Options {
  readonly name?: string
  readonly claim?: string
  readonly passphraseFile?: string
  readonly logLevel?: string
}

export const recover = (cli: Cli): Command =>
  new Command('recover')
    .summary('bring a mesh back with its recovery kit')
    .description(
      'Makes a new home an admin of the mesh when the machine that governed it is lost. The kit brings the keys, the relay the list of machines.',
    )
    .argument('<kit>', 'the file that `up` or `key backup` wrote')
    .option('--name <name>', "this node's name in the mesh (default: the machine's)")
    .option('--passphrase-file <file>', 'read the passphrase from there; - is standard input')
    .addOption(new Option('--claim <code>', 'for a relay that has forgotten the mesh').env('SEALMESH_CLAIM'))
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
        output.say(`Next: ${command('up')}`)
        if (agent !== undefined)
          output.hint(`To act as an agent of the lost machine: ${command(`takeover ${oneLine(agent)}`)}`)
        output.hint(`Once all is in step, remove the machine that is lost: ${command('device revoke NAME')}`)
      }),
    )
