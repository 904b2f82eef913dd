import { createHash, timingSafeEqual } from 'node:crypto'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { getRequestListener } from '@hono/node-server'
import { createMcpHandler, type McpServerFactory } from '@modelcontextprotocol/server'
import { Hono } from 'hono'

/**
 * Streamable HTTP on loopback. Any page that a browser on this machine shows can send requests to it, so a request
 * must name a loopback host, come from no foreign origin, and bring the agent's token.
 */

const HOST = '127.0.0.1'
const LOOPBACK = new Set(['127.0.0.1', 'localhost', '[::1]'])
/** A call with its arguments: the door takes no longer lines either. */
const BODY_BYTES_MAX = 1_048_576

export interface McpHttp {
  readonly url: string
  close(): Promise<void>
}

/** `port` 0: any that is free. */
export async function serveHttp(
  factory: McpServerFactory,
  { port, token }: { port: number; token: string },
): Promise<McpHttp> {
  const handler = createMcpHandler(factory, { maxRequestBodySize: BODY_BYTES_MAX })
  const app = httpApp((request) => handler.fetch(request), token)
  const listener = getRequestListener(app.fetch)
  const server: Server = createServer((request, response) => void listener(request, response))
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen({ host: HOST, port }, resolve)
  })
  const { port: taken } = server.address() as AddressInfo
  return {
    url: `http://${HOST}:${taken}/mcp`,
    close: async () => {
      await handler.close()
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

/** Built without listening, so that a test can ask it. */
export function httpApp(serve: (request: Request) => Promise<Response>, token: string): Hono {
  const app = new Hono()
  app.all('/mcp', async (context) => {
    const { headers } = context.req.raw
    if (!isLoopback(`http://${headers.get('host') ?? ''}`))
      return context.text('This server answers to loopback names only.', 403)
    const origin = headers.get('origin')
    if (origin !== null && !isLoopback(origin))
      return context.text('Pages of other origins may not call this server.', 403)
    if (!isToken(headers.get('authorization'), token))
      return context.text("Bring the agent's token: Authorization: Bearer …", 401, { 'www-authenticate': 'Bearer' })
    return serve(context.req.raw)
  })
  return app
}

function isLoopback(origin: string): boolean {
  try {
    return LOOPBACK.has(new URL(origin).hostname)
  } catch {
    return false
  }
}

/** Of equal length by hashing, so that the time says nothing. */
function isToken(header: string | null, token: string): boolean {
  const hash = (text: string): Buffer => createHash('sha256').update(text).digest()
  return timingSafeEqual(hash(header ?? ''), hash(`Bearer ${token}`))
}
