import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import * as fs from 'node:fs'
import { createServer } from 'node:net'
import * as path from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { BIN } from '@sealmesh/test/processes/program'
import { until } from '@sealmesh/test/processes/wait'

/** The servers that are measured, each a process of its own on loopback. */

export type System = 'ours' | 'bare' | 'nats'

export interface Server {
  readonly system: System
  readonly url: string
  readonly pid: number
  /** Ours: what its address ends in, and codes that each admit one mesh. */
  readonly relay: string
  readonly claims: readonly string[]
  /** Ours: where it says what it counts. */
  readonly metrics: string
  /** With a signal: as that leaves it. */
  stop(signal?: NodeJS.Signals): Promise<void>
}

export interface RelayRun {
  readonly data: string
  readonly claims?: number
  readonly port?: number
  readonly tls?: boolean
  readonly flags?: readonly string[]
}

/** As an owner runs it: admission, limits, metrics and logs at their defaults. */
export async function startRelay({ data, claims = 1, port = 0, tls = false, flags = [] }: RelayRun): Promise<Server> {
  const how = tls ? ['--public-host', '127.0.0.1'] : ['--tls', 'none']
  const log = fs.openSync(`${data}.log`, 'a')
  const args = ['up', '--json', '--host', '127.0.0.1', '--data', data, '--port', String(port)]
  args.push('--metrics', '127.0.0.1:0', ...how, ...flags)
  const child = spawn(process.execPath, [...profiled(data), BIN.relay, ...args], { stdio: ['ignore', 'pipe', log] })
  fs.closeSync(log)
  const said = await firstLine(child)
  const address = new URL(String(said['address']))
  const codes = typeof said['claim'] === 'string' ? [said['claim']] : []
  while (codes.length < claims) codes.push(moreClaims(data))
  return {
    system: 'ours',
    url: address.origin.replace(/^null$/, `${address.protocol}//${address.host}`),
    pid: child.pid ?? 0,
    relay: new URLSearchParams(address.hash.slice(1)).get('relay') ?? '',
    claims: codes,
    metrics: String(said['metrics']),
    stop: (signal = 'SIGTERM') => stop(child, signal),
  }
}

/** SEALMESH_RELAY_PROFILE=1 leaves a CPU profile beside the data. */
const profiled = (data: string): string[] =>
  process.env['SEALMESH_RELAY_PROFILE'] === undefined ? [] : ['--cpu-prof', '--cpu-prof-dir', path.dirname(data)]

function moreClaims(data: string): string {
  const out = execFileSync(process.execPath, [BIN.relay, 'claim', '--json', '--data', data], { encoding: 'utf8' })
  return String((JSON.parse(out) as Record<string, unknown>)['claim'])
}

export async function startBare(certificate?: { cert: string; key: string }): Promise<Server> {
  const file = fileURLToPath(new URL('./bare-forwarder/bare-forwarder.js', import.meta.url))
  const args = certificate === undefined ? [] : [certificate.cert, certificate.key]
  const { port, pid, stop } = await startScript(file, ...args)
  const url = `${certificate === undefined ? 'ws' : 'wss'}://127.0.0.1:${port}`
  return { system: 'bare', url, pid, relay: '', claims: [], metrics: '', stop }
}

/** A program of this bench that says on which port it listens. */
export async function startScript(
  file: string,
  ...args: readonly string[]
): Promise<Pick<Server, 'pid'> & { port: number; stop: (signal?: NodeJS.Signals) => Promise<void> }> {
  const child = spawn(process.execPath, [file, ...args], { stdio: ['ignore', 'pipe', 'inherit'] })
  const { port } = await firstLine(child)
  return { port: Number(port), pid: child.pid ?? 0, stop: (signal) => stop(child, signal) }
}

/** From PATH, or where NATS_SERVER says; undefined when there is none. */
export function natsVersion(): string | undefined {
  try {
    return / v(\S+)/.exec(execFileSync(natsBinary(), ['--version'], { encoding: 'utf8' }))?.[1]
  } catch {
    return undefined
  }
}

/** `data`: with JetStream, which then syncs every message before it answers. `tcp`: for its own client. */
export async function startNats(data?: string): Promise<Server & { readonly tcp: string }> {
  const directory = data ?? fs.mkdtempSync(path.join('/tmp', 'sealmesh-nats-'))
  fs.mkdirSync(directory, { recursive: true })
  const [port, webSocketPort] = [await freePort(), await freePort()]
  const jetStream = data === undefined ? '' : `jetstream { store_dir: "${data}", sync_interval: always }\n`
  const config = path.join(directory, 'nats.conf')
  fs.writeFileSync(
    config,
    `host: 127.0.0.1\nport: ${port}\nwebsocket { host: 127.0.0.1, port: ${webSocketPort}, no_tls: true }\n${jetStream}`,
  )
  const child = spawn(natsBinary(), ['-c', config], { stdio: ['ignore', 'ignore', 'ignore'] })
  await until('NATS listens', async () => (await fetch(`http://127.0.0.1:${webSocketPort}/`)).status > 0, 10_000)
  return {
    system: 'nats',
    url: `ws://127.0.0.1:${webSocketPort}`,
    tcp: `127.0.0.1:${port}`,
    pid: child.pid ?? 0,
    relay: '',
    claims: [],
    metrics: '',
    stop: async (signal) => {
      await stop(child, signal)
      if (data === undefined) fs.rmSync(directory, { recursive: true, force: true })
    },
  }
}

const natsBinary = (): string => process.env['NATS_SERVER'] ?? 'nats-server'

async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen({ host: '127.0.0.1', port: 0 }, resolve))
  const address = server.address()
  await new Promise((resolve) => server.close(resolve))
  return typeof address === 'object' && address !== null ? address.port : 0
}

async function firstLine(child: ChildProcess): Promise<Record<string, unknown>> {
  if (child.stdout === null) throw new Error('a server has no output')
  const lines = createInterface({ input: child.stdout })
  try {
    for await (const line of lines) return JSON.parse(line) as Record<string, unknown>
    throw new Error('a server ended before it was ready')
  } finally {
    lines.close()
  }
}

async function stop(child: ChildProcess, signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null)
    throw new Error(`a server ended by itself: ${child.exitCode ?? child.signalCode}`)
  const gone = new Promise((resolve) => child.once('exit', resolve))
  child.kill(signal)
  await gone
}
