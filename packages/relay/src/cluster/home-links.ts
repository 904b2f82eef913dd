import { IncomingMessage } from 'node:http'
import { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { toHex } from '@sealmesh/protocol/bytes'
import type { MeshId } from '@sealmesh/protocol/ids'
import { FRAME_BYTES_MAX } from '@sealmesh/protocol/limits'
import { type WebSocket, WebSocketServer } from 'ws'
import type { Greeted } from '../driver.ts'
import { FarSocket } from './far-socket.ts'
import { decodeOpenLink, KINDS, type TunnelRecord } from './tunnel-codec.ts'

export interface HomeLinksDeps {
  readonly tell: (peer: string, lane: 'control' | 'bulk', record: TunnelRecord) => void
  /** Whether this instance is, or has just become, home of the mesh. */
  readonly isHere: (mesh: MeshId) => Promise<boolean>
  readonly connect: (ws: WebSocket, socket: Duplex, address: string, welcomed: () => void, greeted: Greeted) => void
}

const NOTHING = new Uint8Array()
/** Of one front; beyond it a front has lost its mind, or its numbers. */
const LINKS_MAX = 20_000

/** The home's end of connections that other instances hold. To the driver each is a WebSocket like any other. */
export class HomeLinks {
  readonly #deps: HomeLinksDeps
  readonly #links = new Map<string, Map<number, FarSocket>>()
  readonly #sockets = new WebSocketServer({ noServer: true, perMessageDeflate: false, maxPayload: FRAME_BYTES_MAX })

  constructor(deps: HomeLinksDeps) {
    this.#deps = deps
  }

  get count(): number {
    let count = 0
    for (const links of this.#links.values()) count += links.size
    return count
  }

  has(peer: string): boolean {
    return (this.#links.get(peer)?.size ?? 0) > 0
  }

  take(peer: string, record: TunnelRecord): void {
    const { kind, link, bytes } = record
    if (kind === KINDS.open) return void this.#open(peer, link, Uint8Array.from(bytes))
    const socket = this.#links.get(peer)?.get(link)
    if (socket === undefined) return
    if (kind === KINDS.up) socket.message(bytes)
    else if (kind === KINDS.endUp) this.#drop(peer, link)
    else if (kind === KINDS.creditDown) socket.credit(creditOf(bytes))
  }

  lost(peer: string): void {
    for (const link of [...(this.#links.get(peer)?.keys() ?? [])]) this.#drop(peer, link)
    this.#links.delete(peer)
  }

  async #open(peer: string, link: number, bytes: Uint8Array): Promise<void> {
    const refuse = (): void => this.#deps.tell(peer, 'control', { kind: KINDS.refused, link, bytes: NOTHING })
    const opened = decodeOpenLink(bytes)
    if (!opened.ok) return refuse()
    const { mesh, nonce, address, login } = opened.value
    const isHere = await this.#deps.isHere(toHex(mesh) as MeshId).catch(() => false)
    const links = this.#links.get(peer) ?? new Map<number, FarSocket>()
    if (!isHere || links.has(link) || links.size >= LINKS_MAX) return refuse()
    this.#links.set(peer, links)
    let hasEnded = false
    const socket = new FarSocket({
      down: (bytes) => this.#deps.tell(peer, 'bulk', { kind: KINDS.down, link, bytes }),
      credit: (count) => this.#deps.tell(peer, 'control', { kind: KINDS.creditUp, link, bytes: creditBytes(count) }),
      end: () => {
        if (hasEnded) return
        hasEnded = true
        // Where the front has ended it, it knows of it no more.
        this.#deps.tell(peer, 'bulk', { kind: KINDS.endDown, link, bytes: NOTHING })
        if (links.get(link) === socket) links.delete(link)
      },
    })
    links.set(link, socket)
    this.#deps.tell(peer, 'control', { kind: KINDS.opened, link, bytes: NOTHING })
    const welcomed = (): void => this.#deps.tell(peer, 'bulk', { kind: KINDS.welcomed, link, bytes: NOTHING })
    this.#sockets.handleUpgrade(upgradeRequest(), socket, Buffer.alloc(0), (ws) => {
      socket.begin()
      this.#deps.connect(ws, socket, address, welcomed, { nonce, login })
    })
  }

  #drop(peer: string, link: number): void {
    const socket = this.#links.get(peer)?.get(link)
    this.#links.get(peer)?.delete(link)
    socket?.destroy()
  }
}

export const creditBytes = (count: number): Uint8Array => {
  const bytes = new Uint8Array(4)
  new DataView(bytes.buffer).setUint32(0, count)
  return bytes
}

export const creditOf = (bytes: Uint8Array): number =>
  bytes.length === 4 ? new DataView(bytes.buffer, bytes.byteOffset, 4).getUint32(0) : 0

/** What ws wants to see before it takes a socket on: the front has seen the real one. */
function upgradeRequest(): IncomingMessage {
  const request = new IncomingMessage(new Socket())
  request.method = 'GET'
  request.url = '/'
  request.headers = {
    connection: 'Upgrade',
    upgrade: 'websocket',
    'sec-websocket-version': '13',
    'sec-websocket-key': 'c2VhbG1lc2ggY2x1c3Rlcg==',
  }
  return request
}
