import { expect, test } from 'vitest'
import { createApp } from './app.ts'
import type { Health } from './control/status.ts'

const appWith = (status: Health) => createApp({ health: () => status })

test('a relay that runs is healthy, also when its disk is full, and says which', async () => {
  for (const status of ['ok', 'disk full', 'stopping'] as const) {
    const response = await appWith(status).request('/healthz')
    expect(response.status).toBe(200)
    expect(await response.json()).toEqual({ status })
  }
})

test('it is ready only when it can store', async () => {
  expect((await appWith('ok').request('/readyz')).status).toBe(200)
  for (const status of ['starting', 'disk full', 'disk failed', 'stopping'] as const)
    expect((await appWith(status).request('/readyz')).status).toBe(503)
})

test('strangers read no metrics, and everything else is not there', async () => {
  for (const path of ['/metrics', '/', '/status']) expect((await appWith('ok').request(path)).status).toBe(404)
  expect((await appWith('ok').request('/healthz', { method: 'POST' })).status).toBe(404)
})
