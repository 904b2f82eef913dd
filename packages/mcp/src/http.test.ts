import { expect, test } from 'vitest'
import { httpApp } from './http.ts'

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
