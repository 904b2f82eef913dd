import type { Socket } from 'node:net'

/**
 * Sockets of one address that nobody has logged in on: those that say nothing, those in a handshake, those that ask by
 * HTTP. Far more than the core greets at once, since a proxy's nodes come from one address too.
 */
export const ADDRESS_STRANGERS_MAX = 256

/** Counts them before anything is spent on them. What has logged in is a stranger no more. */
export class Strangers {
  readonly #counts = new Map<string, number>()
  readonly #sockets = new Map<string, string>()

  /** False when `address`, whom the socket is from, has as many as it may: it is then ended without a word. */
  admit(socket: Pick<Socket, 'remoteAddress' | 'remotePort' | 'once'>, address: string): boolean {
    const count = this.#counts.get(address) ?? 0
    if (count >= ADDRESS_STRANGERS_MAX) return false
    this.#counts.set(address, count + 1)
    const name = endpointOf(socket)
    this.#sockets.set(name, address)
    socket.once('close', () => this.#forget(name))
    return true
  }

  /** With TLS this is another object than the one that was admitted: both have the same far end. */
  welcome(socket: Pick<Socket, 'remoteAddress' | 'remotePort'>): void {
    this.#forget(endpointOf(socket))
  }

  #forget(name: string): void {
    const address = this.#sockets.get(name)
    if (address === undefined) return
    this.#sockets.delete(name)
    const count = (this.#counts.get(address) ?? 0) - 1
    if (count > 0) this.#counts.set(address, count)
    else this.#counts.delete(address)
  }
}

const endpointOf = ({ remoteAddress, remotePort }: Pick<Socket, 'remoteAddress' | 'remotePort'>): string =>
  `${remoteAddress} ${remotePort}`
