import { Failure } from '@sealmesh/protocol/errors'
import type { NodeEvent } from '@sealmesh/protocol/ipc/methods'
import { Command } from 'commander'
import { example } from './example.ts'
import { plain } from './get.ts'
import type { Output } from './output.ts'
import { oneLine } from './printable.ts'
import { type Cli, withDoor } from './session.ts'

interface Options {
  readonly type: string[]
  readonly agent?: string
  readonly layer?: string
  readonly after?: string
  readonly follow: boolean
}

const VALUE_CHARACTERS_MAX = 100
const TYPES =
  'write, conflict, late, set-aside, held, refused, peer, relay, machine, hosts, grant, ungrant, takeover, act-gained, act-lost, takeover-proposed, takeover-blocked, rolled-back, copied, compaction, scrub, folder, gap'

export const events = (cli: Cli): Command =>
  new Command('events')
    .summary('print everything that happens on this node')
    .description(
      `Prints what happens on this node until Ctrl-C: writes, conflicts, machines that come and go, grants, takeovers, what is refused, held or set aside. With --json one event a line; the cursor of the last one you read takes you up behind it. Types: ${TYPES}.`,
    )
    .option('--type <type>', 'only these (repeatable, or with commas)', collect, [])
    .option('--agent <agent>', 'only what concerns this agent')
    .option('--layer <layer>', 'only what concerns this layer')
    .option('--after <cursor>', 'go on behind the event that had this cursor')
    .option('--no-follow', 'print what is there after the cursor, and end')
    .addHelpText('after', example('sealmesh events --json --type conflict,takeover'))
    .action(
      withDoor(cli, async ({ door, output, signal }, options: Options) => {
        for (const type of options.type)
          if (!TYPES.split(', ').includes(type))
            throw new Failure('USAGE', 'There is no such type of event.', { next: `one of ${TYPES}` })
        door.on('event', (event) => show(output, event))
        const { follow } = options
        const first = await door.call('events', {
          follow,
          ...(options.type.length === 0 ? {} : { types: options.type as NodeEvent['type'][] }),
          ...(options.agent === undefined ? {} : { agent: options.agent }),
          ...(options.layer === undefined ? {} : { layer: options.layer }),
          ...(options.after === undefined ? {} : { after: options.after }),
        })
        for (const event of first.events) show(output, event)
        if (!follow) return output.hint(`go on with: --after ${first.cursor}`)
        output.hint('Ctrl-C ends it')
        await door.closed
        if (!signal.aborted)
          throw new Failure(
            'NODE_NOT_RUNNING',
            'The node has ended the stream: it is down, or this reader took nothing for too long.',
          )
      }),
    )

const collect = (text: string, types: string[]): string[] => [
  ...types,
  ...text.split(',').filter((type) => type !== ''),
]

function show(output: Output, event: NodeEvent): void {
  output.data(event)
  const where = event.local === true ? 'here' : (event.nodeName ?? '')
  const what = event.umr ?? [event.agent, event.layer].filter((part) => part !== null).join('.')
  const parts = [event.at.slice(11, 23), output.styled('bold', event.type), where, what, wordsOf(event)]
  output.print(
    parts
      .filter((part) => part !== '')
      .map((part, at) => (at === 1 ? part : oneLine(part)))
      .join(' '),
  )
}

function wordsOf({ type, detail }: NodeEvent): string {
  if (type === 'write')
    return typeof detail['value'] === 'string'
      ? oneLine(plain(detail['value']), VALUE_CHARACTERS_MAX)
      : String(detail['change'])
  if (type === 'conflict') return detail['settled'] === true ? 'settled' : `${detail['values']} values`
  if (type === 'gap')
    return detail['lost'] === null ? 'what came before is not known' : `${detail['lost']} events were missed`
  return Object.entries(detail)
    .filter(([, value]) => value !== null)
    .map(([name, value]) => `${name}=${value}`)
    .join(' ')
}
