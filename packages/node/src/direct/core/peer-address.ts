import { Failure } from '@sealmesh/protocol/errors'
import { type NodeId, parseId } from '@sealmesh/protocol/ids'

/** Where another machine of the mesh listens: `wss://host:port#node=<node id>`; who it is counts, not its certificate. */
export interface PeerAddress {
  /** What to dial. */
  readonly url: string
  readonly node: NodeId
}

const CHARACTERS_MAX = 400 // A host name has at most 253.
const ADDRESS = /^wss:\/\/(\[[0-9a-f:.]+\]|[a-z0-9]+(?:[.-][a-z0-9]+)*):([0-9]{1,5})\/?#node=(?:node_)?([0-9a-f]{64})$/i

export const isPeerAddress = (text: string): boolean => peerAddressIn(text) !== undefined

/** Throws CONFIG_INVALID. */
export function requirePeerAddress(text: string): PeerAddress {
  const address = peerAddressIn(text)
  if (address !== undefined) return address
  throw new Failure('CONFIG_INVALID', 'An address in direct.peers is not of the form wss://HOST:PORT#node=ID.', {
    next: 'sealmesh status on the other machine prints its address',
  })
}

function peerAddressIn(text: string): PeerAddress | undefined {
  const parts = text.length <= CHARACTERS_MAX ? ADDRESS.exec(text) : null
  if (parts === null) return undefined
  const [, host = '', port = '', node = ''] = parts
  const id = parseId('node', `node_${node.toLowerCase()}`)
  if (id === undefined || Number(port) < 1 || Number(port) > 65_535) return undefined
  return { url: `wss://${host.toLowerCase()}:${Number(port)}`, node: id }
}

/** `host:port`, `[v6]:port`; port 0 takes any that is free. */
const LISTEN = /^(\[[0-9a-f:.]+\]|[a-z0-9]+(?:[.-][a-z0-9]+)*):([0-9]{1,5})$/i

export function listenOn(text: string): { readonly host: string; readonly port: number } | undefined {
  const [, host, port] = LISTEN.exec(text) ?? []
  if (host === undefined || Number(port) > 65_535) return undefined
  return { host: host.replace(/^\[|\]$/g, ''), port: Number(port) }
}
