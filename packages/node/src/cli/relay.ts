import { Command, Option } from 'commander'
import { example } from './example.ts'
import { oneLine } from './printable.ts'
import { relayWords, wayWords } from './relay-words.ts'
import { type Cli, type DoorSession, withDoor } from './session.ts'
import { shortId } from './status.ts'

interface Adding {
  readonly claim?: string
  readonly first?: boolean
  readonly anyCertificate?: boolean
}

/** Of an address whose owner trusts the relay's key alone (docs/spec/07-relay.md §1). */
const ANY = '&tls=any'

export const relay = (cli: Cli): Command =>
  new Command('relay')
    .summary('the relays of the mesh: list, add, remove, prefer')
    .description(
      'The relays of the mesh. Each node keeps a link to all of them, and sends through the first that answers.',
    )
    .addHelpText('after', example('sealmesh relay ls'))
    .addCommand(list(cli))
    .addCommand(add(cli))
    .addCommand(remove(cli))
    .addCommand(first(cli))

const list = (cli: Cli): Command =>
  new Command('ls')
    .summary('list the relays of the mesh')
    .description('Lists the relays in the order in which they are used, and where this node stands with each.')
    .addHelpText('after', example('sealmesh relay ls'))
    .action(
      withDoor(cli, async (session) => {
        const { door, output } = session
        const listing = await door.call('relay.ls', {})
        output.data(listing)
        output.table(
          [{ title: 'RELAY' }, { title: 'ADDRESS' }, { title: 'STATE' }, { title: 'WAY' }, { title: 'LEASES' }],
          listing.relays.map((each) => [
            shortId(each.relay),
            oneLine(each.address.replace(/#.*/, ''), 60),
            relayWords(session, each),
            wayWords(each),
            each.keepsLeases ? 'keeps them' : '-',
          ]),
        )
      }),
    )

const add = (cli: Cli): Command =>
  new Command('add')
    .summary('name one more relay')
    .description(
      'Logs in there first, and names it for every node of the mesh if that works. For a relay that is named already it changes the address.',
    )
    .argument('<address>', 'what sealmesh-relay up prints')
    .addOption(
      new Option('--claim <code>', 'the code that the relay prints for a mesh that it does not know').env(
        'SEALMESH_CLAIM',
      ),
    )
    .option('--first', 'use it before all others')
    .option('--any-certificate', 'let its own key alone say who it is, in networks that replace certificates')
    .addHelpText('after', example('sealmesh relay add ADDRESS --claim CODE'))
    .action(
      withDoor(cli, async (session, given: string, options: Adding) => {
        const claim = options.claim === undefined ? {} : { claim: options.claim }
        const isMarked = options.anyCertificate !== true || given.endsWith(ANY)
        const address = isMarked ? given : `${given}${ANY}`
        told(session, await session.door.call('relay.add', { address, first: options.first === true, ...claim }))
      }),
    )

const remove = (cli: Cli): Command =>
  new Command('rm')
    .summary('name a relay no more')
    .description(
      'Every node ends its link there. What lies there for nodes that are away is sent again through the others.',
    )
    .argument('<relay>', 'its address, its id, or the beginning of its id')
    .addHelpText('after', example('sealmesh relay rm 4f2a09c1'))
    .action(
      withDoor(cli, async (session, named: string) => {
        told(session, await session.door.call('relay.rm', { relay: named }))
      }),
    )

const first = (cli: Cli): Command =>
  new Command('first')
    .summary('use a relay before all others')
    .description('Nodes send through it as long as it answers.')
    .argument('<relay>', 'its address, its id, or the beginning of its id')
    .addHelpText('after', example('sealmesh relay first 4f2a09c1'))
    .action(
      withDoor(cli, async (session, named: string) => {
        told(session, await session.door.call('relay.first', { relay: named }))
      }),
    )

function told(
  { output }: DoorSession,
  now: { readonly relays: readonly string[]; readonly record: string | null },
): void {
  output.data(now)
  const relays = now.relays.map((address) => oneLine(address.replace(/#.*/, ''), 60)).join(', ')
  output.print(now.record === null ? `nothing to change: ${relays}` : `the relays of this mesh are now: ${relays}`)
}
