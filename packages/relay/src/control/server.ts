import { chmod } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { getRequestListener } from '@hono/node-server'
import { Failure } from '@sealmesh/protocol/errors'
import type { Hono } from 'hono'
import { errnoOf } from '../data/data-directory.ts'

export interface Serving {
  /** Of one that listens on a port. */
  readonly port: number
  close(): Promise<void>
}

const REQUEST_WAIT_MS = 5_000
/** Verbs and a Prometheus or two. */
const CONNECTIONS_MAX = 32

/** An HTTP server of its own for the owner: on a Unix socket that nobody else may open, or on an address for metrics. */
export async function serve(
  app: Hono,
  at: { readonly path: string } | { readonly host: string; readonly port: number },
): Promise<Serving> {
  const answer = getRequestListener(app.fetch)
  const server = createServer(
    { headersTimeout: REQUEST_WAIT_MS, requestTimeout: REQUEST_WAIT_MS },
    (request, response) => void answer(request, response),
  )
  server.maxConnections = CONNECTIONS_MAX
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error) => reject(cannotListen(at, error)))
    server.listen(at, () => resolve())
  })
  if ('path' in at && process.platform !== 'win32') await chmod(at.path, 0o600)
  const address = server.address() as AddressInfo | string
  return {
    port: typeof address === 'string' ? 0 : address.port,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}

function cannotListen(at: object, error: Error): Failure {
  const errno = errnoOf(error) ?? 'unknown error'
  if ('path' in at)
    return new Failure('HOME_UNUSABLE', `The data directory takes no socket (${errno}).`, {
      cause: error,
      next: 'use one on a local disk: --data DIR',
    })
  const code = errno === 'EADDRINUSE' ? 'PORT_IN_USE' : 'ADDRESS_UNAVAILABLE'
  return new Failure(code, `Metrics cannot be served at the address that is set (${errno}).`, {
    cause: error,
    next: 'choose another in [metrics], or with --metrics ADDRESS:PORT',
  })
}
