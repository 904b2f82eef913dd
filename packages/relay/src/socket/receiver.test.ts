import { randomBytes } from 'node:crypto'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { Slabs } from '../core/slabs.ts'
import { Receiver } from './receiver.ts'

const MESSAGE_BYTES_MAX = 262_144
const BYTES_MAX = 200_000
const BINARY = 0x82
const PING = 0x89
const PONG = 0x8a

interface Seen {
  messages: Buffer[]
  /** For ws, one after the other; and whether all of the rest is. */
  passed: Buffer
  isOver: boolean
  allocated: number
}

function receive(reads: readonly Uint8Array[], bytesMax: number | undefined): Seen {
  const slabs = new Slabs()
  const seen: Seen = { messages: [], passed: Buffer.alloc(0), isOver: false, allocated: 0 }
  const pass = (bytes: Uint8Array): void => {
    seen.passed = Buffer.concat([seen.passed, bytes])
  }
  const receiver = new Receiver(
    {
      allocate: (bytes) => {
        seen.allocated += bytes
        return slabs.take(bytes)
      },
      grow: (slab, bytes) => {
        seen.allocated += bytes - slab.length
        return slabs.grow(slab, bytes)
      },
      message: (slab) => {
        seen.messages.push(Buffer.from(slab.memory.subarray(0, slab.length)))
        // As the relay does: its memory is used again.
        slab.holders += 1
        slabs.release(slab)
      },
      pass,
      handOver: (bytes) => {
        seen.isOver = true
        pass(bytes)
      },
    },
    MESSAGE_BYTES_MAX,
  )
  if (bytesMax !== undefined) receiver.bytesMax = bytesMax
  for (const read of reads) {
    const before = Buffer.from(read)
    if (seen.isOver) pass(read)
    else receiver.take(read)
    // ws gets views of it.
    expect(Buffer.compare(before, read)).toBe(0)
  }
  return seen
}

/** A client's frame. */
function frame(first: number, payload: Uint8Array, mask: Uint8Array = randomBytes(4)): Buffer {
  const { length } = payload
  const head = Buffer.alloc(length < 126 ? 2 : length < 65_536 ? 4 : 10)
  head[0] = first
  head[1] = 0x80 | (length < 126 ? length : length < 65_536 ? 126 : 127)
  if (head.length === 4) head.writeUInt16BE(length, 2)
  if (head.length === 10) head.writeBigUInt64BE(BigInt(length), 2)
  return Buffer.concat([head, mask, payload.map((byte, i) => byte ^ mask[i & 3]!)])
}

function split(bytes: Buffer, cuts: readonly number[]): Buffer[] {
  const at = [...new Set(cuts.map((cut) => cut % (bytes.length + 1)))].sort((a, b) => a - b)
  return [...at, bytes.length].map((end, i) => bytes.subarray(at[i - 1] ?? 0, end))
}

test('golden bytes: a message, whole and byte by byte', () => {
  const bytes = Buffer.from('82' + '85' + '37fa213d' + '7f9f4d5158', 'hex')
  for (const reads of [[bytes], [...bytes].map((byte) => Buffer.of(byte))])
    expect(receive(reads, BYTES_MAX).messages).toEqual([Buffer.from('Hello')])
})

test('messages of every length arrive as they were sent, wherever the reads end, and control frames go to ws', () => {
  const some = fc.record({
    first: fc.constantFrom(BINARY, BINARY, BINARY, PING, PONG),
    length: fc.oneof(
      fc.nat(300),
      fc.constantFrom(0, 125, 126, 127, 65_535, 65_536, 65_537, 200_000, MESSAGE_BYTES_MAX),
    ),
    mask: fc.uint8Array({ minLength: 4, maxLength: 4 }),
  })
  fc.assert(
    fc.property(fc.array(some, { maxLength: 8 }), fc.array(fc.nat(), { maxLength: 40 }), (frames, cuts) => {
      const messages: Buffer[] = []
      const passed: Buffer[] = []
      const all = frames.map(({ first, length, mask }) => {
        const payload = randomBytes(first === BINARY ? length : Math.min(length, 125))
        const bytes = frame(first, payload, mask)
        if (first === BINARY && length <= BYTES_MAX) messages.push(payload)
        else passed.push(bytes)
        return bytes
      })
      const seen = receive(split(Buffer.concat(all), cuts), BYTES_MAX)
      expect(seen.messages.map((each) => each.length)).toEqual(messages.map((each) => each.length))
      for (const [i, each] of messages.entries()) expect(Buffer.compare(seen.messages[i]!, each)).toBe(0)
      expect(Buffer.compare(seen.passed, Buffer.concat(passed))).toBe(0)
      expect(seen.isOver).toBe(false)
    }),
    { numRuns: 150 },
  )
})

