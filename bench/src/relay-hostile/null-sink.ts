import { type AddressInfo, createServer } from 'node:net'

/**
 * Takes connections and what they send: what an attack costs the machine by itself. An upgrade is answered, in bytes that
 * are always the same: otherwise those who attack a WebSocket would wait for one, and attack the sink less.
 */
const server = createServer((socket) => {
  socket.on('error', () => undefined)
  socket.once('data', (bytes) => {
    if (bytes.includes('Upgrade: websocket')) socket.write(ANSWER)
  })
})

/** As long as a relay's, with its challenge. */
const CHALLENGE_BYTES = 84
const ANSWER = Buffer.concat([
  Buffer.from(
    'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n',
  ),
  Buffer.from([0x82, CHALLENGE_BYTES]),
  Buffer.alloc(CHALLENGE_BYTES),
])

server.listen({ host: '127.0.0.1', port: 0 }, () => {
  process.stdout.write(`${JSON.stringify({ port: (server.address() as AddressInfo).port })}\n`)
})
