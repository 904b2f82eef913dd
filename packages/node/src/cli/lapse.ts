import { Command } from 'commander'
import { confirmPeer } from './confirm-peer.ts'
import { example } from './example.ts'
import { oneLine } from './printable.ts'
import { type Cli, withDoor } from './session.ts'

export const lapse = (cli: Cli): Command =>
  new Command('lapse')
    .summary('stop waiting for a machine that has been silent for long')
    .description(
      'Nobody keeps old history for the node any more. It stays a member and comes back by itself; what it wrote in its silence and sent to nobody is then kept apart and listed. Nobody lapses by itself.',
    )
    .argument('<node>', "the node's name or id")
    .option('--yes', 'do not ask')
    .addHelpText('after', example('sealmesh lapse old-laptop'))
    .action(
      withDoor(cli, async (session, node: string, options: { readonly yes?: boolean }) => {
        const { door, output } = session
        const asked = {
          verb: 'lapse',
          what: 'This',
          question: (name: string, state: string) => `Stop waiting for ${name} (${state})?`,
        }
        if (options.yes !== true && !(await confirmPeer(session, node, asked))) return
        const lapsed = await door.call('lapse', { node })
        output.data(lapsed)
        output.print(`${oneLine(lapsed.node)} has lapsed: it is waited for again when it returns`)
      }),
    )
