import { Command } from 'commander'
import { example } from './example.ts'
import { oneLine } from './printable.ts'
import { type Cli, withDoor } from './session.ts'

export const reconcile = (cli: Cli): Command =>
  new Command('reconcile')
    .summary('what happened around the takeovers of an agent')
    .description(
      'The terms with their holders, what each layer received and what of it counts, what came late, and which acts were let happen twice or under a passed term.',
    )
    .argument('<agent>', 'the agent')
    .addHelpText('after', example('sealmesh reconcile claude'))
    .action(
      withDoor(cli, async ({ door, output, command }, agent: string) => {
        const report = await door.call('reconcile', { agent })
        output.data(report)
        output.table(
          [
            { title: 'TERM', align: 'right' },
            { title: 'HOLDER' },
            { title: 'FROM' },
            { title: 'UNTIL' },
            { title: 'REASON' },
            { title: '' },
          ],
          report.terms.map(({ number, holder, from, until, reason, overlaps }) => [
            String(number),
            holder,
            from,
            until ?? 'now',
            reason,
            overlaps ? 'overlaps' : '',
          ]),
        )
        output.table(
          [
            { title: 'LAYER' },
            { title: 'RECEIVED', align: 'right' },
            { title: 'COUNT', align: 'right' },
            { title: 'LATE', align: 'right' },
            { title: 'SET ASIDE', align: 'right' },
            { title: 'HELD', align: 'right' },
            { title: '' },
          ],
          report.layers.map(({ layer, received, folded, late, setAside, held, adds }) => [
            layer,
            ...[received, folded, late, setAside, held].map(String),
            adds ? '' : 'does not add up',
          ]),
        )
        const { granted, twice, passed } = report.acts
        output.print(`acts let happen here: ${granted}; twice: ${twice.length}; under a passed term: ${passed.length}`)
        if (report.layers.some(({ late }) => late > 0))
          output.hint(`late writes: ${command(`late ls ${oneLine(agent)}`)}`)
      }),
    )
