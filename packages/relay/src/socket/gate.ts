import type { IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'
import { addressKey } from './address-key.ts'
import { forwardedFor, type TrustedProxies } from './forwarded.ts'
import { Strangers } from './strangers.ts'

/** Why a socket came no further than its handshake or its request. */
export type SocketEnd = 'barred' | 'address_full' | 'relay_full' | 'timeout' | 'malformed' | 'tls' | 'idle'

export interface GateDeps {
  /** Has failed to log in so often that not even a handshake is spent on it. */
  isBarred(address: string): boolean
  /** Whose word counts for whom they forward. */
  readonly proxies: TrustedProxies | null
}

/** Who comes in: judged once as a TCP connection, and once when it asks for a WebSocket. */
export class Gate {
  readonly #deps: GateDeps
  readonly #strangers = new Strangers()

  constructor(deps: GateDeps) {
    this.#deps = deps
  }

  /** Why this socket is ended before anything is spent on it. */
  atAccept(socket: Socket): SocketEnd | null {
    // Whom a proxy brings is known when it asks for a WebSocket.
    return this.#isProxy(socket.remoteAddress) ? null : this.#judge(socket, socket.remoteAddress)
  }

  /** Whom the limits for one address count, and why it gets no WebSocket. */
  atUpgrade({ socket, headers }: IncomingMessage): { readonly address: string; readonly end: SocketEnd | null } {
    const { remoteAddress } = socket
    if (this.#isProxy(remoteAddress)) {
      // A proxy that does not say it is one stranger itself.
      const remote = forwardedFor(headers['x-forwarded-for']) ?? remoteAddress
      return { address: addressKey(remote), end: this.#judge(socket, remote) }
    }
    const address = addressKey(remoteAddress)
    // It may have failed too often while this one waited for its turn.
    return { address, end: this.#isBarred(remoteAddress, address) ? 'barred' : null }
  }

  /** It has logged in. */
  welcome(socket: Pick<Socket, 'remoteAddress' | 'remotePort'>): void {
    this.#strangers.welcome(socket)
  }

  #judge(socket: Socket, remote: string | undefined): SocketEnd | null {
    const address = addressKey(remote)
    if (this.#isBarred(remote, address)) return 'barred'
    return this.#strangers.admit(socket, address) ? null : 'address_full'
  }

  #isBarred(remote: string | undefined, address: string): boolean {
    return !isOwner(remote) && this.#deps.isBarred(address)
  }

  #isProxy(remote: string | undefined): boolean {
    return this.#deps.proxies?.has(remote) === true
  }
}

/** The relay's owner, who asks how it is, or a proxy that all come through: told why when they are refused. */
const isOwner = (address: string | undefined): boolean =>
  address === '127.0.0.1' || address === '::1' || address === '::ffff:127.0.0.1'
