import { Duplex } from 'node:stream'
import { packetIdAt } from '@sealmesh/protocol/envelope/header'
import { decodeFrame, DELIVERED, type Frame, STORED } from '@sealmesh/protocol/wire/frame'
import { expect, test } from 'vitest'
import { Outgoing } from './outgoing.ts'
import { Slabs } from '../core/slabs.ts'
import { Scratch } from './scratch.ts'

/** A socket that takes nothing until it is told to, and the frames that were handed to it. */
function scene() {
  const frames: Frame[] = []
  let room = false
  const waiting: (() => void)[] = []
  const socket = new Duplex({
    highWaterMark: 16_384,
    read: () => undefined,
    write: (_chunk, _encoding, done) => (room ? done() : void waiting.push(done)),
  })
  const outgoing = new Outgoing(
    {
      send: (parts) => {
        const bytes = Buffer.concat(parts)
        const frame = decodeFrame(bytes)
        if (frame.ok) frames.push(frame.value)
        socket.write(bytes)
      },
    },
    socket,
    new Scratch(),
    new Slabs(),
    () => 8_388_608,
  )
  const open = (): void => {
    room = true
    for (const done of waiting.splice(0)) done()
  }
  return { frames, outgoing, open, socket }
}
const types = (frames: readonly Frame[]): string[] => frames.map(({ type }) => type)
const packet = (sequence: number, bytes: number) => ({ sequence, packet: new Uint8Array(bytes) })
const answer = { packet: new Uint8Array(700), outcomes: [DELIVERED] }

test('all packets and all answers of a turn share a frame each, and control goes first', () => {
  const { frames, outgoing } = scene()
  for (let i = 1; i <= 5; i++) outgoing.packet(packet(i, 100))
  for (let i = 0; i < 5; i++) outgoing.answer(answer)
  outgoing.control({ type: 'pong', number: 1 })
  outgoing.flush()
  expect(types(frames)).toEqual(['pong', 'answer', 'deliver'])
})

test('what must not overtake packets does not, and a goodbye ends the talk without them', () => {
  const { frames, outgoing } = scene()
  outgoing.packet(packet(1, 100))
  outgoing.inOrder({ type: 'drained' })
  outgoing.packet(packet(2, 100))
  outgoing.flush()
  expect(types(frames)).toEqual(['deliver', 'drained', 'deliver'])
  outgoing.packet(packet(3, 100))
  outgoing.answer(answer)
  outgoing.last({ type: 'goodbye', reason: 'RELAY_RESTARTING', retryAfterMs: 1 })
  outgoing.flush()
  expect(types(frames).slice(3)).toEqual(['answer', 'goodbye'])
})

test('packets wait while the socket is behind, and control frames do not', async () => {
  const { frames, outgoing, open, socket } = scene()
  for (let i = 1; i <= 20; i++) outgoing.packet(packet(i, 200_000))
  outgoing.flush()
  const handed = frames.length
  expect(handed).toBeLessThan(6)
  outgoing.control({ type: 'pong', number: 1 })
  outgoing.flush()
  expect(types(frames).slice(handed)).toEqual(['pong'])
  for (let guard = 0; frames.length < 21 && guard < 40; guard++) {
    const drained = new Promise((resolve) => socket.once('drain', resolve))
    open()
    await drained
    outgoing.flush()
  }
  expect(frames.filter(({ type }) => type === 'deliver')).toHaveLength(20)
})

test('a peer that sends and never reads overflows', () => {
  const { outgoing } = scene()
  let flushed = 'ok'
  for (let i = 0; i < 200 && flushed === 'ok'; i++) {
    for (let j = 0; j < 1_000; j++) outgoing.answer(answer)
    flushed = outgoing.flush()
  }
  expect(flushed).toBe('overflow')
})

test('a peer that acknowledges packets without reading them overflows', () => {
  const { outgoing } = scene()
  let flushed = 'ok'
  let handed = 0
  for (; handed < 100 && flushed === 'ok'; handed++) {
    outgoing.packet(packet(handed, 200_000))
    flushed = outgoing.flush()
  }
  expect(flushed).toBe('overflow')
  expect(handed * 200_000).toBeGreaterThan(8_388_608)
})

test('an answer names the packet that it is about', () => {
  const { frames, outgoing } = scene()
  const packet = Uint8Array.from({ length: 700 }, (_, i) => i % 251)
  outgoing.answer({ packet, outcomes: [DELIVERED, STORED] })
  outgoing.flush()
  expect(frames).toEqual([{ type: 'answer', answers: [{ packet: packetIdAt(packet), outcomes: [DELIVERED, STORED] }] }])
})
