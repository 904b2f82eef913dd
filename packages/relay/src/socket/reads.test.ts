import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { IncomingMessage } from 'node:http'
import { Socket } from 'node:net'
import { Duplex } from 'node:stream'
import { setImmediate as turn } from 'node:timers/promises'
import { FRAME_BYTES_MAX } from '@sealmesh/protocol/limits'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { type WebSocket, WebSocketServer } from 'ws'
import { Slabs } from '../core/slabs.ts'
import { readAheadOfWs } from './reads.ts'

const BYTES_MAX = 1_000
const sockets = new WebSocketServer({ noServer: true, perMessageDeflate: false, maxPayload: FRAME_BYTES_MAX })

interface Peer {
  socket: Duplex
  ws: WebSocket
  said: string[]
  /** What the peer has been answered, without the handshake. */
  written: Buffer[]
  /** Messages that did not come through ws. */
  ahead: number
}

async function peer(isAhead: boolean): Promise<Peer> {
  const written: Buffer[] = []
  const socket = new Duplex({
    read: () => undefined,
    write: (bytes: Buffer, _encoding, done) => {
      written.push(bytes)
      done()
    },
  })
  socket.on('error', () => undefined)
  const request = new IncomingMessage(new Socket())
  request.method = 'GET'
  request.url = '/'
  request.headers = {
    connection: 'Upgrade',
    upgrade: 'websocket',
    'sec-websocket-version': '13',
    'sec-websocket-key': randomBytes(16).toString('base64'),
  }
  const ws = await new Promise<WebSocket>((resolve) => {
    sockets.handleUpgrade(request, socket, Buffer.alloc(0), resolve)
  })
  written.length = 0
  const said: string[] = []
  const it: Peer = { socket, ws, said, written, ahead: 0 }
  const message = (bytes: Uint8Array, isBinary: boolean): void => {
    said.push(`${isBinary ? 'binary' : 'text'} ${Buffer.from(bytes).toString('hex')}`)
  }
  ws.on('message', (data: Buffer, isBinary) => message(data, isBinary))
  for (const name of ['ping', 'pong'] as const) ws.on(name, (data) => said.push(`${name} ${data.toString('hex')}`))
  ws.on('error', (error) => said.push(`error ${(error as NodeJS.ErrnoException).code}`))
  ws.on('close', (code, reason) => said.push(`close ${code} ${reason.toString()}`))
  if (!isAhead) return it
  const slabs = new Slabs()
  const receiver = readAheadOfWs(socket, FRAME_BYTES_MAX, {
    allocate: (bytes) => slabs.take(bytes),
    grow: (slab, bytes) => slabs.grow(slab, bytes),
    message: (slab) => {
      it.ahead += 1
      message(slab.memory.subarray(0, slab.length), true)
      slab.holders += 1
      slabs.release(slab)
    },
  })
  expect(receiver).not.toBeNull()
  receiver!.bytesMax = BYTES_MAX
  return it
}

async function tell(to: Peer, reads: readonly Buffer[]): Promise<void> {
  for (const read of reads) {
    // ws unmasks in place.
    if (read.length > 0 && !to.socket.destroyed) to.socket.push(Buffer.from(read))
    await turn()
  }
  to.socket.push(null)
  for (let i = 0; i < 4; i++) await turn()
}

function frame(first: number, payload: Uint8Array, { isMasked = true, length = payload.length } = {}): Buffer {
  const mask = isMasked ? randomBytes(4) : Buffer.alloc(0)
  const head = length < 126 ? Buffer.alloc(2) : length < 65_536 ? Buffer.alloc(4) : Buffer.alloc(10)
  head[0] = first
  head[1] = (isMasked ? 0x80 : 0) | (length < 126 ? length : length < 65_536 ? 126 : 127)
  if (head.length === 4) head.writeUInt16BE(length, 2)
  if (head.length === 10) head.writeBigUInt64BE(BigInt(length), 2)
  return Buffer.concat([head, mask, payload.map((byte, i) => byte ^ (mask[i & 3] ?? 0))])
}

/** As it is now, and as ws alone has it. */
async function expectSame(all: Buffer, cuts: readonly number[]): Promise<Peer> {
  const at = [...new Set(cuts.map((cut) => cut % (all.length + 1)))].sort((a, b) => a - b)
  const reads = [...at, all.length].map((end, i) => all.subarray(at[i - 1] ?? 0, end))
  const [now, alone] = [await peer(true), await peer(false)]
  await tell(now, reads)
  await tell(alone, reads)
  expect(now.said).toEqual(alone.said)
  expect(Buffer.concat(now.written).toString('hex')).toBe(Buffer.concat(alone.written).toString('hex'))
  expect(now.socket.destroyed).toBe(alone.socket.destroyed)
  return now
}

