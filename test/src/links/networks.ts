import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import { createServer as createWebServer } from 'node:https'
import { type AddressInfo, connect, type Server as TcpServer, type Socket } from 'node:net'
import { join } from 'node:path'
import { connect as connectTls, createServer as createTlsServer } from 'node:tls'
import type { Duplex } from 'node:stream'

/** Networks as companies have them, each a real server on loopback. */
export interface Network {
  readonly port: number
  close(): Promise<void>
}

export interface TestProxy extends Network {
  /** What it was asked for, in order. */
  readonly asked: string[]
}

/** An HTTP proxy that opens tunnels, for whoever shows these credentials if it wants any. */
export async function startProxy(credentials?: string): Promise<TestProxy> {
  const asked: string[] = []
  const wanted = credentials === undefined ? undefined : `Basic ${Buffer.from(credentials).toString('base64')}`
  const server = createServer((_, response) => void response.writeHead(405).end())
  server.on('connect', (request, socket) => {
    asked.push(request.url ?? '')
    if (wanted !== undefined && request.headers['proxy-authorization'] !== wanted)
      return void socket.end('HTTP/1.1 407 Proxy Authentication Required\r\n\r\n')
    const { hostname, port } = new URL(`http://${request.url}`)
    const onward = connect(Number(port), hostname, () => {
      socket.write('HTTP/1.1 200 Connection established\r\n\r\n')
      joined(socket, onward)
    })
    onward.on('error', () => socket.end('HTTP/1.1 502 Bad Gateway\r\n\r\n'))
  })
  return { ...(await listening(server)), asked }
}

/** A network that ends TLS with a certificate of its own and begins it anew towards the relay. */
export const startReplacer = (certificate: Certificate, relayPort: number): Promise<Network> =>
  listening(
    createTlsServer(certificate, (socket) => {
      joined(socket, connectTls({ port: relayPort, host: '127.0.0.1', rejectUnauthorized: false }))
    }),
  )

/** A web server with pages of its own, which has a relay behind `/relay`. */
export async function startWebServer(certificate: Certificate, relayPort: number): Promise<Network> {
  const server = createWebServer(certificate, (_, response) => void response.end('a page'))
  server.on('upgrade', (request, socket: Duplex, head: Buffer) => {
    if (request.url !== '/relay') return void socket.end('HTTP/1.1 404 Not Found\r\n\r\n')
    const onward = connectTls({ port: relayPort, host: '127.0.0.1', rejectUnauthorized: false }, () => {
      const lines = request.rawHeaders.flatMap((name, at) =>
        at % 2 === 0 ? [`${name}: ${request.rawHeaders[at + 1]}`] : [],
      )
      onward.write(`GET / HTTP/1.1\r\n${lines.join('\r\n')}\r\n\r\n`)
      onward.write(head)
      joined(socket, onward)
    })
  })
  return listening(server)
}

export interface Certificate {
  readonly key: Buffer
  readonly cert: Buffer
}

/** That of a relay, where its data lies. */
export const certificateOf = (data: string): Certificate => ({
  key: readFileSync(join(data, 'tls.key')),
  cert: readFileSync(join(data, 'tls.crt')),
})

async function listening(server: Server | TcpServer): Promise<Network> {
  const sockets = new Set<Socket>()
  server.on('connection', (socket: Socket) => {
    sockets.add(socket)
    socket.on('error', () => undefined)
    socket.on('close', () => sockets.delete(socket))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    port: (server.address() as AddressInfo).port,
    close: async () => {
      for (const socket of sockets) socket.destroy()
      server.close()
      await once(server, 'close')
    },
  }
}

function joined(one: Duplex, other: Duplex): void {
  for (const [from, to] of [
    [one, other],
    [other, one],
  ] as const) {
    from.pipe(to)
    from.on('error', () => to.destroy())
    from.on('close', () => to.destroy())
  }
}
