import type { AgentView } from '@sealmesh/protocol/messages/profile'
import { Command } from 'commander'
import { show, watch } from './agents-here.ts'
import { token, tokens } from './agents-token.ts'
import { example } from './example.ts'
import { oneLine } from './printable.ts'
import { type Cli, withDoor } from './session.ts'

export const agents = (cli: Cli): Command =>
  new Command('agents')
    .summary('the agents of the mesh and the machines that may carry them')
    .description('Agents: who there is, who holds each, and which nodes may carry it.')
    .addHelpText('after', example('sealmesh agents add claude --standby office'))
    .addCommand(add(cli))
    .addCommand(list(cli))
    .addCommand(show(cli))
    .addCommand(watch(cli))
    .addCommand(token(cli))
    .addCommand(tokens(cli))

const add = (cli: Cli): Command =>
  new Command('add')
    .summary('create an agent, or name more nodes that may carry it')
    .description(
      'Creates an agent that this node holds, or names standbys for one that is there: nodes that may take it over.',
    )
    .argument('<name>', 'lower-case letters, digits, - and _')
    .option('--standby <node...>', 'nodes that may take it over, in order')
    .addHelpText('after', example('sealmesh agents add claude --standby office'))
    .action(
      withDoor(cli, async ({ door, output, command }, name: string, options: { standby?: string[] }) => {
        const agent = await door.call('agents.add', { name, standby: options.standby ?? [] })
        output.data(agent)
        output.print(oneLine(`${agent.name}: on ${agent.hosts.join(', ')}`))
        if (agent.hosts.length > 1)
          output.hint(`Its standbys get what you share: ${command(`share set ${agent.name} LAYER=standby`)}`)
      }),
    )

const list = (cli: Cli): Command =>
  new Command('ls')
    .summary('list the agents of the mesh')
    .description(
      'Lists the agents of the mesh, who holds each, which nodes may carry it, and on which machine a program is it now.',
    )
    .addHelpText('after', example('sealmesh agents ls'))
    .action(
      withDoor(cli, async ({ door, output, command }) => {
        const listing = await door.call('agents.ls', {})
        const { agents: here } = await door.call('agents.here', {})
        const { agents: attached } = await door.call('agents.attached', {})
        output.data({ ...listing, here, attached })
        if (listing.agents.length === 0) return output.hint(`No agent yet. Next: ${command('agents add NAME')}`)
        output.table(
          [
            { title: 'AGENT' },
            { title: 'HELD BY' },
            { title: 'TERM', align: 'right' },
            { title: 'NODES' },
            { title: 'LAYERS' },
            { title: 'MACHINE' },
            { title: 'STATE' },
            { title: 'ROLE' },
            { title: 'LOAD', align: 'right' },
          ],
          listing.agents.flatMap((agent) => {
            const views = attached.filter(({ name }) => name === agent.name)
            // One that is attached on two machines has two lines.
            return (views.length > 0 ? views : [undefined]).map((view) => [
              agent.name,
              agent.holdsHere ? 'this node' : (agent.holder ?? 'nobody'),
              String(agent.term),
              agent.hosts.join(', '),
              agent.layers.map((layer) => layer.layer).join(', ') || '-',
              ...attachedCells(view),
            ])
          }),
        )
        if (listing.agents.some(({ holdsHere }) => !holdsHere) && attached.every(({ here: isHere }) => isHere))
          output.hint(
            `Who is attached to another machine it tells once it is asked to: ${command('config set messages.roster mesh')} there`,
          )
      }),
    )

const attachedCells = (view: AgentView | undefined): [string, string, string, string] =>
  view === undefined
    ? ['-', '-', '-', '-']
    : [
        view.here ? 'this node' : oneLine(view.nodeName),
        view.state === 'attached' ? view.status : view.state,
        oneLine(view.role) || '-',
        `${view.load}/${view.capacity}`,
      ]
