import { Command } from 'commander'
import { example } from './example.ts'
import { oneLine } from './printable.ts'
import { type Cli, withDoor } from './session.ts'
import { moment } from './when.ts'
import { wholeNumber } from './whole-number.ts'

export const ls = (cli: Cli): Command =>
  new Command('ls')
    .summary('list what is here')
    .description('Lists registers, texts and diary entries whose UMR begins with PREFIX.')
    .argument('[prefix]', 'the beginning of a UMR, such as claude.semantic', '')
    .option('--limit <n>', 'how many at most', wholeNumber(1, 100_000), 10_000)
    .addHelpText('after', example('sealmesh ls claude.semantic'))
    .action(
      withDoor(cli, async ({ door, output, command }, prefix: string, options: { limit: number }) => {
        const listing = await door.call('ls', { prefix, limit: options.limit })
        output.data(listing)
        const { items, truncated } = listing
        if (items.length === 0)
          output.hint(
            prefix === ''
              ? `Nothing yet. Next: ${command('set AGENT.semantic.NAME VALUE')}`
              : 'Nothing begins with that.',
          )
        else
          output.table(
            [
              { title: 'UMR' },
              { title: 'TYPE' },
              { title: 'BYTES', align: 'right' },
              { title: 'WRITTEN' },
              { title: 'BY' },
              { title: '' },
            ],
            items.map((item) => [
              item.umr,
              item.type,
              String(item.bytes),
              moment(item.at),
              item.nodeName ?? '-',
              item.conflicts > 0 ? `${item.conflicts} in conflict` : '',
            ]),
          )
        for (const each of listing.damaged)
          output.hint(`${oneLine(each)} is damaged on this disk and not listed: ${command('scrub')}`)
        if (truncated)
          output.hint(
            `There are more: name a longer prefix, or ${command(`ls ${prefix} --limit ${Math.min(100_000, options.limit * 10)}`)}`,
          )
      }),
    )
