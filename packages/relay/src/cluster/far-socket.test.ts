import { expect, test } from 'vitest'
import { CREDIT_STEP_BYTES, FarSocket, WINDOW_BYTES } from './far-socket.ts'

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
