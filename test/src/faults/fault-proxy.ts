import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'
import { seededDice } from '@sealmesh/protocol/test-dice'
import { FaultLane } from './fault-lane.ts'
import { CALM, type Fate, type FaultPlan } from './fault-plan.ts'

export interface FaultProxyOptions {
  /** On loopback, where the relay listens. */
  readonly port: number
  readonly plan?: Partial<FaultPlan>
  /** Each connection throws dice of its own, made from this and its number. */
  readonly seed: number
}

interface Line {
  readonly client: Socket
  readonly server: Socket
  readonly lanes: readonly FaultLane[]
}

/**
 * A TCP proxy on loopback that behaves as its plan says: for any suite that wants a bad network between a node and its
 * relay. Messages are told apart on plain WebSocket only; with TLS, time, bandwidth and the methods remain.
 */
export class FaultProxy {
  readonly port: number
  /** What has become of messages, both ways. */
  readonly counts: Record<Fate, number> = { pass: 0, reset: 0, silence: 0, reorder: 0, duplicate: 0 }
  /** Holds for what is sent from now on. */
  plan: FaultPlan
  readonly #server: Server
  readonly #options: FaultProxyOptions
  readonly #lines = new Set<Line>()
  #connections = 0

  private constructor(server: Server, options: FaultProxyOptions) {
    this.#server = server
    this.#options = options
    this.port = (server.address() as AddressInfo).port
    this.plan = { ...CALM, ...options.plan }
    server.on('connection', (client) => this.#accept(client))
  }

  static async start(options: FaultProxyOptions): Promise<FaultProxy> {
    const server = createServer({ noDelay: true })
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject)
      server.listen({ host: '127.0.0.1', port: 0 }, resolve)
    })
    return new FaultProxy(server, options)
  }

  /** How many there have been, and how many there are. */
  get connections(): { total: number; open: number } {
    return { total: this.#connections, open: this.#lines.size }
  }

  /** Both ends of every connection see a reset. */
  resetAll(): void {
    for (const line of this.#lines) this.#reset(line)
  }

  /** Every connection there is stays open and carries nothing any more. */
  silenceAll(): void {
    for (const { lanes } of this.#lines) for (const lane of lanes) lane.silence()
  }

  async close(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()))
    this.resetAll()
    await closed
  }

  #accept(client: Socket): void {
    const server = connect({ host: '127.0.0.1', port: this.#options.port, noDelay: true })
    const dice = seededDice(this.#options.seed * 65_537 + this.#connections++)
    const lane = (from: Socket, to: Socket): FaultLane =>
      new FaultLane({
        from,
        to,
        plan: () => this.plan,
        dice,
        reset: () => this.#reset(line),
        silence: () => {
          for (const each of line.lanes) each.silence()
        },
        count: (fate) => {
          this.counts[fate] += 1
        },
      })
    const line: Line = { client, server, lanes: [lane(client, server), lane(server, client)] }
    this.#lines.add(line)
    for (const socket of [client, server]) {
      socket.on('error', () => this.#reset(line))
      socket.on('close', () => this.#gone(line))
    }
  }

  #reset(line: Line): void {
    for (const lane of line.lanes) lane.close()
    line.client.resetAndDestroy()
    line.server.resetAndDestroy()
    this.#lines.delete(line)
  }

  /** One end is gone for good; the other learns of it as it would without us. */
  #gone(line: Line): void {
    if (!line.client.destroyed) line.client.end()
    if (!line.server.destroyed) line.server.end()
    if (line.client.destroyed && line.server.destroyed) this.#lines.delete(line)
  }
}
