import { expect, test } from 'vitest'
import { CREDIT_STEP_BYTES, FarSocket, WINDOW_BYTES } from './far-socket.ts'
import { MESSAGE_BYTES_MAX } from './tunnel-codec.ts'

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

function farSocket(): { socket: FarSocket; credits: number[]; down: number[] } {
  const credits: number[] = []
  const down: number[] = []
  const socket = new FarSocket({
    down: (bytes) => down.push(bytes.length),
    end: () => undefined,
    credit: (bytes) => credits.push(bytes),
  })
  return { socket, credits, down }
}

test('what was read is credited in steps, and all of it but less than one step', async () => {
  const { socket, credits } = farSocket()
  socket.resume()
  for (let at = 0; at < 200; at++) {
    socket.message(new Uint8Array(1_000))
    await turn()
  }
  const sum = credits.reduce((total, bytes) => total + bytes, 0)
  expect(credits.length).toBeLessThanOrEqual(Math.ceil(200_000 / CREDIT_STEP_BYTES))
  expect(200_000 - sum).toBeLessThan(CREDIT_STEP_BYTES)
})

test('what nobody reads is not credited', async () => {
  const { socket, credits } = farSocket()
  for (let at = 0; at < 20; at++) {
    socket.message(new Uint8Array(100_000))
    await turn()
  }
  expect(credits.reduce((total, bytes) => total + bytes, 0)).toBeLessThan(400_000)
})

test('beyond the window nothing is taken as written until the other side has let go of some', async () => {
  const { socket, down } = farSocket()
  socket.begin()
  let written = 0
  for (let at = 0; at < 3; at++) socket.write(Buffer.alloc(WINDOW_BYTES / 2), () => (written += 1))
  await turn()
  expect({ written, bytes: down.reduce((a, b) => a + b, 0) }).toEqual({ written: 1, bytes: WINDOW_BYTES })
  socket.credit(WINDOW_BYTES)
  await turn()
  expect(written).toBe(3)
})

test('what is large goes in pieces that fit into one message between relays, and all of it in order', async () => {
  const pieces: Uint8Array[] = []
  const socket = new FarSocket({
    down: (bytes) => pieces.push(bytes),
    end: () => undefined,
    credit: () => undefined,
  })
  socket.begin()
  const written = Array.from({ length: 20 }, (_, at) => Buffer.alloc((at % 4) * 7_000 + 10, at + 1))
  for (const bytes of written) socket.write(bytes)
  await turn()
  expect(Math.max(...pieces.map(({ length }) => length))).toBeLessThan(MESSAGE_BYTES_MAX)
  expect(Buffer.concat(pieces).equals(Buffer.concat(written))).toBe(true)
})

test('messages of all sizes come out as they went in', async () => {
  const { socket } = farSocket()
  const read: Buffer[] = []
  socket.on('data', (bytes: Buffer) => read.push(bytes))
  const messages = [1, 125, 126, 9_000, 3, 65_535, 65_536, 200_000].map((length, at) => Buffer.alloc(length, at + 1))
  for (const message of messages) socket.message(message)
  await turn()
  const stream = Buffer.concat(read)
  const found: Buffer[] = []
  for (let at = 0; at < stream.length; ) {
    const short = stream.readUInt8(at + 1) & 127
    const [length, head] =
      short < 126
        ? [short, 6]
        : short === 126
          ? [stream.readUInt16BE(at + 2), 8]
          : [Number(stream.readBigUInt64BE(at + 2)), 14]
    found.push(stream.subarray(at + head, at + head + length))
    at += head + length
  }
  expect(found.map(({ length }) => length)).toEqual(messages.map(({ length }) => length))
  expect(found.every((bytes, at) => bytes.equals(messages[at] ?? Buffer.alloc(0)))).toBe(true)
})