test('what is not a whole binary message or a ping goes to ws, and everything after it', () => {
  const good = frame(BINARY, Buffer.from('good'))
  const unmasked = Buffer.from([BINARY, 4, 1, 2, 3, 4])
  const tooLong = Buffer.concat([Buffer.from([BINARY, 0xff, 0, 0, 0, 0]), Buffer.alloc(4)])
  tooLong.writeUInt32BE(MESSAGE_BYTES_MAX + 1, 6)
  const hostile: Record<string, Buffer> = {
    unmasked,
    tooLong,
    farTooLong: Buffer.from([BINARY, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 2, 3, 4]),
    longPing: Buffer.from([PING, 0xfe, 0, 126, 1, 2, 3, 4]),
    unmaskedPing: Buffer.from([PING, 0]),
  }
  for (let first = 0; first < 256; first++)
    if (![BINARY, PING, PONG].includes(first)) hostile[`first ${first}`] = frame(first, Buffer.from('any'))
  for (const [name, bytes] of Object.entries(hostile)) {
    const all = Buffer.concat([good, bytes, good])
    for (const reads of [[all], [...all].map((byte) => Buffer.of(byte))]) {
      const seen = receive(reads, BYTES_MAX)
      expect(seen.messages, name).toEqual([Buffer.from('good')])
      expect(seen.isOver, name).toBe(true)
      expect(Buffer.compare(seen.passed, Buffer.concat([bytes, good])), name).toBe(0)
      expect(seen.allocated, name).toBe(4)
    }
  }
})

test('for a stranger nothing is allocated: ws reads its frames', () => {
  const frames = [frame(BINARY, randomBytes(3_000)), frame(BINARY, Buffer.alloc(0)), frame(BINARY, Buffer.from('x'))]
  const seen = receive(frames, undefined)
  expect(seen.allocated).toBe(0)
  expect(seen.messages).toEqual([])
  expect(Buffer.compare(seen.passed, Buffer.concat(frames))).toBe(0)
})

test('whatever it is given, it does not throw, and allocates no more than a message for each that has begun', () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 40 }), { maxLength: 20 }), fc.boolean(), (reads, isFrame) => {
      const all = isFrame ? reads.map((read) => Buffer.concat([Buffer.of(BINARY, 0xfe), read])) : reads
      const seen = receive(all, BYTES_MAX)
      expect(seen.allocated).toBeLessThanOrEqual((seen.messages.length + 1) * BYTES_MAX)
    }),
    { numRuns: 2_000 },
  )
})

test('who announces a long message holds memory for what has come of it, four times at most', () => {
  const long = frame(BINARY, randomBytes(BYTES_MAX))
  for (const bytes of [14, 1_000, 49_000]) expect(receive([long.subarray(0, bytes)], BYTES_MAX).allocated).toBe(65_536)
  expect(receive([long.subarray(0, 70_000)], BYTES_MAX).allocated).toBe(BYTES_MAX)
  const slow = Array.from({ length: 20 }, (_, at) =>
    long.subarray(at * 10_000, at === 19 ? undefined : (at + 1) * 10_000),
  )
  for (const parts of [5, 8, 20])
    expect(receive(slow.slice(0, parts), BYTES_MAX).allocated).toBe(parts < 7 ? 65_536 : BYTES_MAX)
})
