import { Failure } from '@sealmesh/protocol/errors'
import type { WatchEvent } from '@sealmesh/protocol/ipc/methods'
import { Command } from 'commander'
import { example } from './example.ts'
import { plain } from './get.ts'
import type { Output } from './output.ts'
import { oneLine } from './printable.ts'
import { type Cli, withDoor } from './session.ts'

const VALUE_CHARACTERS_MAX = 120 // One line on a wide terminal; --json has it whole.

export const watch = (cli: Cli): Command =>
  new Command('watch')
    .summary('print changes as they happen')
    .description('Prints what changes under PREFIX, here or elsewhere, until Ctrl-C. With --json one event a line.')
    .argument('[prefix]', 'the beginning of a UMR', '')
    .addHelpText('after', example('sealmesh watch claude --json'))
    .action(
      withDoor(cli, async ({ door, output, signal }, prefix: string) => {
        door.onNotification((event) => show(output, event))
        await door.call('watch', { prefix })
        output.hint(`watching ${prefix === '' ? 'everything' : prefix}; Ctrl-C ends it`)
        await door.closed
        if (!signal.aborted)
          throw new Failure(
            'NODE_NOT_RUNNING',
            'The node has ended the stream: it is down, or this reader was too slow.',
          )
      }),
    )

function show(output: Output, event: WatchEvent): void {
  output.data(event)
  const what =
    event.type === 'delete'
      ? output.styled('dim', 'deleted')
      : event.value === null
        ? event.type
        : oneLine(plain(event.value), VALUE_CHARACTERS_MAX)
  const conflict = event.type === 'conflict' ? output.styled('yellow', ' (conflict)') : ''
  const from = event.local ? 'here' : event.nodeName
  output.print(
    `${event.at.slice(11, 23)} ${oneLine(from)} ${output.styled('bold', oneLine(event.umr))} ${what}${conflict}`,
  )
}
