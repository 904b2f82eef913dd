import { type ChildProcess, spawn } from 'node:child_process'
import * as fs from 'node:fs'
import { connect, type Socket } from 'node:net'
import * as os from 'node:os'
import * as path from 'node:path'
import { fileURLToPath } from 'node:url'
import { LineReader } from '@sealmesh/agent/wire/line-reader'
import { NodeProcess } from '@sealmesh/test/processes/node'
import { pipePeer } from './pipe-peer.ts'

/** One side of the comparison: a server process, and connections of agents to it that speak its words. */
export interface Lane {
  readonly pid: number
  readonly socketPath: string
  /** Ours: of an agent that allows nothing. */
  readonly powerless: string
  /** Ours: of agents by name. */
  readonly tokens: ReadonlyMap<string, string>
  agent(name: string): Promise<Peer>
  /** Ours: the same agent as a script, by its text pipes. */
  script(name: string): Promise<Peer>
  close(): Promise<void>
}

/** An agent's connection, as small as it can be, and the same for both sides. */
export interface Peer {
  /** Resolves when the server has answered. */
  send(to: string, payload: string): Promise<void>
  /** Called with the payload of each message. */
  onMessage: (payload: string) => void
  close(): void
}

interface Said {
  readonly id?: number
  readonly method?: string
  readonly params?: { readonly place: number; readonly message: { readonly payload: string } }
  readonly payload?: string
  readonly result?: { readonly as: number }
  readonly error?: { readonly message: string }
}

class LinePeer implements Peer {
  onMessage: (payload: string) => void = () => undefined
  readonly #socket: Socket
  readonly #lines = new LineReader(16 * 1_048_576)
  readonly #waiting = new Map<number, { resolve: (said: Said) => void; reject: (error: Error) => void }>()
  #out = ''
  #nextId = 1
  #place = 0
  as = 0

  constructor(socket: Socket) {
    this.#socket = socket
    socket.on('error', () => socket.destroy())
    // Else whoever waits for an answer would wait for ever.
    socket.on('close', () => {
      for (const { reject } of this.#waiting.values()) reject(new Error('the server hung up'))
      this.#waiting.clear()
    })
    socket.on('data', (chunk: Buffer) => {
      const { lines } = this.#lines.push(chunk)
      for (let line = lines?.next(); line !== undefined; line = lines?.next()) this.#onSaid(JSON.parse(String(line)))
    })
  }

  call(line: (id: number) => string): Promise<Said> {
    return new Promise((resolve, reject) => {
      const id = this.#nextId++
      this.#waiting.set(id, { resolve, reject })
      this.say(line(id))
    })
  }

  say(line: string): void {
    if (this.#out === '')
      queueMicrotask(() => {
        this.#socket.write(this.#out)
        this.#out = ''
      })
    this.#out += `${line}\n`
  }

  async send(to: string, payload: string): Promise<void> {
    const text = JSON.stringify(payload)
    if (this.as === 0) await this.call((id) => `{"id":${id},"to":"${to}","payload":${text}}`)
    else await this.call((id) => rpc(id, 'send', `{"as":${this.as},"to":"${to}","type":"text","payload":${text}}`))
  }

  close(): void {
    this.#socket.destroy()
  }

  #acknowledge(): void {
    this.say(`{"jsonrpc":"2.0","method":"inbox.ack","params":{"as":${this.as},"place":${this.#place}}}`)
    this.#place = 0
  }

  #onSaid(said: Said): void {
    if (said.method === 'message' && said.params !== undefined) {
      const { place, message } = said.params
      // What has come in one turn is acknowledged in one word, as the client of agents does it.
      if (this.#place === 0) setImmediate(() => this.#acknowledge())
      this.#place = place
      return this.onMessage(message.payload)
    }
    if (said.payload !== undefined) return this.onMessage(said.payload)
    const waiting = this.#waiting.get(said.id ?? 0)
    this.#waiting.delete(said.id ?? 0)
    if (said.error === undefined) waiting?.resolve(said)
    else waiting?.reject(new Error(said.error.message))
  }
}

const rpc = (id: number, method: string, params: string): string =>
  `{"jsonrpc":"2.0","id":${id},"method":"${method}","params":${params}}`

const dial = (socketPath: string): Promise<LinePeer> =>
  new Promise((resolve, reject) => {
    const socket = connect(socketPath, () => resolve(new LinePeer(socket)))
    socket.once('error', reject)
  })

export async function bareLane(): Promise<Lane> {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'sm-bare-'))
  const socketPath = path.join(folder, 'bare.sock')
  const program = fileURLToPath(new URL('bare-forwarder.js', import.meta.url))
  const child: ChildProcess = spawn(process.execPath, [program, socketPath], { stdio: ['ignore', 'pipe', 'inherit'] })
  await new Promise((resolve) => child.stdout?.once('data', resolve))
  const agent = async (name: string): Promise<Peer> => {
    const peer = await dial(socketPath)
    await peer.call((id) => `{"id":${id},"name":"${name}"}`)
    return peer
  }
  return {
    pid: child.pid ?? 0,
    socketPath,
    powerless: '',
    tokens: new Map(),
    agent,
    script: agent,
    close: async () => {
      const gone = new Promise((resolve) => child.once('close', resolve))
      child.kill()
      await gone
      fs.rmSync(folder, { recursive: true, force: true })
    },
  }
}

/** A real node with so many agents `a0`, `a1`, …, with tokens; nobody is attached yet. */
export async function ourLane(agents: number, open: { pipes?: boolean } = {}): Promise<Lane> {
  const home = fs.mkdtempSync(path.join(os.tmpdir(), 'sm-ipc-'))
  // The rate of one agent is no part of what is measured.
  const piped = Array.from({ length: open.pipes === true ? agents : 0 }, (_, at) => `[agents.a${at}]\npipes = true\n`)
  fs.writeFileSync(path.join(home, 'config.toml'), `[messages]\nrate = 1000000\n${piped.join('')}`)
  const node = await NodeProcess.start({ home, name: 'home', agent: 'a0', relay: 'none' })
  const door = await node.door()
  const tokens = new Map<string, string>()
  for (let at = 0; at < agents; at++) {
    if (at > 0) await door.call('agents.add', { name: `a${at}` })
    tokens.set(`a${at}`, (await door.call('agents.token', { name: `a${at}` })).token ?? '')
  }
  await door.call('agents.add', { name: 'wild' })
  const powerless = (await door.call('agents.token', { name: 'wild', rights: [] })).token ?? ''
  await door.close()
  const socketPath = path.join(home, 'run', 'agents', 'sealmesh-agents.sock')
  return {
    pid: node.program.child.pid ?? 0,
    socketPath,
    powerless,
    tokens,
    agent: (name) => attachPeer(socketPath, tokens.get(name) ?? ''),
    script: (name) => pipePeer(home, name),
    close: async () => {
      await node.stop()
      fs.rmSync(home, { recursive: true, force: true })
    },
  }
}

export async function attachPeer(socketPath: string, token: string): Promise<Peer> {
  const peer = await dial(socketPath)
  await peer.call((id) => rpc(id, 'hello', '{"version":1}'))
  const { result } = await peer.call((id) => rpc(id, 'attach', `{"token":"${token}"}`))
  peer.as = result?.as ?? 0
  return peer
}
