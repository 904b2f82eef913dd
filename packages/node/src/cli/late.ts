import { Failure } from '@sealmesh/protocol/errors'
import { isName } from '@sealmesh/protocol/ids'
import type { MethodResult } from '@sealmesh/protocol/ipc/methods'
import { LATE_BLOCKS_MAX } from '@sealmesh/protocol/limits'
import { Command } from 'commander'
import { example } from './example.ts'
import { plain } from './get.ts'
import type { Output } from './output.ts'
import { oneLine } from './printable.ts'
import { type Cli, withDoor } from './session.ts'
import { moment } from './when.ts'

type Aside = MethodResult<'late.ls'>['aside'][number]

const BLOCK_SHOWN = 12 // Characters of a hash: enough to name one block of thousands.
const VALUE_CHARACTERS_MAX = 72

export const late = (cli: Cli): Command =>
  new Command('late')
    .summary('writes that came after a takeover, kept apart')
    .description(
      "What a machine wrote under a term that has ended is kept apart: it wins nothing, and nothing of it is lost. So is what was read here before others' history took its place, and which they have deleted or left out.",
    )
    .addHelpText('after', example('sealmesh late ls'))
    .addCommand(list(cli))
    .addCommand(merge(cli))
    .addCommand(drop(cli))

const list = (cli: Cli): Command =>
  new Command('ls')
    .summary('list what is kept apart, and why')
    .description('Lists blocks that are kept apart, with what each would write.')
    .argument('[agent]', 'of this agent only')
    .addHelpText('after', example('sealmesh late ls claude'))
    .action(
      withDoor(cli, async ({ door, output, command }, agent: string | undefined) => {
        const listing = await door.call('late.ls', agent === undefined ? {} : { agent })
        output.data(listing)
        if (listing.aside.length === 0) return output.hint('Nothing is kept apart.')
        for (const block of listing.aside) show(output, block)
        output.hint(
          `Next: ${command('late merge BLOCK')} writes one of them again, under the present term; ${command('late drop BLOCK')} forgets it`,
        )
      }),
    )

const merge = (cli: Cli): Command =>
  new Command('merge')
    .summary('write a late block again, under the present term')
    .description("Writes what a late block would have written again, as this node's own.")
    .argument('<block>', 'the block that `late ls` prints, or its beginning')
    .addHelpText('after', example('sealmesh late merge 3fa2b1c90d11'))
    .action(
      withDoor(cli, async ({ door, output, command, subject }, beginning: string) => {
        const { aside } = await door.call('late.ls', {})
        const chosen = chosenFrom(aside, beginning, command('late ls'))
        subject.agent = isName(chosen.agent) ? chosen.agent : undefined
        const merged = await door.call('late.merge', { block: chosen.block })
        output.data(merged)
        output.print(...merged.written.map((umr) => oneLine(umr)))
        output.hint(merged.written.length === 0 ? 'everything reads so already' : `written again as this node's own`)
      }),
    )

const drop = (cli: Cli): Command =>
  new Command('drop')
    .summary('forget what is kept apart, without writing it')
    .description(
      'Nothing that is named is offered again on this machine. What others have deleted or left out (LEFT_OUT) is gone then.',
    )
    .argument('[blocks...]', 'blocks that `late ls` prints, or their beginnings')
    .option('--left-out', 'everything that others have deleted or left out (LEFT_OUT)')
    .addHelpText('after', example('sealmesh late drop 3fa2b1c90d11'))
    .action(
      withDoor(cli, async ({ door, output, command }, beginnings: string[], options: { leftOut?: true }) => {
        if (beginnings.length === 0 && options.leftOut !== true)
          throw new Failure('USAGE', 'Say which: a block, or --left-out.', { next: command('late ls') })
        const { aside } = await door.call('late.ls', {})
        const named = beginnings.map((beginning) => chosenFrom(aside, beginning, command('late ls')).block)
        const all = options.leftOut === true ? aside.filter(({ reason }) => reason === 'LEFT_OUT') : []
        const blocks = [...new Set([...named, ...all.map(({ block }) => block)])]
        const dropped: string[] = []
        for (let at = 0; at < blocks.length; at += LATE_BLOCKS_MAX)
          dropped.push(...(await door.call('late.drop', { blocks: blocks.slice(at, at + LATE_BLOCKS_MAX) })).dropped)
        output.data({ dropped })
        output.print(...dropped.map((block) => block.slice(0, BLOCK_SHOWN)))
        output.hint(dropped.length === 0 ? 'Nothing is kept apart so.' : 'not offered again on this machine')
      }),
    )

function chosenFrom(aside: readonly Aside[], beginning: string, next: string): Aside {
  const matching = aside.filter(({ block }) => beginning !== '' && block.startsWith(beginning.toLowerCase()))
  const [chosen] = matching
  if (chosen !== undefined && matching.length === 1) return chosen
  const message = chosen === undefined ? 'Nothing that is kept apart begins so.' : 'More than one block begins so.'
  throw new Failure('BLOCK_NOT_FOUND', message, { next })
}

function show(output: Output, block: Aside): void {
  const term = block.term === null ? '' : `, term ${block.term}`
  const head = `${block.block.slice(0, BLOCK_SHOWN)}  ${block.reason}  by ${block.nodeName} at ${moment(block.at)}${term}`
  output.print(output.styled('bold', oneLine(head)))
  for (const write of block.writes) {
    const value =
      write.value === null
        ? ''
        : ` ${oneLine(write.type === 'set' ? plain(write.value) : write.value, VALUE_CHARACTERS_MAX)}`
    output.print(`  ${write.type.padEnd(6)} ${oneLine(write.umr)}${value}`)
  }
}
