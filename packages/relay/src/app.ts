import { Hono } from 'hono'
import type { Registry } from 'prom-client'

export interface Health {
  readonly status: 'ok' | 'stopping' | 'disk full' | 'disk failed'
  readonly version: string
  readonly connections: number
  readonly mailboxes: number
  readonly storedPackets: number
  readonly storedBytes: number
}

/** The HTTP side, built without listening. Everything else on this port is a WebSocket. */
export function createApp(deps: { health(): Health; registry: Registry }): Hono {
  const app = new Hono()
  // Alive: the process answers. A full disk is for the owner to see, not for a supervisor to restart.
  app.get('/healthz', (c) => c.json(deps.health()))
  app.get('/readyz', (c) => {
    const health = deps.health()
    return c.json(health, health.status === 'ok' ? 200 : 503)
  })
  app.get('/metrics', async (c) =>
    c.text(await deps.registry.metrics(), 200, { 'content-type': deps.registry.contentType }),
  )
  app.notFound((c) => c.text('This is a Sealmesh relay. Nodes reach it by WebSocket.\n', 404))
  return app
}
