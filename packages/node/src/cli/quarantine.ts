import { Command } from 'commander'
import { example } from './example.ts'
import { type Cli, withDoor } from './session.ts'
import { table } from './table.ts'
import { moment } from './when.ts'

export const quarantine = (cli: Cli): Command =>
  new Command('quarantine')
    .summary('packets that came here and were not used')
    .description(
      'A packet that fails a check changes nothing and holds up nothing; what it failed is kept here. What it may have said is found by comparing with its sender.',
    )
    .addHelpText('after', example('sealmesh quarantine ls'))
    .addCommand(list(cli))

const list = (cli: Cli): Command =>
  new Command('ls')
    .summary('list them, with what each failed')
    .description('Lists the latest packets of each kind that were not used, the latest first.')
    .addHelpText('after', example('sealmesh quarantine ls'))
    .action(
      withDoor(cli, async ({ door, output }) => {
        const listing = await door.call('quarantine.ls', {})
        output.data(listing)
        if (listing.packets.length === 0) return output.hint('Every packet that came here was used.')
        const rows = listing.packets.map(({ lastAt, code, sender, senderProven, bytes, times, means }) => [
          moment(lastAt),
          code,
          sender === null ? '-' : senderProven ? sender : `${sender}?`,
          String(bytes),
          String(times),
          means,
        ])
        output.print(
          ...table(
            [
              { title: 'LAST' },
              { title: 'CODE' },
              { title: 'FROM' },
              { title: 'BYTES', align: 'right' },
              { title: 'TIMES', align: 'right' },
              { title: 'MEANS' },
            ],
            rows,
          ),
        )
        if (listing.packets.some(({ sender, senderProven }) => sender !== null && !senderProven))
          output.hint('? is what the packet says of its sender: nothing proves it')
        const counts = listing.counts.map(({ code, packets }) => `${code} ${packets}`).join(', ')
        output.hint(`of each kind the latest ${listing.keptPerCode} are listed; in all: ${counts}`)
      }),
    )
