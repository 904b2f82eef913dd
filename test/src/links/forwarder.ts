import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'

/** A door of its own to a TCP port: an address that a relay had, or has. */
export class Forwarder {
  readonly port: number
  readonly #server: Server
  readonly #sockets: Set<Socket>

  private constructor(server: Server, sockets: Set<Socket>) {
    this.port = (server.address() as AddressInfo).port
    this.#server = server
    this.#sockets = sockets
  }

  static async to(port: number): Promise<Forwarder> {
    const sockets = new Set<Socket>()
    const server = createServer((from) => {
      const onward = connect(port, '127.0.0.1')
      for (const [one, other] of [
        [from, onward],
        [onward, from],
      ] as const) {
        sockets.add(one)
        one.pipe(other)
        one.on('error', () => other.destroy())
        one.on('close', () => {
          sockets.delete(one)
          other.destroy()
        })
      }
    })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    return new Forwarder(server, sockets)
  }

  /** Nobody is there any more. */
  async close(): Promise<void> {
    if (!this.#server.listening) return
    for (const socket of this.#sockets) socket.destroy()
    this.#server.close()
    await once(this.#server, 'close')
  }
}
