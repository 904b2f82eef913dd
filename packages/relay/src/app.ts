import { Hono } from 'hono'
import type { Health } from './control/status.ts'

/**
 * The HTTP side that strangers reach, built without listening. It says whether the relay is there and can store, and
 * no figure; those are for its owner (`control/app.ts`, and the metrics' own address).
 */
export function createApp(deps: { health(): Health }): Hono {
  const app = new Hono()
  // Alive: the process answers. A full disk is for the owner to see, not for a supervisor to restart.
  app.get('/healthz', (c) => c.json({ status: deps.health() }))
  app.get('/readyz', (c) => {
    const status = deps.health()
    return c.json({ status }, status === 'ok' ? 200 : 503)
  })
  app.notFound((c) => c.text('This is a Sealmesh relay. Nodes reach it by WebSocket.\n', 404))
  return app
}
