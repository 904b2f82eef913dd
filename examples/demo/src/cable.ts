import { connect, createServer, type Server, type Socket } from 'node:net'

/**
 * The line between the nodes and the relay: a plain TCP forwarder that can be cut for one node and mended. All nodes
 * of a mesh dial the one address that its log names, so the cable tells them apart by when they dial: whoever is
 * `expected` owns the connections that begin then, until they end.
 */
export class Cable {
  readonly #server: Server
  readonly #target: { host: string; port: number }
  readonly #lines = new Map<Socket, { owner: string; far: Socket }>()
  readonly #cut = new Set<string>()
  #expected = ''

  static async open(target: { host: string; port: number }): Promise<Cable> {
    const cable = new Cable(target)
    await new Promise<void>((resolve, reject) => {
      cable.#server.once('error', reject)
      cable.#server.listen(0, '127.0.0.1', resolve)
    })
    return cable
  }

  private constructor(target: { host: string; port: number }) {
    this.#target = target
    this.#server = createServer((near) => this.#join(near))
  }

  get port(): number {
    const address = this.#server.address()
    return typeof address === 'object' && address !== null ? address.port : 0
  }

  /** From now on new connections are this node's. */
  expect(owner: string): void {
    this.#expected = owner
  }

  /** Ends the node's connections and refuses new ones; others' go on. */
  cut(owner: string): void {
    this.#cut.add(owner)
    this.#expected = owner
    for (const [near, line] of this.#lines) if (line.owner === owner) this.#drop(near, line.far)
  }

  mend(owner: string): void {
    this.#cut.delete(owner)
    this.#expected = owner
  }

  async close(): Promise<void> {
    for (const [near, { far }] of this.#lines) this.#drop(near, far)
    await new Promise<void>((resolve) => this.#server.close(() => resolve()))
  }

  #join(near: Socket): void {
    const owner = this.#expected
    // Before anything can fail: an error without a listener would end the demo.
    near.on('error', () => undefined)
    if (this.#cut.has(owner)) {
      near.resetAndDestroy()
      return
    }
    const far = connect(this.#target)
    near.setNoDelay(true)
    far.setNoDelay(true)
    far.on('error', () => near.destroy())
    near.on('close', () => {
      this.#lines.delete(near)
      far.destroy()
    })
    far.on('close', () => near.destroy())
    this.#lines.set(near, { owner, far })
    near.pipe(far)
    far.pipe(near)
  }

  #drop(near: Socket, far: Socket): void {
    this.#lines.delete(near)
    near.resetAndDestroy()
    far.resetAndDestroy()
  }
}
