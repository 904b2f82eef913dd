import { createHash, timingSafeEqual } from 'node:crypto'
import { createServer, type Server } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { getRequestListener } from '@hono/node-server'
import { createMcpHandler, readRequestBody } from '@modelcontextprotocol/server'
import { Hono } from 'hono'
import { HttpSessions, SESSIONS_MAX } from './http-sessions.ts'
import type { Serving } from './server.ts'

/**
 * Streamable HTTP on loopback. Any page that a browser on this machine shows can send requests to it, so a request
 * must name a loopback host, come from no foreign origin, and bring the agent's token.
 */

const HOST = '127.0.0.1'
const LOOPBACK = new Set(['127.0.0.1', 'localhost', '[::1]'])
/** A call with its arguments: the door takes no longer lines either. */
const BODY_BYTES_MAX = 1_048_576
/** For each session a stream that is listened to and a few calls. */
const CONNECTIONS_MAX = 4 * SESSIONS_MAX
/** Connections that have shown no token, of whatever user: past it the oldest ends, so that nobody is kept out by them. */
const STRANGERS_MAX = 64

export interface McpHttp {
  readonly url: string
  close(): Promise<void>
}

/** `port` 0: any that is free. */
export async function serveHttp(serving: Serving, { port, token }: { port: number; token: string }): Promise<McpHttp> {
  const { serve, close } = httpServing(serving)
  const app = httpApp(serve, token)
  const listener = getRequestListener(app.fetch)
  const strangers = new Set<Socket>()
  const server: Server = createServer((request, response) => {
    if (isToken(request.headers.authorization, token)) strangers.delete(request.socket)
    void listener(request, response)
  })
  server.maxConnections = CONNECTIONS_MAX + STRANGERS_MAX
  server.on('connection', (socket) => {
    strangers.add(socket)
    socket.once('close', () => strangers.delete(socket))
    const [oldest] = strangers
    if (strangers.size > STRANGERS_MAX) oldest?.destroy()
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen({ host: HOST, port }, resolve)
  })
  const { port: taken } = server.address() as AddressInfo
  return {
    url: `http://${HOST}:${taken}/mcp`,
    close: async () => {
      await close()
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

/** Both revisions at one address: 2026 without sessions, 2025 with them or without. */
function httpServing({ factory, session, told }: Serving) {
  const handler = createMcpHandler(factory, { maxSubscriptions: SESSIONS_MAX })
  const sessions = new HttpSessions(session, SESSIONS_MAX)
  const stop = told?.onChange(() => handler.notify.resourceUpdated(told.uri))
  return {
    serve: async (request: Request): Promise<Response> => {
      const body = request.method === 'POST' ? await bodyOf(request) : undefined
      if (body instanceof Response) return body
      return (
        (await sessions.serve(request, body)) ?? handler.fetch(request, body === undefined ? {} : { parsedBody: body })
      )
    },
    close: async (): Promise<void> => {
      stop?.()
      await sessions.close()
      await handler.close()
    },
  }
}

/** Parsed, or the answer to a body that is too long or no JSON. */
async function bodyOf(request: Request): Promise<unknown> {
  const refused = (status: number, code: number, message: string): Response =>
    Response.json({ jsonrpc: '2.0', error: { code, message }, id: null }, { status })
  const read = await readRequestBody(request, BODY_BYTES_MAX)
  if (read.tooLarge) return refused(413, -32_600, `A body has ${BODY_BYTES_MAX} bytes at most.`)
  try {
    return JSON.parse(read.text) as unknown
  } catch {
    return refused(400, -32_700, 'The body is not JSON.')
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
function isToken(header: string | null | undefined, token: string): boolean {
  const hash = (text: string): Buffer => createHash('sha256').update(text).digest()
  return timingSafeEqual(hash(header ?? ''), hash(`Bearer ${token}`))
}
