import type { MethodResult } from '@sealmesh/protocol/ipc/methods'
import { Command } from 'commander'
import { example } from './example.ts'
import { oneLine } from './printable.ts'
import { type Cli, withDoor } from './session.ts'
import { atHome } from './step.ts'

type Row = MethodResult<'diff'>['documents'][number]

const KEYS_SHOWN = 20

export const diff = (cli: Cli): Command =>
  new Command('diff')
    .summary('show where another machine differs from this one')
    .description(
      'Shows in which documents another machine differs from this one, by how many blocks each way, as far as the two have told each other; and which documents they do not share.',
    )
    .argument('<peer>', 'the other machine')
    .option('--keys', 'name the registers that it lacks')
    .option('--all', 'show documents that do not differ, too')
    .addHelpText('after', example('sealmesh diff office --keys'))
    .action(
      withDoor(cli, async (session, peer: string, options: { keys?: boolean; all?: boolean }) => {
        const { door, output } = session
        const found = await door.call('diff', { peer, keys: options.keys === true })
        output.data(found)
        if (output.json) return
        const rows = found.documents.filter((row) => options.all === true || differs(row))
        const same = found.documents.length - rows.length
        if (rows.length > 0)
          output.table(
            [
              { title: 'DOCUMENT' },
              { title: 'SHARED' },
              { title: 'IT LACKS', align: 'right' },
              { title: 'WE LACK', align: 'right' },
              { title: 'WHY' },
            ],
            rows.map((row) => [
              `${row.agent}.${row.layer}`,
              row.shared,
              row.shared === 'no' ? '' : String(row.theyLack),
              row.shared === 'no' ? '' : row.weLack === null ? '?' : String(row.weLack),
              row.text,
            ]),
          )
        for (const row of rows) {
          if (row.keys === null) continue
          output.print(`it lacks in ${oneLine(`${row.agent}.${row.layer}`)}:`)
          for (const key of row.keys.names.slice(0, KEYS_SHOWN)) output.print(`  ${oneLine(key)}`)
          const more = row.keys.names.length - KEYS_SHOWN
          if (more > 0 || row.keys.truncated) output.print(`  and ${row.keys.truncated ? 'many' : more} more: --json`)
          if (row.keys.textEdits > 0)
            output.print(`  ${row.keys.textEdits} edit${row.keys.textEdits === 1 ? '' : 's'} of texts`)
        }
        const steps = new Set(rows.flatMap(({ next }) => (next === null ? [] : [atHome(session, next)])))
        for (const step of steps) output.hint(`Next: ${step}`)
        if (same > 0) output.hint(same === 1 ? '1 document does not differ' : `${same} documents do not differ`)
        else if (rows.length === 0) output.hint('There are no documents yet.')
      }),
    )

const differs = ({ shared, theyLack, weLack }: Row): boolean => shared === 'no' || theyLack > 0 || weLack !== 0
