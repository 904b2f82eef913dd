import { Failure } from '@sealmesh/protocol/errors'
import type { MethodResult } from '@sealmesh/protocol/ipc/methods'
import { MessageId } from '@sealmesh/protocol/messages/message'
import { Command } from 'commander'
import { example } from './example.ts'
import { oneLine } from './printable.ts'
import { type Cli, withDoor } from './session.ts'

type Traced = MethodResult<'messages.trace'>['messages'][number]
type Entry = Traced['entries'][number]

export const trace = (cli: Cli): Command =>
  new Command('trace')
    .summary('what happened to a message between agents')
    .description(
      'Prints what happened to a message, to those that caused it and to those that answer it, in the order of time: sent, kept on disk, in a packet, taken into an inbox, handed out, acknowledged, expired, refused; on which machine, by its clock. Known are the latest messages since this node started.',
    )
    .argument('<id>', "a message's id, or the correlation id of several")
    .addHelpText('after', example('sealmesh trace k3x9Qe7w'))
    .action(
      withDoor(cli, async ({ door, output }, id: string) => {
        if (!MessageId.safeParse(id).success) throw new Failure('USAGE', 'That is not the id of a message.')
        const { messages } = await door.call('messages.trace', { id })
        output.data({ messages })
        if (messages.length === 0)
          throw new Failure('ITEM_NOT_FOUND', 'This machine knows of no such message since it started.', {
            next: 'ask on the machine of its sender or of its recipient; send, broadcast and inbox print the ids of messages',
          })
        for (const message of messages) output.print(headOf(message), ...message.entries.map(lineOf))
      }),
    )

function headOf({ id, from, to, type, correlation, parents }: Traced): string {
  if (from === null) return oneLine(`${id}: not sent in this run`)
  const causes = [...(correlation === null ? [] : [`about ${correlation}`]), ...parents.map((each) => `after ${each}`)]
  return oneLine(`${id}: ${type} from ${from} to ${to}${causes.length === 0 ? '' : `, ${causes.join(', ')}`}`, 400)
}

const lineOf = ({ at, event, machine, agent, to }: Entry): string =>
  `  ${oneLine(`${at} ${machine} ${event}${agent === null ? '' : ` ${agent}`}${to === null || to === machine ? '' : ` to ${to}`}`, 300)}`