test('whatever a peer sends, in whatever pieces: the same is heard and answered as from ws alone', async () => {
  const payload = fc.nat(140).map((bytes) => randomBytes(bytes))
  const honest = fc
    .tuple(fc.constantFrom(0x82, 0x82, 0x82, 0x89, 0x8a, 0x02, 0x00, 0x80, 0x81, 0x88), payload)
    .map(([first, bytes]) => frame(first, first >= 0x88 ? bytes.subarray(0, 125) : bytes))
  const long = fc.integer({ min: 900, max: 70_000 }).map((bytes) => frame(0x82, randomBytes(bytes)))
  const hostile = fc
    .tuple(fc.nat(255), payload, fc.boolean(), fc.constantFrom(0, 0, 126, 65_536, FRAME_BYTES_MAX + 1))
    .map(([first, bytes, isMasked, more]) => frame(first, bytes, { isMasked, length: bytes.length + more }))
  const all = fc.array(fc.oneof({ weight: 6, arbitrary: honest }, { weight: 1, arbitrary: long }, hostile), {
    maxLength: 8,
  })
  let ahead = 0
  await fc.assert(
    fc.asyncProperty(all, fc.array(fc.nat(), { maxLength: 6 }), async (frames, cuts) => {
      ahead += (await expectSame(Buffer.concat(frames), cuts)).ahead
    }),
    { numRuns: 300 },
  )
  // Otherwise ws has read everything by itself.
  expect(ahead).toBeGreaterThan(30)
})

test.each<[string, Buffer, string]>([
  ['a mask is missing', frame(0x82, Buffer.from('a'), { isMasked: false }), 'error WS_ERR_EXPECTED_MASK'],
  ['a reserved bit is set', frame(0xc2, Buffer.from('a')), 'error WS_ERR_UNEXPECTED_RSV_1'],
  ['an opcode is unknown', frame(0x83, Buffer.from('a')), 'error WS_ERR_INVALID_OPCODE'],
  ['nothing has begun that goes on', frame(0x80, Buffer.from('a')), 'error WS_ERR_INVALID_OPCODE'],
  ['a ping is in pieces', frame(0x09, Buffer.from('a')), 'error WS_ERR_EXPECTED_FIN'],
  ['a ping is long', frame(0x89, Buffer.alloc(126)), 'error WS_ERR_INVALID_CONTROL_PAYLOAD_LENGTH'],
  [
    'a message is announced that is too long',
    frame(0x82, Buffer.alloc(0), { length: FRAME_BYTES_MAX + 1 }),
    'error WS_ERR_UNSUPPORTED_MESSAGE_LENGTH',
  ],
  [
    'pieces are too long together',
    Buffer.concat([frame(0x02, Buffer.alloc(FRAME_BYTES_MAX)), frame(0x80, Buffer.alloc(1))]),
    'error WS_ERR_UNSUPPORTED_MESSAGE_LENGTH',
  ],
  [
    'pieces are too many',
    Buffer.concat([
      frame(0x02, Buffer.alloc(1)),
      ...Array.from({ length: 16_384 }, () => frame(0x00, Buffer.alloc(1))),
    ]),
    'error WS_ERR_TOO_MANY_BUFFERED_PARTS',
  ],
  ['text is no text', frame(0x81, Buffer.from([0xff])), 'error WS_ERR_INVALID_UTF8'],
  ['it says goodbye with a code that nobody has', frame(0x88, Buffer.from([0, 1])), 'error WS_ERR_INVALID_CLOSE_CODE'],
  ['it says goodbye', frame(0x88, Buffer.concat([Buffer.from([3, 232]), Buffer.from('bye')])), 'close 1000 bye'],
])('a peer is cut as ws alone would: %s', async (_name, bytes, said) => {
  const good = frame(0x82, Buffer.from('good'))
  for (const cuts of [[], [1], [good.length + 1], [good.length + 2, good.length + 5]]) {
    const now = await expectSame(Buffer.concat([good, bytes, good]), cuts)
    expect(now.said[0]).toBe(`binary ${Buffer.from('good').toString('hex')}`)
    expect(now.said).toContain(said)
    expect(now.ahead).toBe(1)
  }
})

test('what a paused socket has left when it closes is heard, and never taken for the beginning of a frame', async () => {
  const [first, second] = [frame(0x82, Buffer.alloc(400, 7)), frame(0x82, Buffer.from('last'))]
  const now = await peer(true)
  now.socket.push(first.subarray(0, 100))
  await turn()
  now.ws.pause()
  now.socket.push(first.subarray(100))
  now.socket.push(second)
  await turn()
  const closed = once(now.ws, 'close')
  now.socket.destroy()
  await closed
  expect(now.said).toEqual([
    `binary ${Buffer.alloc(400, 7).toString('hex')}`,
    `binary ${Buffer.from('last').toString('hex')}`,
    'close 1006 ',
  ])
})
