import { rm } from 'node:fs/promises'
import { createServer, type Server, type Socket } from 'node:net'
import { join } from 'node:path'
import { LineReader } from '@sealmesh/agent/wire/line-reader'
import { Failure } from '@sealmesh/protocol/errors'
import type { Delivery } from '@sealmesh/protocol/ipc/agent-methods'
import { DOOR_LINE_BYTES_MAX, SOCKET_PATH_BYTES_MAX } from '@sealmesh/protocol/limits'
import { agentOf } from '@sealmesh/protocol/messages/addresses'
import type { Message } from '@sealmesh/protocol/messages/message'
import { textForm, type TextMessage, TextReader } from '@sealmesh/protocol/messages/text-form'
import type { DoorContext } from '../ipc/dispatch.ts'
import type { DoorLog } from '../ipc/door.ts'
import { makePrivateDirectory } from '../keys/durable-file.ts'
import { payloadText } from './core/payload.ts'
import type { Desk } from './desk.ts'
import type { Post } from './post.ts'
import type { Roster } from './roster.ts'
import type { Seat } from './seat.ts'
import type { Tokens } from './tokens.ts'

export interface TextPipesDeps {
  /** Of this user alone. Not the folder of the agents' door: who says here who he is does not prove it. */
  readonly folder: string
  /** Agents whose owner has opened pipes for them. */
  readonly names: readonly string[]
  readonly desk: Desk
  readonly post: Post
  readonly roster: Roster
  readonly tokens: Tokens
  readonly log: DoorLog
  /** What was said in vain: that of agents that are known `post` tells of itself. */
  readonly fault: (fault: { readonly code: string; readonly from: string }) => void
}

/** Scripts that write a line and hang up: more at a time wait in the kernel. */
const CONNECTIONS_MAX = 32
/** A script that neither writes nor hangs up. */
const IDLE_MS = 60_000
const WAITING_BYTES_MAX = 65_536

/**
 * For each such agent `NAME_public.sock`, which takes messages as text, and `NAME_private.sock`, which tells its status
 * and then what comes for it, as text.
 */
export class TextPipes {
  readonly #deps: TextPipesDeps
  readonly #servers: Server[] = []
  readonly #sockets = new Set<Socket>()
  readonly #paths = new Map<string, { readonly inbox: string; readonly status: string }>()

  private constructor(deps: TextPipesDeps) {
    this.#deps = deps
  }

  static async open(deps: TextPipesDeps): Promise<TextPipes> {
    const pipes = new TextPipes(deps)
    if (deps.names.length === 0 || process.platform === 'win32') return pipes
    await makePrivateDirectory(deps.folder)
    for (const name of deps.names) {
      const paths = {
        inbox: join(deps.folder, `${name}_public.sock`),
        status: join(deps.folder, `${name}_private.sock`),
      }
      if (Buffer.byteLength(paths.status) > SOCKET_PATH_BYTES_MAX) {
        deps.log.warn({}, 'an agent has no text pipes: their path would be too long for this system')
        continue
      }
      await pipes.#serve(paths.inbox, (socket) => pipes.#onWriter(name, socket))
      await pipes.#serve(paths.status, (socket) => pipes.#onReader(name, socket))
      pipes.#paths.set(name, paths)
    }
    return pipes
  }

