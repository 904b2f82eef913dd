import { Counter, Registry } from 'prom-client'
import { expect, test } from 'vitest'
import { createApp, type Health } from './app.ts'

const health = (status: Health['status']): Health => ({
  status,
  version: '0.0.0',
  connections: 1,
  mailboxes: 2,
  storedPackets: 3,
  storedBytes: 4,
})
const appWith = (status: Health['status']) => {
  const registry = new Registry()
  new Counter({ name: 'things_total', help: 'Things.', registers: [registry] }).inc(7)
  return createApp({ health: () => health(status), registry })
}

test('a relay that runs is healthy, also when its disk is full, and says which', async () => {
  for (const status of ['ok', 'disk full', 'stopping'] as const) {
    const response = await appWith(status).request('/healthz')
    expect(response.status).toBe(200)
    expect(await response.json()).toMatchObject({ status, storedPackets: 3 })
  }
})

test('it is ready only when it can store', async () => {
  expect((await appWith('ok').request('/readyz')).status).toBe(200)
  for (const status of ['disk full', 'disk failed', 'stopping'] as const)
    expect((await appWith(status).request('/readyz')).status).toBe(503)
})

test('metrics are text that Prometheus reads, and everything else is not there', async () => {
  const response = await appWith('ok').request('/metrics')
  expect(response.headers.get('content-type')).toContain('text/plain')
  expect(await response.text()).toContain('things_total 7')
  expect((await appWith('ok').request('/')).status).toBe(404)
  expect((await appWith('ok').request('/healthz', { method: 'POST' })).status).toBe(404)
})
