import { mkdtemp, rm } from 'node:fs/promises'
import { type Socket, connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type DoorClient, connectDoor } from '@sealmesh/node/ipc/client'
import { type Door, type DoorLog, type Handlers, serveDoor } from '@sealmesh/node/ipc/door'
import type { DoorLimits } from '@sealmesh/node/ipc/door-limits'
import { methods } from '@sealmesh/protocol/ipc/methods'
import { onTestFinished } from 'vitest'

/** A door with real sockets in front of handlers that a test writes; those that it does not write fail. */
export interface FakeNode {
  readonly socketPath: string
  readonly door: Door
  /** What the door logged. */
  readonly logged: { level: string; fields: object; text: string }[]
  client(): Promise<DoorClient>
  /** A connection without any manners. */
  raw(): Promise<RawClient>
}

export async function fakeNode(
  handlers: Partial<Handlers>,
  options: { limits?: Partial<DoorLimits>; socketPath?: string } = {},
): Promise<FakeNode> {
  let { socketPath } = options
  if (socketPath === undefined) {
    const folder = await mkdtemp(join(tmpdir(), 'sm-door-'))
    onTestFinished(() => rm(folder, { recursive: true, force: true }))
    socketPath = join(folder, 'door.sock')
  }
  const logged: FakeNode['logged'] = []
  const logTo = (level: string) => (fields: object, text: string) => void logged.push({ level, fields, text })
  const log: DoorLog = { info: logTo('info'), warn: logTo('warn'), error: logTo('error') }
  const door = await serveDoor({
    socketPath,
    methods,
    handlers: { ...silentHandlers(), ...handlers },
    log,
    limits: { drainMs: 500, ...options.limits },
  })
  onTestFinished(() => door.close())
  const path = socketPath
  return {
    socketPath,
    door,
    logged,
    async client() {
      const client = await connectDoor(path)
      onTestFinished(() => client.close())
      return client
    },
    async raw() {
      const raw = await RawClient.open(path)
      onTestFinished(() => raw.destroy())
      return raw
    },
  }
}

function silentHandlers(): Handlers {
  const refuse = (): never => {
    throw new Error('this test did not expect the call')
  }
  const all = Object.fromEntries(Object.keys(methods).map((name) => [name, refuse]))
  return { ...(all as unknown as Handlers), hello: ({ version }) => ({ version, node: 'node_fake' }) }
}

/** One line of the door. */
export interface Answer {
  readonly id?: unknown
  readonly result?: unknown
  readonly error?: {
    readonly code: number
    readonly message: string
    readonly data: { readonly code: string; readonly next: string }
  }
}

/** Sends bytes as they are and collects the lines that come back. */
export class RawClient {
  readonly socket: Socket
  readonly lines: Answer[] = []
  readonly closed: Promise<void>
  #rest = ''
  #wake: () => void = () => undefined

  private constructor(socket: Socket) {
    this.socket = socket
    socket.setEncoding('utf8')
    socket.on('data', (text: string) => {
      const parts = (this.#rest + text).split('\n')
      this.#rest = parts.pop() ?? ''
      for (const part of parts) this.lines.push(JSON.parse(part) as Answer)
      this.#wake()
    })
    socket.on('error', () => undefined)
    this.closed = new Promise((resolve) => {
      socket.on('close', () => {
        this.#wake()
        resolve()
      })
    })
  }

  static open(path: string): Promise<RawClient> {
    return new Promise((resolve, reject) => {
      const socket = connect(path, () => resolve(new RawClient(socket)))
      socket.once('error', reject)
    })
  }

  send(...parts: (string | Uint8Array | object)[]): void {
    for (const part of parts)
      this.socket.write(typeof part === 'string' || part instanceof Uint8Array ? part : `${JSON.stringify(part)}\n`)
  }

  /** The first `count` lines, as soon as they are there; throws when the connection ends before. */
  async take(count: number): Promise<Answer[]> {
    while (this.lines.length < count) {
      if (this.socket.destroyed) throw new Error(`closed after ${this.lines.length} of ${count} lines`)
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
    }
    return this.lines.slice(0, count)
  }

  destroy(): void {
    this.socket.destroy()
  }
}

export const request = (id: unknown, method: string, params?: unknown) => ({ jsonrpc: '2.0', id, method, params })
