import { type AddressInfo, createServer } from 'node:net'

/** Takes connections and what they send, and does nothing with either: what an attack costs the machine by itself. */
const server = createServer((socket) => {
  socket.on('error', () => undefined)
  socket.resume()
})
server.listen({ host: '127.0.0.1', port: 0 }, () => {
  process.stdout.write(`${JSON.stringify({ port: (server.address() as AddressInfo).port })}\n`)
})
