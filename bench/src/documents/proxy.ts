import * as net from 'node:net'

/** Stands before the relay. Of the connections through it the latest can be cut and is counted; others go on. */
export class Proxy {
  readonly #server: net.Server
  #latest: readonly net.Socket[] = []
  readonly #all = new Set<net.Socket>()
  #cut = false
  #bytes = 0
  #acceptedAtMs = 0
  readonly #nowMs: () => number

  private constructor(target: number, nowMs: () => number) {
    this.#nowMs = nowMs
    this.#server = net.createServer((socket) => {
      if (this.#cut) return void socket.destroy()
      this.#acceptedAtMs = this.#nowMs()
      this.#bytes = 0
      const relay = net.connect(target, '127.0.0.1')
      this.#latest = [socket, relay]
      const count = this.#latest
      for (const each of [socket, relay]) {
        each.setNoDelay(true)
        each.on('error', () => undefined)
        this.#all.add(each)
        each.once('close', () => this.#all.delete(each))
      }
      for (const [from, to] of [
        [socket, relay],
        [relay, socket],
      ] as const) {
        from.on('data', (chunk) => {
          if (this.#latest === count) this.#bytes += chunk.length
          to.write(chunk)
        })
        from.on('close', () => to.destroy())
      }
    })
  }

  static async listen(target: number, nowMs: () => number): Promise<Proxy> {
    const proxy = new Proxy(target, nowMs)
    await new Promise<void>((resolve) => proxy.#server.listen(0, '127.0.0.1', resolve))
    return proxy
  }

  get port(): number {
    const address = this.#server.address()
    return typeof address === 'object' && address !== null ? address.port : 0
  }

  /** Of the latest connection, both ways. */
  get bytes(): number {
    return this.#bytes
  }

  get acceptedAtMs(): number {
    return this.#acceptedAtMs
  }

  /** Ends the latest connection and turns away whoever comes. */
  cut(): void {
    this.#cut = true
    for (const socket of this.#latest) socket.destroy()
  }

  mend(): void {
    this.#cut = false
  }

  async close(): Promise<void> {
    for (const socket of this.#all) socket.destroy()
    await new Promise((resolve) => this.#server.close(resolve))
  }
}
