import { Failure } from '@sealmesh/protocol/errors'
import type { MethodResult } from '@sealmesh/protocol/ipc/methods'
import { Command } from 'commander'
import { example } from './example.ts'
import type { Output } from './output.ts'
import { oneLine } from './printable.ts'
import { type Cli, withDoor } from './session.ts'
import { count } from './status.ts'

const TO = 'standby, a node, an agent, each with :write if it may write too, or none to stop'

export const share = (cli: Cli): Command =>
  new Command('share')
    .summary('what leaves this machine, and to whom')
    .description('Nothing leaves this machine until you say so here, layer by layer.')
    .addHelpText('after', example('sealmesh share set claude semantic standby'))
    .addCommand(setShare(cli))
    .addCommand(list(cli))
    .addCommand(preview(cli))

const setShare = (cli: Cli): Command =>
  new Command('set')
    .summary('share a layer, or stop sharing it')
    .description('Lets somebody read a layer of an agent, or ends that. What was sent cannot be taken back.')
    .argument('<agent>', 'the agent, or AGENT.LAYER')
    .argument('<layer>', 'the layer, or LAYER=TO (left out after AGENT.LAYER)')
    .argument('[to]', TO)
    .addHelpText(
      'after',
      example('sealmesh share set claude semantic standby', 'sealmesh share set claude.semantic none   ends it'),
    )
    .action(
      withDoor(cli, async ({ door, output, command }, ...words: [string, string, string | undefined, object]) => {
        const result = await door.call('share.set', targetOf(words, command('share set AGENT LAYER TO')))
        output.data(result)
        showGrants(output, result.grants)
        if (result.note !== null) output.hint(oneLine(result.note))
      }),
    )

const preview = (cli: Cli): Command =>
  new Command('preview')
    .summary('show what sharing a layer would send')
    .description('Shows which nodes would newly get a layer, and what is in it. Sends nothing.')
    .argument('<agent>', 'the agent, or AGENT.LAYER')
    .argument('<layer>', 'the layer, or LAYER=TO (left out after AGENT.LAYER)')
    .argument('[to]', TO)
    .addHelpText('after', example('sealmesh share preview claude semantic office'))
    .action(
      withDoor(cli, async ({ door, output, command }, ...words: [string, string, string | undefined, object]) => {
        const seen = await door.call('share.preview', targetOf(words, command('share preview AGENT LAYER TO')))
        output.data(seen)
        const nodes = seen.nodes.map((node) => oneLine(node)).join(', ')
        if (nodes === '') return output.print('sends nothing new')
        output.print(`to      ${nodes}`)
        output.print(`sends   ${count(seen.registers, 'register')}, ${count(seen.texts, 'text')}, ${seen.bytes} bytes`)
        output.print(...seen.umrs.map((umr) => `  ${oneLine(umr)}`))
        const more = seen.registers + seen.texts - seen.umrs.length
        if (more > 0) output.print(`  and ${more} more`)
      }),
    )

const list = (cli: Cli): Command =>
  new Command('ls')
    .summary('list what is shared')
    .description('Lists who may read and write which layers.')
    .argument('[agent]', 'of this agent only')
    .addHelpText('after', example('sealmesh share ls claude'))
    .action(
      withDoor(cli, async ({ door, output }, agent: string | undefined) => {
        const listing = await door.call('share.ls', agent === undefined ? {} : { agent })
        output.data(listing)
        showGrants(output, listing.grants)
      }),
    )

/** `claude semantic=office`, `claude semantic office` and `claude.semantic office` say the same. */
function targetOf(
  [first, second, third]: [string, string, string | undefined, object],
  next: string,
): { agent: string; layer: string; to: string } {
  const assigned = second.indexOf('=')
  if (assigned > 0 && third === undefined)
    return { agent: first, layer: second.slice(0, assigned), to: second.slice(assigned + 1) }
  const [agent = '', layer, ...more] = first.split('.')
  if (layer === undefined && third !== undefined) return { agent, layer: second, to: third }
  if (layer !== undefined && third === undefined && more.length === 0) return { agent, layer, to: second }
  throw new Failure('USAGE', 'Say which agent, which layer and with whom.', { next })
}

function showGrants(output: Output, grants: MethodResult<'share.ls'>['grants']): void {
  if (grants.length === 0) return output.hint('Nothing is shared: nothing leaves this machine.')
  output.table(
    [{ title: 'AGENT' }, { title: 'LAYER' }, { title: 'TO' }, { title: 'ACCESS' }],
    grants.map((grant) => [grant.agent, grant.layer, grant.to, grant.access]),
  )
}
