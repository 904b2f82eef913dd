import { Server } from '@hocuspocus/server'

/** Hocuspocus as it is fastest: no extension, so nothing is stored, and nothing printed. */
const server = new Server({ port: 0, address: '127.0.0.1', quiet: true, stopOnSignals: false })
await server.listen()
process.on('message', () => process.exit(0))
process.send?.({ type: 'listening', port: server.address.port })
