import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { WebSocket, WebSocketServer } from 'ws'
import { writeMessage } from './message.ts'

const server = createServer()
const sockets = new WebSocketServer({ noServer: true, perMessageDeflate: false })
beforeAll(async () => {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
})
afterAll(() => {
  server.close()
})

test('a peer reads messages of every length as they were written, between those of ws', async () => {
  const lengths = [0, 1, 125, 126, 127, 65_535, 65_536, 262_144]
  server.once('upgrade', (request, socket, head) => {
    sockets.handleUpgrade(request, socket, head, (ws) => {
      for (const length of lengths) {
        const bytes = new Uint8Array(length).fill(length % 251)
        writeMessage(socket, [bytes.subarray(0, length >> 1), bytes.subarray(length >> 1)])
      }
      ws.ping()
      ws.send('done')
      ws.close(1000)
    })
  })
  const ws = new WebSocket(`ws://127.0.0.1:${(server.address() as AddressInfo).port}`, { perMessageDeflate: false })
  const got: unknown[] = []
  ws.on('message', (data: Buffer, isBinary) => got.push(isBinary ? [data.length, new Set(data).size] : data.toString()))
  const [code] = (await once(ws, 'close')) as [number]
  expect(got).toEqual([...lengths.map((length) => [length, Math.min(length, 1)]), 'done'])
  expect(code).toBe(1000)
})
