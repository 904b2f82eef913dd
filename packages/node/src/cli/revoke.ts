import { Command } from 'commander'
import { confirmPeer } from './confirm-peer.ts'
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
        const asked = {
          verb: 'revoke',
          what: 'A removal',
          question: (name: string, state: string) => `Remove ${name} (${state}) for good?`,
        }
        if (options.yes !== true && !(await confirmPeer(session, node, asked))) return
        const removed = await door.call('revoke', { node, reason: options.reason ?? '' })
        output.data(removed)
        output.print(`${oneLine(removed.node)} is removed`)
      }),
    )
