import fc from 'fast-check'
import { expect, test } from 'vitest'
import { byteString, type Frame, frameOf, FrameReader } from './frames.ts'
import { GARBLED, TOO_LONG } from './line-reader.ts'

const frame: fc.Arbitrary<Frame> = fc.record({
  kind: fc.integer({ min: 0, max: 255 }),
  head: fc.array(fc.nat(255), { maxLength: 40 }).map((bytes) => String.fromCharCode(...bytes)),
  body: fc.string({ unit: 'binary', maxLength: 300 }),
})
const whole = ({ kind, head, body }: Frame): Frame => ({ kind, head: kind === 0 ? '' : head, body })
const bytesOf = ({ kind, head, body }: Frame): Buffer => Buffer.from(frameOf(kind, head, byteString(body)), 'latin1')

test('frames are the same however the stream is cut', () => {
  fc.assert(
    fc.property(
      fc.array(frame, { maxLength: 8 }),
      fc.infiniteStream(fc.integer({ min: 1, max: 500 })),
      (frames, cuts) => {
        const stream = Buffer.concat(frames.map(bytesOf))
        const reader = new FrameReader(4_096)
        const read: unknown[] = []
        for (let at = 0; at < stream.length; ) {
          const to = at + (cuts.next().value as number)
          // Of a chunk of its own, which is written over afterwards, as a socket's might be.
          const chunk = Buffer.from(stream.subarray(at, to))
          reader.push(chunk)
          for (let next = reader.next(); next !== undefined; next = reader.next()) read.push(next)
          chunk.fill(0xee)
          at = to
        }
        expect(read).toEqual(frames.map(whole))
      },
    ),
  )
})

test('a length over the limit is known by its four bytes, and nothing is made for it', () => {
  const reader = new FrameReader(1_000)
  const before = process.memoryUsage().arrayBuffers
  reader.push(Buffer.concat([bytesOf({ kind: 1, head: 'a', body: 'b' }), Buffer.of(0xff, 0xff, 0xff, 0xff)]))
  expect(reader.next()).toEqual({ kind: 1, head: 'a', body: 'b' })
  expect(reader.next()).toBe(TOO_LONG)
  expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(1_048_576)
  const announced = new FrameReader(2 ** 31)
  announced.push(Buffer.of(0x7f, 0xff, 0xff, 0xff, 1))
  expect(announced.next()).toBeUndefined()
  expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(1_048_576)
})

test('what is no frame is told apart from its neighbours', () => {
  const reader = new FrameReader(1_000)
  const sound = bytesOf({ kind: 2, head: 'h', body: '1' })
  const nothing = Buffer.of(0, 0, 0, 0)
  const headPastTheEnd = Buffer.of(0, 0, 0, 4, 1, 0, 9, 65)
  const cutHead = Buffer.of(0, 0, 0, 2, 1, 0)
  const notUtf8 = Buffer.of(0, 0, 0, 2, 0, 0xff)
  reader.push(Buffer.concat([nothing, sound, headPastTheEnd, sound, cutHead, sound, notUtf8, sound]))
  const read = Array.from({ length: 9 }, () => reader.next())
  const good = { kind: 2, head: 'h', body: '1' }
  expect(read).toEqual([GARBLED, good, GARBLED, good, GARBLED, good, GARBLED, good, undefined])
})
