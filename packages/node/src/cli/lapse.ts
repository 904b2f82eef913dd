import { Failure } from '@sealmesh/protocol/errors'
import { Command } from 'commander'
import { shellWord } from '../keys/modes.ts'
import { ask, requirePerson } from './ask.ts'
import { example } from './example.ts'
import { oneLine } from './printable.ts'
import { type Cli, withDoor } from './session.ts'

export const lapse = (cli: Cli): Command =>
  new Command('lapse')
    .summary('stop waiting for a machine that has been silent for long')
    .description(
      'Nobody keeps old history for the node any more. It stays a member; what it wrote in its silence and sent to nobody is kept apart and listed when it returns. Documents that were compacted in the meantime it may have to wait for, or join anew.',
    )
    .argument('<node>', "the node's name or id")
    .option('--yes', 'do not ask')
    .addHelpText('after', example('sealmesh lapse old-laptop'))
    .action(
      withDoor(cli, async (session, node: string, options: { readonly yes?: boolean }) => {
        const { door, output } = session
        if (options.yes !== true) {
          const { peers } = await door.call('status', {})
          const peer = peers.find((each) => each.name === node || each.node === node)
          if (peer === undefined)
            throw new Failure('NODE_UNKNOWN', 'No other node of this mesh is called so.', {
              next: session.command('status'),
            })
          requirePerson(session, 'This', `lapse ${shellWord(node)} --yes`)
          const question = `Stop waiting for ${oneLine(peer.name)} (${oneLine(peer.state)})?`
          if (!(await ask(session, question))) return output.say('nothing was changed')
        }
        const lapsed = await door.call('lapse', { node })
        output.data(lapsed)
        output.print(`${oneLine(lapsed.node)} has lapsed: it is waited for again when it returns`)
      }),
    )
