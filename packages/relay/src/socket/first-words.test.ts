import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'
import { setTimeout as pause } from 'node:timers/promises'
import fc from 'fast-check'
import { afterEach, describe, expect, test } from 'vitest'
import { awaitFirstWords, FirstWords, type Language } from './first-words.ts'

const record = (length: number): Uint8Array =>
  Uint8Array.from([0x16, 3, 1, length >> 8, length & 255, ...new Uint8Array(length)])
const ascii = (text: string): Uint8Array => Buffer.from(text, 'latin1')

/** How many bytes were needed, given in pieces; undefined when all were too few. */
function needed(language: Language, bytes: Uint8Array, sizes: readonly number[]): number | undefined {
  const words = new FirstWords(language)
  let at = 0
  for (let piece = 0; at < bytes.length; piece++) {
    const end = Math.min(bytes.length, at + (sizes[piece % sizes.length] ?? 1))
    if (words.isEnough(bytes.subarray(at, end))) return end
    at = end
  }
  return undefined
}

describe('FirstWords', () => {
  test('a record of TLS is enough when all of it is here, in whatever pieces', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 2_000 }),
        fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1 }),
        (length, sizes) => {
          const whole = record(length)
          expect(needed('tls', whole, sizes)).toBe(whole.length)
          expect(needed('tls', whole.subarray(0, -1), sizes)).toBeUndefined()
        },
      ),
    )
  })

  test('a head of HTTP is enough with its empty line, in whatever pieces', () => {
    const heads = fc.string({ maxLength: 300 }).filter((text) => !/\r\n\r\n|\r$/.test(text))
    fc.assert(
      fc.property(heads, fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1 }), (head, sizes) => {
        expect(needed('http', ascii(head), sizes)).toBeUndefined()
        const whole = ascii(`${head}\r\n\r\n`)
        expect(needed('http', whole, sizes)).toBe(whole.length)
      }),
    )
    expect(needed('http', ascii('\r\n\r\r\n\r\n'), [1])).toBe(7)
  })

  test('what is no TLS, or longer than anything honest, is for its protocol to refuse', () => {
    expect(needed('tls', ascii('GET / HTTP/1.1'), [1])).toBe(1)
    expect(needed('tls', record(60_000), [1_000])).toBe(17_000)
    expect(needed('http', new Uint8Array(40_000), [1_000])).toBe(17_000)
  })
})

describe('awaitFirstWords', () => {
  let server: Server | undefined
  const sockets: Socket[] = []
  afterEach(() => {
    for (const socket of sockets.splice(0)) socket.destroy()
    server?.close()
  })

  async function dial(waitMs: number, serve: (socket: Socket) => void, tooLate: (socket: Socket) => void) {
    server = createServer({ allowHalfOpen: true }, (socket) => {
      sockets.push(socket)
      awaitFirstWords(socket, { language: 'http', waitMs, serve, tooLate })
    })
    await once(server.listen(0, '127.0.0.1'), 'listening')
    const socket = connect((server.address() as AddressInfo).port, '127.0.0.1')
    sockets.push(socket)
    await once(socket, 'connect')
    return socket
  }

  test('who is served is given all that was said, and what comes after it, in order', async () => {
    let heard = ''
    const stranger = await dial(
      5_000,
      (socket) => socket.on('data', (chunk: Buffer) => (heard += chunk.toString('latin1'))),
      () => undefined,
    )
    for (const piece of ['GET / HT', 'TP/1.1\r\n', '\r\nbo', 'dy', ' more']) {
      stranger.write(piece)
      await pause(10)
    }
    expect(heard).toBe('GET / HTTP/1.1\r\n\r\nbody more')
  })

  test('who takes too long is told of once, and is not served afterwards', async () => {
    const told: string[] = []
    const stranger = await dial(
      50,
      () => told.push('served'),
      (socket) => {
        told.push('late')
        socket.destroy()
      },
    )
    stranger.write('GET / HTTP/1.1\r\n')
    await once(stranger, 'close')
    expect(told).toEqual(['late'])
  })

  test('who hangs up before is gone without a word, with no half of a connection left', async () => {
    const told: string[] = []
    const stranger = await dial(
      100,
      () => told.push('served'),
      () => told.push('late'),
    )
    stranger.end('GET / HT')
    await once(stranger, 'close')
    await pause(150)
    expect(told).toEqual([])
    expect(sockets[0]?.destroyed).toBe(true)
  })
})
