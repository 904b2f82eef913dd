import { expect, onTestFinished, test } from 'vitest'
import { httpApp, serveHttp } from './http.ts'
import { serving } from './server.ts'
import { deliveryOf, TestAgent } from './test-agent.ts'

const app = httpApp(async () => new Response('served'), 'secret')
const ask = (headers: Record<string, string>): Promise<Response> =>
  Promise.resolve(app.request('http://127.0.0.1:4000/mcp', { method: 'POST', headers }))

const GOOD = { host: '127.0.0.1:4000', authorization: 'Bearer secret' }

test('only a loopback host, no foreign origin, and the token are let in', async () => {
  expect(await (await ask(GOOD)).text()).toBe('served')
  expect((await ask({ ...GOOD, host: 'localhost:4000', origin: 'http://localhost:5173' })).status).toBe(200)
  expect((await ask({ ...GOOD, host: 'evil.example' })).status).toBe(403)
  expect((await ask({ ...GOOD, host: '127.0.0.1.evil.example:4000' })).status).toBe(403)
  expect((await ask({ ...GOOD, origin: 'https://evil.example' })).status).toBe(403)
  expect((await ask({ ...GOOD, origin: 'null' })).status).toBe(403)
  expect((await ask({ host: GOOD.host })).status).toBe(401)
  expect((await ask({ ...GOOD, authorization: 'Bearer wrong' })).status).toBe(401)
})

test('what a client has read before it ends its session does not come again', async () => {
  const agent = new TestAgent('claude')
  const { url, close } = await serveHttp(serving({ version: '0', agent }), { port: 0, token: 'secret' })
  onTestFinished(close)
  const headers = {
    authorization: 'Bearer secret',
    'content-type': 'application/json',
    accept: 'application/json, text/event-stream',
  }
  const post = (method: string, params: object, more = {}): Promise<Response> =>
    fetch(url, {
      method: 'POST',
      headers: { ...headers, ...more },
      body: JSON.stringify({ jsonrpc: '2.0', id: 1, method, params }),
    })
  const hello = { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'bare', version: '0' } }
  const session = { 'mcp-session-id': (await post('initialize', hello)).headers.get('mcp-session-id') ?? '' }
  agent.deliver(deliveryOf(1))
  const read = await post('tools/call', { name: 'mesh_inbox', arguments: {} }, session)
  expect(await read.text()).toContain('hello')
  expect(agent.done).toEqual([])
  expect((await fetch(url, { method: 'DELETE', headers: { ...headers, ...session } })).status).toBe(200)
  expect(agent.done).toEqual(['m1'])
})
