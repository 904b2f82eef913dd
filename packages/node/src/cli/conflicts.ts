import { Failure } from '@sealmesh/protocol/errors'
import { Command } from 'commander'
import { example } from './example.ts'
import { plain } from './get.ts'
import { oneLine } from './printable.ts'
import { type Cli, withDoor } from './session.ts'
import { checkUmr } from './umr.ts'
import { moment } from './when.ts'

const WRITE_SHOWN = 12 // Characters of a hash: enough to name one of at most sixteen.
const VALUE_CHARACTERS_MAX = 72

export const conflicts = (cli: Cli): Command =>
  new Command('conflicts')
    .summary('values that were written at the same time, and choosing one')
    .description(
      'Two machines wrote the same register without knowing of each other: both values are kept until you choose.',
    )
    .addHelpText('after', example('sealmesh conflicts show claude.semantic.deploy-day'))
    .addCommand(list(cli))
    .addCommand(show(cli))
    .addCommand(keep(cli))

const list = (cli: Cli): Command =>
  new Command('ls')
    .summary('list registers with more than one value')
    .description('Lists registers that hold more than one value.')
    .argument('[agent]', 'of this agent only')
    .addHelpText('after', example('sealmesh conflicts ls'))
    .action(
      withDoor(cli, async ({ door, output, command }, agent: string | undefined) => {
        const listing = await door.call('conflicts.ls', agent === undefined ? {} : { agent })
        output.data(listing)
        if (listing.conflicts.length === 0) return output.hint('No conflicts.')
        output.table(
          [{ title: 'UMR' }, { title: 'VALUES', align: 'right' }],
          listing.conflicts.map((conflict) => [conflict.umr, String(conflict.siblings)]),
        )
        output.hint(`Next: ${command('conflicts show UMR')}`)
      }),
    )

const show = (cli: Cli): Command =>
  new Command('show')
    .summary('show all values of a register, and who wrote each')
    .description('Shows all values that a register holds, who wrote each and when. The first is what `get` prints.')
    .argument('<umr>', 'agent.layer.id')
    .addHelpText('after', example('sealmesh conflicts show claude.semantic.deploy-day'))
    .action(
      withDoor(cli, async ({ door, output, command }, umr: string) => {
        checkUmr(umr)
        const found = await door.call('conflicts.show', { umr })
        output.data(found)
        output.table(
          [{ title: 'WRITE' }, { title: 'BY' }, { title: 'AT' }, { title: '' }, { title: 'VALUE' }],
          found.siblings.map(({ origin, value, winner }) => [
            origin.write.slice(0, WRITE_SHOWN),
            origin.nodeName,
            moment(origin.at),
            winner ? 'shown' : '',
            value === null ? '(deleted)' : oneLine(plain(value), VALUE_CHARACTERS_MAX),
          ]),
        )
        if (found.siblings.length > 1) output.hint(`Next: ${command(`conflicts keep ${found.umr} WRITE`)}`)
      }),
    )

const keep = (cli: Cli): Command =>
  new Command('keep')
    .summary('keep one value and replace the others')
    .description('Keeps one of the values and replaces all the others, everywhere.')
    .argument('<umr>', 'agent.layer.id')
    .argument('<write>', 'the WRITE that `conflicts show` prints, or its beginning')
    .addHelpText('after', example('sealmesh conflicts keep claude.semantic.deploy-day 3fa2b1c90d11'))
    .action(
      withDoor(cli, async ({ door, output, command }, umr: string, beginning: string) => {
        checkUmr(umr)
        const { siblings } = await door.call('conflicts.show', { umr })
        const matching = siblings.filter(({ origin }) => origin.write.startsWith(beginning.toLowerCase()))
        const [chosen] = matching
        if (chosen === undefined || matching.length > 1)
          throw new Failure(
            'CONFLICT_NOT_FOUND',
            chosen === undefined
              ? 'None of its values has a write that begins so.'
              : 'More than one of its values has a write that begins so.',
            { next: command(`conflicts show ${umr}`) },
          )
        const written = await door.call('conflicts.keep', { umr, write: chosen.origin.write })
        output.data(written)
        output.hint(`kept what ${oneLine(chosen.origin.nodeName)} wrote`)
      }),
    )
