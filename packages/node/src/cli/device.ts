import { Command } from 'commander'
import { confirmPeer } from './confirm-peer.ts'
import { example } from './example.ts'
import { oneLine } from './printable.ts'
import { type Cli, withDoor } from './session.ts'
import { ago } from './when.ts'

export const device = (cli: Cli): Command =>
  new Command('device')
    .summary('the machines of the mesh: list, rename, promote, revoke')
    .description('The machines of the mesh: who there is, who governs, and who is removed.')
    .addHelpText('after', example('sealmesh device ls'))
    .addCommand(list(cli))
    .addCommand(rename(cli))
    .addCommand(promote(cli))
    .addCommand(revoke(cli))

const list = (cli: Cli): Command =>
  new Command('ls')
    .summary('list the machines of the mesh')
    .description('Lists the machines of the mesh, removed ones included.')
    .addHelpText('after', example('sealmesh device ls'))
    .action(
      withDoor(cli, async ({ door, output }) => {
        const listing = await door.call('device.ls', {})
        output.data(listing)
        const nowMs = Date.now()
        output.table(
          [{ title: 'DEVICE' }, { title: 'ROLE' }, { title: 'STATE' }, { title: 'LAST HEARD' }, { title: 'AGENTS' }],
          listing.devices.map((each) => [
            each.name,
            each.admin ? 'admin' : 'member',
            each.state === 'member' && each.prekeyExpiresAt === null ? 'no live key' : each.state,
            each.here ? 'this node' : ago(each.lastHeardAt, nowMs),
            each.hosts.join(', ') || '-',
          ]),
        )
      }),
    )

const rename = (cli: Cli): Command =>
  new Command('rename')
    .summary('give a machine another name')
    .description('Gives this machine another name, or, on an admin node, any machine of the mesh.')
    .argument('<node>', "the node's name or id")
    .argument('<name>', 'lower-case letters, digits, - and _')
    .addHelpText('after', example('sealmesh device rename office old-office'))
    .action(
      withDoor(cli, async ({ door, output }, node: string, name: string) => {
        const renamed = await door.call('device.rename', { node, name })
        output.data(renamed)
        output.print(`${oneLine(renamed.was)} is called ${oneLine(renamed.node)}`)
      }),
    )

const promote = (cli: Cli): Command =>
  new Command('promote')
    .summary('make a machine an admin of the mesh')
    .description(
      'An admin lets machines in and removes them, this one included. Done where the root key lies, the new admin goes on when the machine that promoted it is removed.',
    )
    .argument('<node>', "the node's name or id")
    .option('--yes', 'do not ask')
    .addHelpText('after', example('sealmesh device promote office'))
    .action(
      withDoor(cli, async (session, node: string, options: { readonly yes?: boolean }) => {
        const { door, output } = session
        const asked = {
          verb: 'device promote',
          what: 'This',
          question: (name: string, state: string) => `Let ${name} (${state}) govern the mesh?`,
        }
        if (options.yes !== true && !(await confirmPeer(session, node, asked))) return
        const promoted = await door.call('device.promote', { node })
        output.data(promoted)
        output.print(`${oneLine(promoted.node)} is an admin`)
      }),
    )

const revoke = (cli: Cli): Command =>
  new Command('revoke')
    .summary('remove a machine from the mesh for good')
    .description(
      'Removes a node: it is sent nothing more, and what it writes from now on counts nowhere. What it has, it keeps.',
    )
    .argument('<node>', "the node's name or id")
    .option('--yes', 'do not ask')
    .option('--reason <text>', 'for the record, which every node of the mesh keeps')
    .addHelpText('after', example('sealmesh device revoke old-laptop --reason sold'))
    .action(
      withDoor(cli, async (session, node: string, options: { readonly yes?: boolean; readonly reason?: string }) => {
        const { door, output } = session
        const asked = {
          verb: 'device revoke',
          what: 'A removal',
          question: (name: string, state: string) => `Remove ${name} (${state}) for good?`,
        }
        if (options.yes !== true && !(await confirmPeer(session, node, asked))) return
        const removed = await door.call('device.revoke', { node, reason: options.reason ?? '' })
        output.data(removed)
        output.print(`${oneLine(removed.node)} is removed`)
        if (!removed.relayTold) output.hint('The relay is told when this node reaches it.')
      }),
    )