  pathsOf(name: string): { readonly inbox: string; readonly status: string } | undefined {
    return this.#paths.get(name)
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy()
    await Promise.all(this.#servers.map((server) => new Promise((resolve) => server.close(resolve))))
  }

  /** Under the home's lock: whatever lies there is of a node that is gone. */
  async #serve(path: string, onSocket: (socket: Socket) => void): Promise<void> {
    await rm(path, { force: true })
    const server = createServer({ allowHalfOpen: true }, (socket) => {
      this.#sockets.add(socket)
      socket.on('error', () => socket.destroy())
      socket.on('close', () => this.#sockets.delete(socket))
      onSocket(socket)
    })
    server.maxConnections = CONNECTIONS_MAX
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject)
      server.listen(path, resolve)
    })
    this.#servers.push(server)
  }

  /** Takes messages one after another, and answers each with a line. */
  #onWriter(owner: string, socket: Socket): void {
    const lines = new LineReader(DOOR_LINE_BYTES_MAX)
    const reader = new TextReader()
    socket.setTimeout(IDLE_MS, () => socket.destroy())
    const take = async (): Promise<void> => {
      for await (const chunk of socket as AsyncIterable<Buffer>) {
        const { lines: whole, tooLong } = lines.push(chunk)
        for (let line = whole?.next(); line !== undefined; line = whole?.next()) {
          const said = typeof line === 'string' ? reader.push(line) : 'header'
          if (said === undefined) continue
          if (typeof said === 'string')
            this.#deps.fault({ code: said === 'header' ? 'USAGE' : 'VALUE_TOO_LARGE', from: `${owner}_public` })
          if (said === 'header')
            return void socket.end('ERROR USAGE this is no header: [FROM:NAME|TO:NAME|TYPE:text]\n')
          if (said === 'too-long') return void socket.end('ERROR VALUE_TOO_LARGE the message is too long\n')
          // Who does not take its answers is not read.
          if (!socket.write(await this.#send(owner, said))) await drained(socket)
        }
        if (tooLong) return void socket.end('ERROR VALUE_TOO_LARGE a line is too long\n')
      }
      socket.end()
    }
    // A script that is gone before its answer has nobody to tell.
    take().catch(() => socket.destroy())
  }

  async #send(owner: string, { from, to, priority, type, id, re, form, body }: TextMessage): Promise<string> {
    let payload: Message['payload']
    let seat: Seat
    try {
      seat = this.#seatOf(from, 'send')
      payload = form === 'json' ? jsonOf(body) : body
    } catch (error) {
      this.#deps.fault({ code: error instanceof Failure ? error.code : 'INTERNAL', from: `${owner}_public` })
      return answerTo(error)
    }
    try {
      const named = id === undefined ? {} : { id }
      const about = { correlation: re ?? null, parents: [], hops: 0, durable: false, ...named }
      const draft = { to: to ?? owner, type, priority, ...about }
      const { id: sent, delivered } = await this.#deps.post.send(seat, draft, payloadText(payload))
      return `OK ${sent} ${delivered > 0 ? 'delivered' : 'waiting'}\n`
    } catch (error) {
      return answerTo(error)
    }
  }

  /** Nobody but those whose owner allows it: what is said here proves no name. */
  #seatOf(name: string, right: 'send' | 'receive'): Seat {
    const { roster, tokens, names } = this.#deps
    for (const seat of names.includes(name) ? roster.everyone() : [])
      if (seat.agent.name === name && tokens.all.get(seat.id)?.rights.includes(right) === true) return seat
    throw new Failure('AGENT_UNKNOWN', 'No agent with text pipes on this node may do that under this name.')
  }

  /** Its status, and as long as nobody else is that agent, what comes for it. */
  #onReader(name: string, socket: Socket): void {
    const { desk, post } = this.#deps
    const gone = new AbortController()
    socket.on('close', () => gone.abort())
    // Who reads says nothing.
    socket.resume()
    try {
      const seat = this.#seatOf(name, 'receive')
      socket.write(textForm(statusOf(name, JSON.stringify(desk.view(seat)))))
      if (seat.attached) return void socket.end()
      socket.on('end', () => socket.end())
      desk.admit(clientOf(socket, gone.signal, seat, post), seat, { rights: ['receive'], pid: null, inbox: 'push' })
      post.pump(seat)
    } catch (error) {
      socket.end(answerTo(error))
    }
  }
}

/** There is room again, or nobody any more. */
const drained = (socket: Socket): Promise<void> =>
  new Promise((resolve) => {
    if (socket.destroyed) return resolve()
    const done = (): void => {
      socket.off('drain', done).off('close', done)
      resolve()
    }
    socket.on('drain', done).on('close', done)
  })

const answerTo = (error: unknown): string =>
  error instanceof Failure ? `ERROR ${error.code} ${error.message}\n` : 'ERROR INTERNAL\n'

function jsonOf(body: string): Message['payload'] {
  try {
    return JSON.parse(body) as Message['payload']
  } catch {
    throw new Failure('VALUE_INVALID', 'the body is no JSON')
  }
}

const statusOf = (name: string, body: string): TextMessage => ({
  from: name,
  to: name,
  priority: 1,
  type: 'status',
  id: undefined,
  body,
})

/** The pipe as a client of the desk: what it is told it writes as text, and has acknowledged when the kernel took it. */
function clientOf(socket: Socket, signal: AbortSignal, seat: Seat, post: Post): DoorContext {
  const hasRoom = (): boolean => socket.writableLength < WAITING_BYTES_MAX
  const tellText = (_: string, params: string): void => {
    const { place, message } = JSON.parse(params) as Delivery
    const isText = typeof message.payload === 'string'
    const body = isText ? String(message.payload) : JSON.stringify(message.payload)
    const { to, priority, type, id, correlation } = message
    const more = { ...(correlation === null ? {} : { re: correlation }), ...(isText ? {} : { form: 'json' as const }) }
    const from = agentOf(message.from)
    const written = (error?: Error | null): void => {
      // What could not be taken off the disk comes again: at least once.
      if (!error) post.acknowledge(seat, place).catch(() => undefined)
    }
    socket.write(textForm({ from, to: agentOf(to), priority, type, id, ...more, body }), written)
  }
  return {
    notify: () => undefined,
    signal,
    stream: {
      tell: () => undefined,
      tellText,
      hasRoom,
      room: () => (hasRoom() || signal.aborted ? Promise.resolve() : drained(socket)),
    },
  }
}
