import { Failure } from '@sealmesh/protocol/errors'
import { Command } from 'commander'
import { shellWord } from '../keys/modes.ts'
import { ask, requirePerson } from './ask.ts'
import { example } from './example.ts'
import { oneLine } from './printable.ts'
import { type Cli, withDoor } from './session.ts'

interface Options {
  readonly yes?: boolean
  readonly reason?: string
}

export const revoke = (cli: Cli): Command =>
  new Command('revoke')
    .summary('remove a machine from the mesh for good')
    .description(
      'Removes a node: it is sent nothing more, and what it writes from now on counts nowhere. What it has, it keeps.',
    )
    .argument('<node>', "the node's name or id")
    .option('--yes', 'do not ask')
    .option('--reason <text>', 'for the record, which every node of the mesh keeps')
    .addHelpText('after', example('sealmesh revoke old-laptop --reason sold'))
    .action(
      withDoor(cli, async (session, node: string, options: Options) => {
        const { door, output } = session
        if (options.yes !== true) {
          const { peers } = await door.call('status', {})
          const peer = peers.find((each) => each.name === node || each.node === node)
          if (peer === undefined)
            throw new Failure('NODE_UNKNOWN', 'No other node of this mesh is called so.', {
              next: session.command('status'),
            })
          requirePerson(session, 'A removal', `revoke ${shellWord(node)} --yes`)
          const question = `Remove ${oneLine(peer.name)} (${oneLine(peer.state)}) for good?`
          if (!(await ask(session, question))) return output.say('nothing was changed')
        }
        const removed = await door.call('revoke', { node, reason: options.reason ?? '' })
        output.data(removed)
        output.print(`${oneLine(removed.node)} is removed`)
      }),
    )
