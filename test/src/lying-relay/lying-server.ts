import type { AddressInfo, Socket } from 'node:net'
import { deflateRawSync } from 'node:zlib'
import { dial } from '@sealmesh/node/uplink/dial'
import type { Dice } from '@sealmesh/protocol/test-dice'
import { type WebSocket, WebSocketServer } from 'ws'
import type { Line, LyingRelay } from './lying-relay.ts'
import type { VirtualTime } from './virtual-time.ts'

/** Shares of frames that a socket spoils below the level of frames. */
const CUT = 0.01
const BOMB = 0.005
const TEXT = 0.005
const BOMB_BYTES = 50_000_000

/** The lying relay behind real WebSockets: what is below frames can be spoilt as well. */
export class LyingServer {
  readonly url: string
  readonly dial: typeof dial
  readonly #server: WebSocketServer
  readonly #dice: Dice
  #honest = false

  private constructor(server: WebSocketServer, relay: LyingRelay, time: VirtualTime, dice: Dice) {
    this.#server = server
    this.#dice = dice
    this.url = `ws://127.0.0.1:${(server.address() as AddressInfo).port}`
    this.dial = (address, events) => {
      const stirring = <Args extends unknown[]>(act: (...args: Args) => void) => {
        return (...args: Args) => {
          time.stirred += 1
          act(...args)
        }
      }
      return dial(address, {
        onFrame: stirring(events.onFrame),
        onEmpty: stirring(events.onEmpty),
        onClosed: stirring(events.onClosed),
      })
    }
    server.on('connection', (ws, request) => {
      time.stirred += 1
      const line: Line = {
        node: undefined,
        give: (bytes) => this.#give(ws, request.socket, bytes),
        end: () => ws.terminate(),
      }
      ws.on('message', (data) => {
        time.stirred += 1
        if (data instanceof Uint8Array) relay.hear(line, data)
      })
      ws.on('error', () => {})
      ws.on('close', () => {
        time.stirred += 1
        relay.closed(line)
      })
      relay.open(line)
    })
  }

  static async start(relay: LyingRelay, time: VirtualTime, dice: Dice): Promise<LyingServer> {
    const server = new WebSocketServer({ host: '127.0.0.1', port: 0, perMessageDeflate: false })
    await new Promise((resolve) => server.once('listening', resolve))
    return new LyingServer(server, relay, time, dice)
  }

  turnHonest(): void {
    this.#honest = true
  }

  async stop(): Promise<void> {
    for (const client of this.#server.clients) client.terminate()
    await new Promise((resolve) => this.#server.close(resolve))
  }

  #give(ws: WebSocket, socket: Socket, bytes: Uint8Array): void {
    if (ws.readyState !== ws.OPEN) return
    const roll = this.#honest ? 1 : this.#dice.random()
    if (roll < CUT) {
      // The head of a frame and half of what it promises, then the end.
      socket.write(framed(0x82, bytes).subarray(0, 4 + (bytes.length >> 1)))
      socket.destroy()
    } else if (roll < CUT + BOMB) {
      // Compressed, which nobody has agreed to: a few KiB that would be fifty million.
      socket.write(framed(0xc2, deflateRawSync(new Uint8Array(BOMB_BYTES))))
    } else if (roll < CUT + BOMB + TEXT) ws.send('null')
    else ws.send(bytes)
  }
}

/** One WebSocket frame as a server sends it (RFC 6455 §5.2): up to 64 KiB. */
function framed(first: number, bytes: Uint8Array): Uint8Array {
  const head = bytes.length < 126 ? [first, bytes.length] : [first, 126, (bytes.length >> 8) & 255, bytes.length & 255]
  return Uint8Array.from([...head, ...bytes.subarray(0, 65_535)])
}
