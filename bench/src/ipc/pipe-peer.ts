import { connect, type Socket } from 'node:net'
import * as path from 'node:path'
import { LineReader } from '@sealmesh/agent/wire/line-reader'
import { textForm, TextReader } from '@sealmesh/protocol/messages/text-form'
import type { Peer } from './lane.ts'

/** A script: what it says goes to its public pipe, and what comes for it out of its private one. */
class PipePeer implements Peer {
  onMessage: (payload: string) => void = () => undefined
  readonly #name: string
  readonly #inbox: Socket
  readonly #status: Socket
  /** Answers come in the order of what was said. */
  readonly #waiting: { resolve: () => void; reject: (error: Error) => void }[] = []

  constructor(name: string, inbox: Socket, status: Socket) {
    this.#name = name
    this.#inbox = inbox
    this.#status = status
    const reader = new TextReader()
    for (const socket of [inbox, status]) socket.on('error', () => socket.destroy())
    inbox.on('close', () => {
      for (const { reject } of this.#waiting.splice(0)) reject(new Error('the server hung up'))
    })
    eachLine(inbox, (line) => {
      const waiting = this.#waiting.shift()
      if (line.startsWith('OK ')) waiting?.resolve()
      else waiting?.reject(new Error(line))
    })
    eachLine(status, (line) => {
      const said = reader.push(line)
      if (typeof said === 'object' && said.type !== 'status') this.onMessage(said.body)
    })
  }

  send(to: string, payload: string): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ resolve, reject })
      const text = { from: this.#name, to, priority: 1, type: 'text', id: undefined, body: payload } as const
      this.#inbox.write(textForm(text))
    })
  }

  close(): void {
    this.#inbox.destroy()
    this.#status.destroy()
  }
}

function eachLine(socket: Socket, onLine: (line: string) => void): void {
  const reader = new LineReader(1_048_576)
  socket.on('data', (chunk: Buffer) => {
    const { lines } = reader.push(chunk)
    for (let line = lines?.next(); line !== undefined; line = lines?.next()) onLine(String(line))
  })
}

const dial = (socketPath: string): Promise<Socket> =>
  new Promise((resolve, reject) => {
    const socket = connect(socketPath, () => resolve(socket))
    socket.once('error', reject)
  })

/** Resolves once its status has come, from when on it gets messages. */
export async function pipePeer(home: string, name: string): Promise<Peer> {
  const pipe = (kind: 'public' | 'private') => dial(path.join(home, 'run', 'pipes', `${name}_${kind}.sock`))
  const [inbox, status] = [await pipe('public'), await pipe('private')]
  const peer = new PipePeer(name, inbox, status)
  await new Promise((resolve) => status.once('data', resolve))
  return peer
}
