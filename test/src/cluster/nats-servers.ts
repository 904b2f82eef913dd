import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { createServer, type AddressInfo, connect } from 'node:net'
import * as path from 'node:path'
import { REPOSITORY } from '../processes/program.ts'
import { until } from '../processes/wait.ts'

/** Real NATS servers on loopback, one or three, with the settings of infra/nats. */

const DIRECTORY = path.join(REPOSITORY, 'node_modules/.cache/nats')

/** The one that SEALMESH_NATS_SERVER names, or one that infra/nats/fetch-nats-server has fetched, now if need be. */
function natsServer(): string {
  const named = process.env['SEALMESH_NATS_SERVER']
  if (named !== undefined) return named
  const fetched = path.join(DIRECTORY, 'nats-server')
  if (existsSync(fetched)) return fetched
  execFileSync(path.join(REPOSITORY, 'infra/nats/fetch-nats-server'), [DIRECTORY], {
    stdio: ['ignore', 'ignore', 'inherit'],
  })
  return fetched
}

export class NatsServers {
  readonly #binary = natsServer()
  readonly #directory: string
  readonly #ports: readonly number[]
  readonly #routes: readonly number[]
  readonly #children: (ChildProcess | null)[]
  /** Beside the settings of infra/nats: blocks as docs/relay/cluster.md has them added. */
  readonly #blocks: string

  private constructor(directory: string, ports: readonly number[], blocks: string) {
    this.#directory = directory
    this.#blocks = blocks
    const count = ports.length / 2
    this.#ports = ports.slice(0, count)
    this.#routes = ports.slice(count)
    this.#children = Array.from({ length: count }, () => null)
  }

  static async start(directory: string, count: 1 | 3, blocks = ''): Promise<NatsServers> {
    const servers = new NatsServers(directory, await freePorts(count * 2), blocks)
    for (let at = 0; at < count; at++) servers.begin(at)
    await Promise.all(Array.from({ length: count }, (_, at) => servers.up(at)))
    return servers
  }

  /** As `--cluster` takes it. */
  get addresses(): string {
    return this.#ports.map((port) => `nats://127.0.0.1:${port}`).join(',')
  }

  get ports(): readonly number[] {
    return this.#ports
  }

  get count(): number {
    return this.#ports.length
  }

  begin(at: number): void {
    const store = path.join(this.#directory, `nats-${at}`)
    mkdirSync(store, { recursive: true })
    const route = (which: number): string => `"nats://127.0.0.1:${this.#routes[which] ?? 0}"`
    const settings = path.join(REPOSITORY, 'infra/nats', this.count === 1 ? 'one.conf' : 'three.conf')
    const config = path.join(store, 'nats.conf')
    // `include` counts from the file that it is in.
    writeFileSync(config, `include ${JSON.stringify(path.relative(store, settings))}\n${this.#blocks}\n`)
    this.#children[at] = spawn(this.#binary, ['-c', config], {
      stdio: 'ignore',
      env: {
        ...process.env,
        NATS_NAME: `n${at}`,
        NATS_LISTEN: `"127.0.0.1:${this.#ports[at]}"`,
        NATS_STORE: `"${store}"`,
        NATS_ROUTE_LISTEN: `"127.0.0.1:${this.#routes[at]}"`,
        NATS_ROUTE_A: route(0),
        NATS_ROUTE_B: route(1),
        NATS_ROUTE_C: route(2),
      },
    })
  }

  /** It takes connections; whether there is a leader is another question. */
  async up(at: number): Promise<void> {
    await until('a NATS server listens', () => listens(this.#ports[at] ?? 0))
  }

  pid(at: number): number {
    return this.#children[at]?.pid ?? 0
  }

  async kill(at: number): Promise<void> {
    const child = this.#children[at]
    this.#children[at] = null
    if (child === null || child === undefined || child.exitCode !== null) return
    const ended = new Promise((resolve) => child.once('exit', resolve))
    child.kill('SIGKILL')
    await ended
  }

  async stop(): Promise<void> {
    await Promise.all(this.#children.map((_, at) => this.kill(at)))
  }
}

async function freePorts(count: number): Promise<number[]> {
  const servers = await Promise.all(
    Array.from({ length: count }, async () => {
      const server = createServer()
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
      return server
    }),
  )
  const ports = servers.map((server) => (server.address() as AddressInfo).port)
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))))
  return ports
}

const listens = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', () => resolve(false))
  })
