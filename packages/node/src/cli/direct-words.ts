import { type FailureCode, reactions } from '@sealmesh/protocol/errors'
import type { Status } from '@sealmesh/protocol/ipc/methods'
import type { Output } from './output.ts'
import { oneLine } from './printable.ts'
import { span } from './when.ts'

type Direct = Status['direct']

/** What a node knows of its direct links, a line each; none where none is set up. */
export function directLines(
  output: Pick<Output, 'styled'>,
  { listening, lan, links, peers }: Direct,
  nowMs: number,
): string[] {
  const lines: string[] = []
  if (listening !== null && listening.addresses.length > 0)
    lines.push(
      `others reach this machine at ${listening.addresses.map((each) => oneLine(each, ADDRESS_MAX)).join(', ')}`,
    )
  else if (listening !== null)
    lines.push(output.styled('yellow', `nobody can reach this machine${why(listening.reason)}`))
  if (lan === 'failed') lines.push(output.styled('yellow', 'the LAN cannot be searched: its network has no multicast'))
  if (lan === 'looking' && links.length + peers.length === 0) lines.push('looks for other machines on the LAN')
  for (const { name, at, since, dialledHere, answers } of links) {
    const state = answers ? output.styled('green', 'live') : output.styled('yellow', 'does not answer, relays are used')
    const from = dialledHere ? 'at' : 'from'
    lines.push(`${oneLine(name)} ${from} ${oneLine(at, 60)}  ${state}, for ${span(nowMs - Date.parse(since))}`)
  }
  for (const peer of peers) {
    // Those that are needed and there are among the links.
    if (peer.state === 'live' || peer.state === 'not needed') continue
    const again = peer.nextTryAt === null ? '' : `, tries again in ${span(Date.parse(peer.nextTryAt) - nowMs)}`
    lines.push(`${targetWords(peer)}  ${output.styled('yellow', peer.state)}${why(peer.reason)}${again}`)
  }
  return lines
}

/** Where this node dials, and who is meant. */
export function targetWords({
  address,
  name,
  found,
}: Pick<Direct['peers'][number], 'address' | 'name' | 'found'>): string {
  const who = name === null ? '' : `${oneLine(name)} at `
  return `${who}${oneLine(address.replace(/^wss:\/\//, '').replace(/#.*/, ''), 60)}${found ? ', found on the LAN' : ''}`
}

/** The code, and what to do about it where somebody can. */
function why(reason: string | null): string {
  if (reason === null) return ''
  const next = Object.hasOwn(DIRECT_NEXT, reason) ? DIRECT_NEXT[reason as FailureCode] : undefined
  return ` (${oneLine(reason)})${next === undefined ? '' : `\n        next: ${next}`}`
}

/** Of relays they mean something else. */
export const DIRECT_NEXT: Partial<Record<FailureCode, string>> = {
  PEER_WRONG_KEY: reactions.PEER_WRONG_KEY.next,
  RELAY_UNREACHABLE: 'see that the other machine is up and listens (direct.listen), and that no firewall is in between',
  NODE_REVOKED: reactions.NODE_REVOKED.next,
  PORT_IN_USE: 'name another port in direct.listen, and start the node again',
  ADDRESS_UNAVAILABLE: 'name an address of this machine in direct.listen, and start the node again',
}

const ADDRESS_MAX = 140
