import { Failure } from '@sealmesh/protocol/errors'
import type { AgentView } from '@sealmesh/protocol/messages/profile'
import { Command } from 'commander'
import { example } from './example.ts'
import { oneLine } from './printable.ts'
import { type Cli, withDoor } from './session.ts'

/** `agents show` and `agents watch`: the programs that are agents now, here and on other machines. */

export const show = (cli: Cli): Command =>
  new Command('show')
    .summary('one agent: its profile, its program, its machines')
    .description('Shows one agent: who holds it, and what the programs say that are attached as it, on any machine.')
    .argument('<name>', 'an agent of the mesh')
    .addHelpText('after', example('sealmesh agents show claude'))
    .action(
      withDoor(cli, async ({ door, output }, name: string) => {
        const agent = (await door.call('agents.ls', {})).agents.find((each) => each.name === name)
        const here = (await door.call('agents.here', {})).agents.find((each) => each.name === name)
        if (agent === undefined) throw new Failure('AGENT_UNKNOWN', 'No agent of this mesh has that name.')
        const { agents: attached } = await door.call('agents.attached', {})
        const elsewhere = attached.filter((each) => each.name === name && !each.here)
        output.data({ ...agent, here: here ?? null, elsewhere })
        output.print(
          oneLine(`${agent.name}: held by ${agent.holdsHere ? 'this node' : (agent.holder ?? 'nobody')}`),
          ...(here === undefined ? ['no program may attach as it here: it has no token'] : linesOf(here)),
          ...elsewhere.flatMap((view) => [oneLine(`on ${view.nodeName}:`), ...linesOf(view)]),
        )
      }),
    )

function linesOf(agent: AgentView): string[] {
  const lines = [
    `${agent.state} since ${agent.since}${agent.pid === null ? '' : `, process ${agent.pid}`}`,
    `role ${agent.role || '-'}, ${agent.kind}, ${agent.status}, load ${agent.load} of ${agent.capacity}`,
    `can ${agent.capabilities.join(', ') || '-'}`,
    ...(agent.persona === '' ? [] : [agent.persona]),
    ...(agent.heardAt === null ? [] : [`last heard ${agent.heardAt}`]),
  ]
  return lines.map((line) => `  ${oneLine(line)}`)
}

export const watch = (cli: Cli): Command =>
  new Command('watch')
    .summary('print who attaches, changes and leaves')
    .description(
      'Prints which agents attach, change and leave, here and on other machines, until Ctrl-C. With --json one a line.',
    )
    .addHelpText('after', example('sealmesh agents watch --json'))
    .action(
      withDoor(cli, async ({ door, output, signal }) => {
        door.on('agent', (news) => {
          output.data(news)
          const { name, nodeName, role, status, state, load, capacity } = news.agent
          const how = state === 'unreachable' ? state : status
          output.print(oneLine(`${news.event} ${name}@${nodeName} ${role || '-'} ${how} ${load}/${capacity}`))
        })
        const { agents } = await door.call('agents.watch', {})
        output.hint(`${agents.length} attached; Ctrl-C ends it`)
        await door.closed
        if (!signal.aborted) throw new Failure('NODE_NOT_RUNNING', 'The node has ended the stream.')
      }),
    )
