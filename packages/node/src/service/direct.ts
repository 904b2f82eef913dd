import { networkInterfaces } from 'node:os'
import type { Status } from '@sealmesh/protocol/ipc/methods'
import { formatId, type NodeId } from '@sealmesh/protocol/ids'
import type { Direct } from '../direct/open-direct.ts'
import { iso, nodeName, type ServiceContext } from './context.ts'

/** Addresses of one machine that are shown; more are those of containers. */
const ADDRESSES_MAX = 8

/** Which machines this one has a link to without a relay, and where it looks for others. */
export function directStatus(
  { log: { mesh }, node: me }: Pick<ServiceContext, 'log' | 'node'>,
  direct: Direct,
): Status['direct'] {
  const who = (node: NodeId) => ({ node: formatId('node', node), name: nodeName(mesh, node) })
  const { listening } = direct
  return {
    listening:
      listening === null
        ? null
        : { addresses: addressesOf(listening, me), reason: listening.port === null ? listening.reason : null },
    lan: direct.lan,
    links: direct.links().map(({ peer, at, dialledBy, sinceMs }) => ({
      ...who(peer),
      at,
      dialledHere: dialledBy === 'here',
      since: iso(sinceMs),
      answers: direct.paths.pathTo(peer) === 'direct',
    })),
    peers: direct.targets().map(({ url, node, from, peer, state, reason, nextTryAtMs }) => ({
      address: node === null ? url : `${url}#node=${node}`,
      found: from === 'mdns',
      name: peer === null ? null : nodeName(mesh, peer),
      state,
      reason,
      nextTryAt: nextTryAtMs === null ? null : iso(nextTryAtMs),
    })),
  }
}

/** As other machines would write them in their config: of every address of this one where it listens on all. */
function addressesOf({ host, port }: { readonly host: string; readonly port: number | null }, me: NodeId): string[] {
  if (port === null) return []
  const hosts = host === '0.0.0.0' || host === '::' ? ownHosts(host === '::') : [host]
  return hosts.map((each) => `wss://${each.includes(':') ? `[${each}]` : each}:${port}#node=${me}`)
}

function ownHosts(withIpv6: boolean): string[] {
  const all = Object.values(networkInterfaces()).flatMap((each) => each ?? [])
  const outer = all.filter(({ internal, family, address }) => {
    // One that is good on its own link only needs a zone, which no address has room for.
    const isUsable = family === 'IPv4' || (withIpv6 && !address.startsWith('fe80:'))
    return !internal && isUsable
  })
  return outer.length === 0 ? ['127.0.0.1'] : outer.slice(0, ADDRESSES_MAX).map(({ address }) => address)
}
