import { type Dialled, type DialEvents } from '@sealmesh/node/uplink/dial'
import { openRelayLink, type RelayLink } from '@sealmesh/node/uplink/relay-link'
import { FRAME_BYTES_MAX } from '@sealmesh/protocol/limits'
import type { RelayAddress } from '@sealmesh/protocol/wire/address'
import { loadSodium } from '@sealmesh/sodium/load'
import { parsed } from '@sealmesh/test/relay/running-relay'
import { WebSocket } from 'ws'
import { Crowd, MESH_LANES_MAX } from './our-lane.ts'
import type { StormOrder } from './restart-storm.ts'

/** A process of nodes' own links, which come back by themselves: it says how many are live when it is asked. */

const order = JSON.parse(process.argv[2] ?? '') as StormOrder
const sodium = await loadSodium()
const crowd = new Crowd(sodium)
const ADDRESSES = 250
const OPENED_AT_ONCE = 20
const OPENED_EVERY_MS = 25

const links: RelayLink[] = []
const opening = setInterval(() => {
  for (let i = 0; i < OPENED_AT_ONCE && links.length < order.count; i++) links.push(open(order.first + links.length))
  if (links.length === order.count) clearInterval(opening)
}, OPENED_EVERY_MS)
process.on('message', () => process.send?.(links.filter(({ status }) => status.state === 'live').length))
process.on('disconnect', () => process.exit(0))
process.send?.('ready')

function open(number: number): RelayLink {
  const me = crowd.member(number, order.claims[Math.floor(number / MESH_LANES_MAX)])
  return openRelayLink({
    address: parsed(order.address),
    login: me.login,
    mailboxes: () => [me.mailboxSecret],
    sodium,
    log: { info: () => undefined },
    generations: { read: () => undefined, write: () => undefined },
    onEvent: () => undefined,
    dial: (address, events) => dialFrom(`127.0.2.${1 + (number % ADDRESSES)}`, address, events),
  })
}

/** As a node dials, but from an address of its own: thousands of nodes do not live behind one. */
function dialFrom(localAddress: string, address: RelayAddress, events: DialEvents): Dialled {
  const ws = new WebSocket(address.url, { perMessageDeflate: false, maxPayload: FRAME_BYTES_MAX, localAddress })
  let over = false
  ws.on('message', (bytes: Buffer) => {
    if (!over) events.onFrame(bytes)
  })
  ws.on('error', () => undefined)
  ws.on('close', () => {
    if (!over) events.onClosed('RELAY_CLOSED')
    over = true
  })
  const destroy = (): void => {
    over = true
    ws.terminate()
  }
  return {
    send: (frames) => {
      if (ws.readyState === ws.OPEN) for (const frame of frames) ws.send(frame)
    },
    get queuedBytes() {
      return ws.bufferedAmount
    },
    close: () => Promise.resolve(destroy()),
    destroy,
  }
}
