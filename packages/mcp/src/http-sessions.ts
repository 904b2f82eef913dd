import { randomUUID } from 'node:crypto'
import { isInitializeRequest, WebStandardStreamableHTTPServerTransport } from '@modelcontextprotocol/server'
import type { Serving } from './server.ts'

/** Each is an assistant's window; what it costs is some ten kilobytes and, while it listens, a connection. */
export const SESSIONS_MAX = 64

interface Open {
  readonly transport: WebStandardStreamableHTTPServerTransport
  readonly close: () => Promise<void>
}

/**
 * Sessions of clients of the 2025 revision: opened by `initialize`, known by a header, ended by DELETE. They are what
 * such a client can be pushed through. One more than `max` ends the one that has asked nothing for the longest time: a
 * client that crashed never says so.
 */
export class HttpSessions {
  readonly #session: Serving['session']
  readonly #max: number
  /** The one that asked last is the last. */
  readonly #open = new Map<string, Open>()

  constructor(session: Serving['session'], max: number) {
    this.#session = session
    this.#max = max
  }

  /** Undefined for what belongs to no session and opens none. `body`: of a POST, parsed. */
  async serve(request: Request, body: unknown): Promise<Response | undefined> {
    const id = request.headers.get('mcp-session-id')
    const parsed = body === undefined ? {} : { parsedBody: body }
    if (id !== null) {
      const session = this.#open.get(id)
      if (session === undefined) return notFound()
      this.#open.delete(id)
      this.#open.set(id, session)
      return session.transport.handleRequest(request, parsed)
    }
    if (!isInitializeRequest(body)) return undefined
    const transport = await this.#begin(request)
    return transport.handleRequest(request, parsed)
  }

  async close(): Promise<void> {
    await Promise.all([...this.#open.values()].map((session) => session.close()))
  }

  async #begin(request: Request): Promise<WebStandardStreamableHTTPServerTransport> {
    const { server, goodbye } = this.#session({ era: 'legacy', requestInfo: request })
    const close = (): Promise<void> => server.close()
    const transport = new WebStandardStreamableHTTPServerTransport({
      sessionIdGenerator: randomUUID,
      onsessioninitialized: (id) => {
        this.#open.set(id, { transport, close })
        const [oldest] = this.#open
        if (this.#open.size <= this.#max || oldest === undefined) return
        this.#open.delete(oldest[0])
        void oldest[1].close()
      },
      onsessionclosed: (id) => {
        this.#open.delete(id)
        goodbye()
      },
    })
    await server.connect(transport)
    return transport
  }
}

/** What tells a client of the 2025 revision to begin again. */
const notFound = (): Response =>
  Response.json({ jsonrpc: '2.0', error: { code: -32_001, message: 'Session not found' }, id: null }, { status: 404 })
