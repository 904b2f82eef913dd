import { connect, createServer, type Socket } from 'node:net'
import { expect, onTestFinished, test } from 'vitest'
import { packetIdAt } from '@sealmesh/protocol/envelope/header'
import { decodeFrame, DELIVERED } from '@sealmesh/protocol/wire/frame'
import { Outgoing } from './outgoing.ts'
import { Slabs } from '../core/slabs.ts'
import { Scratch } from './scratch.ts'

test('what has left is used again, and what waits is not', () => {
  const scratch = new Scratch()
  const take = (hasLeft: boolean): Uint8Array => {
    let taken: Uint8Array = new Uint8Array()
    scratch.during(() => {
      taken = scratch.allocate(1_000)
      return hasLeft
    })
    return taken
  }
  const first = take(true)
  const waits = take(false)
  expect(waits.byteOffset).toBe(first.byteOffset)
  waits.fill(7)
  for (let i = 0; i < 2_000; i++) take(i % 3 > 0).fill(9)
  expect(waits).toEqual(Buffer.alloc(1_000, 7))
})

test('a socket that takes nothing for a while gets what was meant for it, whatever others were sent meanwhile', async () => {
  const server = createServer((socket) => accepted.push(socket))
  const accepted: Socket[] = []
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as { port: number }
  const [slow, quick] = [connect(port, '127.0.0.1'), connect(port, '127.0.0.1')]
  onTestFinished(() => {
    for (const socket of [slow, quick, ...accepted]) socket.destroy()
    server.close()
  })
  for (const socket of [slow, quick]) await new Promise((resolve) => socket.once('connect', resolve))
  await expect.poll(() => accepted.length).toBe(2)
  const scratch = new Scratch()
  const lane = (socket: Socket) => {
    let bytes = 0
    const sent = (): number => bytes
    const send = (parts: readonly Uint8Array[]): void => {
      for (const part of parts) {
        bytes += part.length
        socket.write(part)
      }
    }
    return { outgoing: new Outgoing({ send }, socket, scratch, new Slabs(), () => 8_388_608), sent }
  }
  const [to, other] = [lane(slow), lane(quick)]
  const packetOf = (number: number): Uint8Array => new Uint8Array(700).fill(number)
  // Nobody reads at the far end: the kernel's buffers fill, and the rest waits here. Meanwhile the other one is served.
  const frames: number[] = []
  let number = 0
  while (slow.writableLength === 0 || number % 64 !== 0) {
    number += 1
    const before = to.sent()
    to.outgoing.answer({ packet: packetOf(number & 255), outcomes: [DELIVERED] })
    for (let i = 0; i < 4_096; i++) to.outgoing.answer({ packet: packetOf(number & 255), outcomes: [DELIVERED] })
    to.outgoing.flush()
    frames.push(to.sent() - before)
    other.outgoing.answer({ packet: packetOf(0), outcomes: [DELIVERED] })
    other.outgoing.flush()
  }
  const chunks: Buffer[] = []
  let [have, due] = [0, to.sent()]
  const far = accepted.find((socket) => socket.remotePort === slow.localPort)
  await new Promise<void>((resolve) => {
    far?.on('data', (chunk) => {
      chunks.push(chunk)
      have += chunk.length
      if (have === due) resolve()
    })
    accepted.find((socket) => socket !== far)?.resume()
  })
  expect(number).toBeGreaterThan(1)
  expect(frames.reduce((sum, bytes) => sum + bytes, 0)).toBe(due)
  expect(idsOf(Buffer.concat(chunks), frames)).toEqual(frames.map((_, at) => [packetIdAt(packetOf((at + 1) & 255))]))
})

/** Of each turn, the ids of the packets that its answers name, each once. */
function idsOf(bytes: Buffer, turns: readonly number[]): string[][] {
  let at = 0
  return turns.map((length) => {
    const turn = bytes.subarray(at, (at += length))
    const ids = new Set<string>()
    // An answer takes 18 B, so the frames of a turn are told apart by their sizes: all but the last hold as many.
    for (let from = 0; from < turn.length; ) {
      const frame = decodeFrame(turn.subarray(from, Math.min(turn.length, from + FRAME_BYTES)))
      if (!frame.ok || frame.value.type !== 'answer') throw new Error(`not what was sent, at ${at - length + from}`)
      for (const { packet } of frame.value.answers) ids.add(packet)
      from += FRAME_BYTES
    }
    return [...ids]
  })
}
const FRAME_BYTES = 1 + 18 * Math.floor((16_384 - 1) / 18)
