import { readFileSync } from 'node:fs'
import { createServer as createHttp } from 'node:http'
import { createServer as createHttps } from 'node:https'
import type { AddressInfo } from 'node:net'
import { type WebSocket, WebSocketServer } from 'ws'

/**
 * What the relay is measured against: as little as passes messages on. No login, no limits, no answers, nothing on
 * disk; ws with bufferutil, compression off.
 *
 *   node bare-forwarder.js [CERTIFICATE KEY]
 *
 * The first message of a connection is its number, 4 B; each later one is the number of whom it is for, and what
 * that one gets.
 */

const [cert, key] = process.argv.slice(2)
const options = { noDelay: true }
const server =
  cert !== undefined && key !== undefined
    ? createHttps({ ...options, cert: readFileSync(cert), key: readFileSync(key) })
    : createHttp(options)
const peers = new Map<number, WebSocket>()

new WebSocketServer({ server, perMessageDeflate: false }).on('connection', (ws) => {
  ws.once('message', (name: Buffer) => {
    const number = name.readUInt32BE()
    peers.set(number, ws)
    ws.on('close', () => peers.delete(number))
    ws.on('message', (message: Buffer) => peers.get(message.readUInt32BE())?.send(message.subarray(4)))
    // Whoever hears this may be sent to.
    ws.send(name)
  })
})
server.listen({ host: '127.0.0.1', port: 0 }, () => {
  process.stdout.write(`${JSON.stringify({ port: (server.address() as AddressInfo).port })}\n`)
})
