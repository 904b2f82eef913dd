import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:http'
import { createServer as createSecure } from 'node:https'
import type { AddressInfo } from 'node:net'
import { Duplex } from 'node:stream'
import { FRAME_BYTES_MAX } from '@sealmesh/protocol/limits'
import { generate } from 'selfsigned'
import { expect, onTestFinished, test } from 'vitest'
import { WebSocket, WebSocketServer } from 'ws'
import { Slabs } from '../core/slabs.ts'
import { readAheadOfWs } from './reads.ts'
import { readShared } from './shared-reads.ts'

/** What the far end has heard, in order, and how. */
async function overRealSockets(secure: boolean, serve: (ws: WebSocket, socket: Duplex) => void): Promise<WebSocket> {
  const { private: key, cert } = await generate([], { keyType: 'ec' })
  const server = secure ? createSecure({ key, cert }) : createServer()
  const sockets = new WebSocketServer({ noServer: true, perMessageDeflate: false, maxPayload: FRAME_BYTES_MAX })
  server.on('upgrade', (request, socket, head) => {
    sockets.handleUpgrade(request, socket, head, (ws) => serve(ws, socket))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const url = `${secure ? 'wss' : 'ws'}://127.0.0.1:${(server.address() as AddressInfo).port}`
  const client = new WebSocket(url, { perMessageDeflate: false, rejectUnauthorized: false })
  onTestFinished(() => {
    client.terminate()
    server.close()
    server.closeAllConnections()
  })
  await once(client, 'open')
  return client
}

test.each([false, true])(
  'messages, pings and a text at the end arrive in order over real sockets, TLS %s',
  async (secure) => {
    const heard: string[] = []
    let isDone: () => void = () => undefined
    const done = new Promise<void>((resolve) => {
      isDone = resolve
    })
    const slabs = new Slabs()
    let reads = 0
    const client = await overRealSockets(secure, (ws, socket) => {
      const receiver = readAheadOfWs(socket, FRAME_BYTES_MAX, {
        allocate: (bytes) => slabs.take(bytes),
        grow: (slab, bytes) => slabs.grow(slab, bytes),
        message: (slab) => {
          reads += 1
          heard.push(Buffer.from(slab.memory.subarray(0, slab.length)).toString('base64'))
          slab.holders += 1
          slabs.release(slab)
          // As it is when a sender is over its rate.
          if (reads % 7 === 0) {
            ws.pause()
            setTimeout(() => ws.resume(), 1)
          }
        },
      })
      receiver!.bytesMax = FRAME_BYTES_MAX
      ws.on('ping', (bytes) => heard.push(`ping ${String(bytes)}`))
      ws.on('message', (bytes: Buffer, isBinary) => {
        heard.push(isBinary ? bytes.toString('base64') : `text ${bytes.toString()}`)
        if (!isBinary) isDone()
      })
    })
    const said: string[] = []
    for (let at = 0; at < 120; at++) {
      const bytes = randomBytes(at % 10 === 0 ? FRAME_BYTES_MAX - at : at * 97)
      said.push(bytes.toString('base64'))
      client.send(bytes)
      if (at % 9 > 0) continue
      said.push(`ping ${at}`)
      client.ping(String(at))
    }
    // From here on all is for ws.
    for (const bytes of [Buffer.from('first'), randomBytes(100_000)]) {
      client.send(bytes, { fin: false })
      client.send(bytes, { fin: true })
      said.push(Buffer.concat([bytes, bytes]).toString('base64'))
    }
    said.push('text end')
    client.send('end')
    await done
    expect(heard).toEqual(said)
    expect(reads).toBe(120)
  },
)

test('sockets of this Node are read into shared memory, those that are none are not', async () => {
  for (const secure of [false, true]) {
    const seen: Buffer[] = []
    const closed = new Promise<void>((resolve) => {
      void overRealSockets(secure, (ws, socket) => {
        socket.removeAllListeners('data')
        expect(readShared(socket, (bytes) => seen.push(Buffer.from(bytes)))).toBe(true)
        expect(readShared(socket, () => undefined)).toBe(false)
        ws.on('close', () => resolve())
      }).then((client) => {
        client.send(Buffer.alloc(10))
        setTimeout(() => client.terminate(), 50)
      })
    })
    await closed
    expect(Buffer.concat(seen)).toHaveLength(16)
  }
  expect(readShared(new Duplex({ read: () => undefined }), () => undefined)).toBe(false)
})
