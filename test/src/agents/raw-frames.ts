import { connect, type Socket } from 'node:net'
import { byteString, type Frame, frameOf, FrameReader } from '@sealmesh/agent/wire/frames'
import { encodeSend, FRAME_KINDS, type SendHead } from '@sealmesh/protocol/ipc/compact'
import { expect, onTestFinished } from 'vitest'
import { request } from '../ipc/fake-node.ts'
import { until } from '../processes/wait.ts'

/** A program that speaks frames without the client. */
export class RawFrames {
  readonly got: (Frame | symbol)[] = []
  readonly closed: Promise<unknown>
  readonly #reader = new FrameReader(1_048_576)
  #greeting = Buffer.alloc(0)
  #isGreeted = false

  readonly socket: Socket
  private constructor(socket: Socket) {
    this.socket = socket
    socket.on('error', () => undefined)
    this.closed = new Promise((resolve) => socket.once('close', resolve))
    socket.on('data', (chunk: Buffer) => this.#onData(chunk))
  }

  /** `behind` goes out in one write with the `hello`. */
  static async open(path: string, behind: Buffer = Buffer.alloc(0)): Promise<RawFrames> {
    const raw = await new Promise<RawFrames>((resolve) => {
      const socket = connect(path, () => resolve(new RawFrames(socket)))
    })
    onTestFinished(() => void raw.socket.destroy())
    const hello = request(0, 'hello', { version: 1, framing: 'compact' })
    raw.socket.write(Buffer.concat([Buffer.from(`${JSON.stringify(hello)}\n`), behind]))
    await until('it is greeted', () => raw.#isGreeted)
    return raw
  }

  say(call: object): void {
    this.socket.write(jsonFrame(call))
  }

  /** The latest JSON-RPC answer with that id. */
  async answer(wanted: unknown): Promise<{ result?: unknown; error?: { data: { code: string } } }> {
    const find = () => this.#texts().findLast((each) => each.id === wanted)
    await until(`${String(wanted)} is answered`, () => find() !== undefined)
    return find() as object
  }

  frames(kind: number): Frame[] {
    return this.got.filter((each): each is Frame => typeof each !== 'symbol' && each.kind === kind)
  }

  #texts(): { id?: unknown }[] {
    return this.frames(FRAME_KINDS.json).map(({ body }) => JSON.parse(body) as { id?: unknown })
  }

  #onData(chunk: Buffer): void {
    let rest = chunk
    if (!this.#isGreeted) {
      this.#greeting = Buffer.concat([this.#greeting, chunk])
      const newline = this.#greeting.indexOf(10)
      if (newline === -1) return
      expect(JSON.parse(this.#greeting.toString('utf8', 0, newline)).result.framing).toBe('compact')
      this.#isGreeted = true
      rest = this.#greeting.subarray(newline + 1)
    }
    this.#reader.push(rest)
    for (let next = this.#reader.next(); next !== undefined; next = this.#reader.next()) this.got.push(next)
  }
}

export const jsonFrame = (call: object): Buffer =>
  Buffer.from(frameOf(FRAME_KINDS.json, '', byteString(JSON.stringify(call))), 'latin1')
export const sendFrame = (head: Partial<SendHead>, body: string): Buffer => {
  const all = { as: 0, request: 1, to: 'bob', type: 'text', priority: 1, hops: 0, durable: false } as const
  return Buffer.from(
    frameOf(FRAME_KINDS.send, encodeSend({ ...all, correlation: null, parents: [], ...head }), byteString(body)),
    'latin1',
  )
}
