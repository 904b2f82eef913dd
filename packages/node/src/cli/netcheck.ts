import { Failure, reactions } from '@sealmesh/protocol/errors'
import { Command } from 'commander'
import { loadConfig } from '../config/load.ts'
import { connectDoor } from '../ipc/client.ts'
import { findSocket } from '../keys/socket-path.ts'
import { type Checked, checkRelay } from '../netcheck/check-relay.ts'
import { requireAddress } from '../uplink/relay-list.ts'
import { WayBack } from '../uplink/way-back.ts'
import { wayOf, waysTo } from '../uplink/ways.ts'
import { example } from './example.ts'
import { checkDirect, type Direct, showDirect, stepLines } from './netcheck-direct.ts'
import { oneLine } from './printable.ts'
import { wayWords } from './relay-words.ts'
import { type Cli, type Session, withHome } from './session.ts'

export const netcheck = (cli: Cli): Command =>
  new Command('netcheck')
    .summary('go the way to each relay and machine, step by step')
    .description(
      'Looks up its name, connects, looks at its certificate and hears what answers, through the proxy where there is one, and says where that ends and what to do; the same for direct links, of the config and found ones. Works whether the node runs or not.',
    )
    .argument('[addresses...]', "relays to look for (default: the mesh's)")
    .addHelpText('after', example('sealmesh netcheck'))
    .action(
      withHome(cli, async (session, given: string[]) => {
        const config = await loadConfig(session.home.config)
        const { network } = config
        const node = given.length > 0 ? null : await seenByNode(session)
        const known = node?.relays ?? given.map((address) => ({ address, state: null }))
        const direct = node === null ? null : await checkDirect(config, node.direct)
        if (known.length === 0 && (direct === null || direct.peers.length === 0))
          throw new Failure('NODE_NOT_SET_UP', 'This home knows no relay.', {
            next: session.command('netcheck ADDRESS, or sealmesh up --relay ADDRESS --claim CODE'),
          })
        const relays = []
        for (const { address: text, state } of known) {
          const address = requireAddress(text)
          const ways = () => waysTo(address, network, cli.terminal.env)
          const checked = await checkRelay(address, ways)
          const next = nextOf(session, checked)
          relays.push({
            relay: `relay_${address.relay}`,
            address: text,
            state,
            ...wayOf(address, ways),
            ...checked,
            next,
          })
          if (!session.output.json) show(session, relays.at(-1)!)
        }
        if (direct !== null && !session.output.json) showDirect(session, direct)
        session.output.data({ relays, ...(direct === null ? {} : { direct }) })
        const lost = relays.find(({ reason }) => reason !== null)
        if (lost?.reason != null)
          throw new Failure(lost.reason, `The way to ${oneLine(lost.address.replace(/#.*/, ''), 60)} ends too early.`, {
            ...(lost.next === null ? {} : { next: lost.next }),
          })
      }),
    )

interface Row extends Checked {
  readonly address: string
  /** Where the running node stands with it; null where none was asked. */
  readonly state: string | null
  readonly tls: 'none' | 'pinned' | 'authorities' | 'relay-key-only'
  readonly proxy: string | null
  readonly next: string | null
}

function show({ output }: Session, row: Row): void {
  const node = row.state === null ? '' : `, the node is ${row.state} there`
  output.print(`${output.styled('bold', oneLine(row.address.replace(/#.*/, ''), 60))} (${wayWords(row)}${node})`)
  output.print(...stepLines(row.steps))
}

interface Seen {
  readonly relays: readonly { readonly address: string; readonly state: string | null }[]
  /** Null where the node does not run. */
  readonly direct: Direct | null
}

/** From the node if it runs, else from what it has written down of the way back. */
async function seenByNode({ home }: Session): Promise<Seen> {
  try {
    const door = await connectDoor(await findSocket(home))
    try {
      const { relays, direct } = await door.call('status', {})
      return { relays: relays.map(({ address, state }) => ({ address, state })), direct }
    } finally {
      await door.close()
    }
  } catch (error) {
    if (!(error instanceof Failure)) throw error
    const wayBack = await WayBack.load(home.wayBack)
    const relays = wayBack.addresses.map((address) => ({ address: wayBack.now(address), state: null }))
    return { relays, direct: null }
  }
}

function nextOf({ command }: Session, { reason, isReplaced, certificate, steps }: Checked): string | null {
  if (reason === null) return null
  if (reason === 'RELAY_WRONG_PIN' && isReplaced && certificate !== null)
    return `if ${oneLine(certificate.issuer, 120)} is this network's own and you trust the relay's key alone: ${command('config set network.tls relay-key-only')}; else ask the owner of the relay for its address`
  if (reason === 'PROXY_REFUSED' && steps.at(-1)?.found.includes('407') === true)
    return `put user:password into a file, and ${command('config set network.proxy_credentials FILE')}`
  return reactions[reason].next ?? null
}
