import { request } from 'node:http'
import { connect } from 'node:net'
import { setTimeout as pause } from 'node:timers/promises'
import { MESH_TOOLS } from '@sealmesh/mcp/tools/mesh-tools'
import { describe, expect, onTestFinished, test } from 'vitest'
import { agentsNode } from '../agents/agents-node.ts'
import { until } from '../processes/wait.ts'
import { served } from './served.ts'
import { type Address, DIALS, type McpSession, newClient, oldClient } from './servers.ts'

/** Streamable HTTP on a real socket, asked by the published clients, and by others who should get nothing. */

const INBOX = 'sealmesh://inbox'

async function dialed(dial: (to: Address) => Promise<McpSession>, to: Address): Promise<McpSession> {
  const session = await dial(to)
  onTestFinished(() => session.close())
  return session
}

interface Asked {
  readonly headers?: Record<string, string>
  readonly body?: string
  readonly method?: string
}
interface Answered {
  readonly status: number
  readonly session: string | undefined
  readonly text: string
}

/** Not `fetch`, which lets nobody say another host. */
function ask(url: string, { headers = {}, body, method = 'POST' }: Asked): Promise<Answered> {
  return new Promise((resolve, reject) => {
    const asking = request(url, { method, headers: { ...JSON_HEADERS, ...headers } }, (response) => {
      const parts: Buffer[] = []
      response.on('data', (part: Buffer) => parts.push(part))
      response.on('end', () =>
        resolve({
          status: response.statusCode ?? 0,
          session: response.headers['mcp-session-id'] as string | undefined,
          text: Buffer.concat(parts).toString(),
        }),
      )
    })
    asking.on('error', reject)
    asking.end(body)
  })
}
const JSON_HEADERS = { 'content-type': 'application/json', accept: 'application/json, text/event-stream' }
const bearer = (token: string) => ({ authorization: `Bearer ${token}` })

const initialize = JSON.stringify({
  jsonrpc: '2.0',
  id: 1,
  method: 'initialize',
  params: { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'bare', version: '0' } },
})
const list = JSON.stringify({ jsonrpc: '2.0', id: 2, method: 'tools/list', params: {} })

describe.each(Object.entries(DIALS))('%s', (_, dial) => {
  test('lists the tools, is told of a message that comes, and reads it', async () => {
    const node = await agentsNode(['claude', 'codex'])
    const codex = await node.attach('codex')
    const session = await dialed(dial, await served(node, 'claude'))
    expect(await session.tools()).toEqual([...MESH_TOOLS])
    let told = 0
    await session.onUpdate(INBOX, () => (told += 1))
    await codex.send({ to: 'claude', type: 'text', payload: 'the build is red' })
    await until('it was told', async () => told > 0)
    expect(await session.resource(INBOX)).toEqual({ unread: 1 })
    expect((await session.call('mesh_inbox')).structured).toMatchObject({
      messages: [{ from: 'codex@home', payload: 'the build is red', untrusted: true }],
    })
  })

  test('is told when the graph of the memory server changes, whoever changes it', async () => {
    const node = await agentsNode(['claude'])
    const address = await served(node, 'claude', { compat: 'server-memory' })
    const [mine, other] = [await dialed(dial, address), await dialed(newClient, address)]
    let told = 0
    await mine.onUpdate('memory://knowledge-graph', () => (told += 1))
    const entity = { name: 'Anna', entityType: 'person', observations: ['likes tea'] }
    await other.call('create_entities', { entities: [entity] })
    await until('it was told', async () => told > 0)
    expect(await mine.resource('memory://knowledge-graph')).toEqual({ entities: [entity], relations: [] })
  })
})

test('whoever comes under another name, from another page, or without the token is let in nowhere', async () => {
  const node = await agentsNode(['claude', 'codex'])
  const { url, token } = await served(node, 'claude')
  const { port } = new URL(url)
  const good = { ...bearer(token), host: `localhost:${port}`, origin: `http://localhost:${port}` }
  expect(await ask(url, { headers: good, body: initialize })).toMatchObject({ status: 200 })
  const { session = '' } = await ask(url, { headers: good, body: initialize })
  const strangers: Record<string, string>[] = [
    // A name of somebody else's that leads here: DNS rebinding.
    { ...good, host: `evil.example:${port}` },
    { ...good, host: `127.0.0.1.evil.example:${port}` },
    { ...good, host: `localhost@evil.example:${port}` },
    { ...good, origin: 'https://evil.example' },
    { ...good, origin: `http://localhost.evil.example:${port}` },
    { ...good, origin: 'null' },
    { host: good.host },
    { ...good, authorization: '' },
    { ...good, authorization: token },
    { ...good, authorization: `Bearer ${token}x` },
    { ...good, authorization: `Basic ${Buffer.from(`claude:${token}`).toString('base64')}` },
    // Another agent's token is not this one's.
    { ...good, ...bearer(node.tokens.get('codex') ?? '') },
  ]
  for (const headers of strangers) {
    for (const asked of [
      { body: initialize },
      { body: list },
      { body: list, headers: { 'mcp-session-id': session } },
      { method: 'GET', headers: { 'mcp-session-id': session, accept: 'text/event-stream' } },
      { method: 'DELETE', headers: { 'mcp-session-id': session } },
    ]) {
      const { status, text, session: given } = await ask(url, { ...asked, headers: { ...asked.headers, ...headers } })
      expect([400, 401, 403], JSON.stringify(headers)).toContain(status)
      expect(given).toBeUndefined()
      expect(text).not.toContain(token)
      expect(text).not.toContain('mesh_status')
    }
  }
  // None of them has ended it.
  const still = await ask(url, { headers: { ...good, 'mcp-session-id': session }, body: list })
  expect(still.text).toContain('mesh_status')
})

test('a session outlives a node that was away for longer than a call waits', async () => {
  const node = await agentsNode(['claude', 'codex'])
  // Gives up at the first attempt that fails.
  const session = await dialed(oldClient, await served(node, 'claude', { patienceMs: 0 }))
  let told = 0
  await session.onUpdate(INBOX, () => (told += 1))
  await session.call('memory_put', { umr: 'claude.semantic.note', value: 1 })
  await node.restart()
  await until('it is there again', async () => !(await session.call('mesh_status')).isError)
  expect((await session.call('memory_get', { umr: 'claude.semantic.note' })).structured).toMatchObject({
    item: { value: '1' },
  })
  const codex = await node.attach('codex')
  await codex.send({ to: 'claude', type: 'text', payload: 'good morning' })
  await until('it was told', async () => told > 0)
})

test('a second window reads messages once the first is gone, and is told of them', async () => {
  const node = await agentsNode(['claude', 'codex'])
  const codex = await node.attach('codex')
  const first = await node.attach('claude')
  const second = await dialed(oldClient, await served(node, 'claude'))
  let told = 0
  await second.onUpdate(INBOX, () => (told += 1))
  expect(await second.call('mesh_inbox')).toMatchObject({ isError: true })
  await first.detach()
  await codex.send({ to: 'claude', type: 'text', payload: 'good morning' })
  await until('it was told', async () => told > 0)
  expect((await second.call('mesh_inbox')).structured).toMatchObject({ messages: [{ payload: 'good morning' }] })
})

test.each([
  ['the client of the first generation', oldClient],
  ['the client of the second generation', newClient],
] as const)('a session of %s ends when it says so, and is then known no more', async (_, dial) => {
  const node = await agentsNode(['claude'])
  const address = await served(node, 'claude')
  const bare = await ask(address.url, { headers: bearer(address.token), body: initialize })
  const headers = { ...bearer(address.token), 'mcp-session-id': bare.session ?? '' }
  expect((await ask(address.url, { headers, body: list })).text).toContain('mesh_status')
  expect(await ask(address.url, { method: 'DELETE', headers })).toMatchObject({ status: 200 })
  expect(await ask(address.url, { headers, body: list })).toMatchObject({ status: 404 })
  const session = await dial(address)
  expect(await session.tools()).toHaveLength(MESH_TOOLS.length)
  await session.leave()
  await expect(session.call('mesh_status')).rejects.toThrow()
})

test('a message that came to a client whose connection was gone is there for its next question', async () => {
  const node = await agentsNode(['claude', 'codex'])
  const codex = await node.attach('codex')
  const address = await served(node, 'claude')
  const { session } = await ask(address.url, { headers: bearer(address.token), body: initialize })
  const headers = { ...JSON_HEADERS, ...bearer(address.token), 'mcp-session-id': session ?? '' }
  const inbox = (id: number, waitSeconds: number): string =>
    JSON.stringify({
      jsonrpc: '2.0',
      id,
      method: 'tools/call',
      params: { name: 'mesh_inbox', arguments: { waitSeconds } },
    })
  const asking = request(address.url, { method: 'POST', headers })
  asking.on('error', () => undefined)
  const answered = new Promise((resolve) => asking.once('response', resolve))
  asking.end(inbox(2, 30))
  // The answer begins with its headers, and then waits.
  await answered
  asking.destroy()
  // Until the server has seen that: nothing tells when.
  await pause(500)
  await codex.send({ to: 'claude', type: 'text', payload: 'good morning', durable: true })
  expect((await ask(address.url, { headers, body: inbox(3, 10) })).text).toContain('good morning')
})

test('of sessions there are no more than the bound: the one that has asked nothing for longest ends', async () => {
  const node = await agentsNode(['claude'])
  const { url, token } = await served(node, 'claude')
  const begin = async (): Promise<string> =>
    (await ask(url, { headers: bearer(token), body: initialize })).session ?? ''
  const status = async (session: string): Promise<number> =>
    (await ask(url, { headers: { ...bearer(token), 'mcp-session-id': session }, body: list })).status
  const first = await begin()
  const second = await begin()
  for (let n = 2; n < 64; n++) await begin()
  expect(await status(first)).toBe(200)
  const last = await begin()
  expect(await status(second)).toBe(404)
  expect(await status(first)).toBe(200)
  expect(await status(last)).toBe(200)
})

test('a body over the bound, or that is no JSON, is refused whoever sends it', async () => {
  const node = await agentsNode(['claude'])
  const { url, token } = await served(node, 'claude')
  const large = JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/list', params: { x: 'x'.repeat(1_048_576) } })
  expect(await ask(url, { headers: bearer(token), body: large })).toMatchObject({ status: 413 })
  const chunked = { ...bearer(token), 'transfer-encoding': 'chunked' }
  expect(await ask(url, { headers: chunked, body: large })).toMatchObject({ status: 413 })
  for (const body of ['{', '', '\0'])
    expect(await ask(url, { headers: bearer(token), body })).toMatchObject({ status: 400 })
  const plain = { ...bearer(token), 'content-type': 'text/plain' }
  expect((await ask(url, { headers: plain, body: initialize })).status).toBe(415)
  expect((await ask(url, { headers: bearer(token), body: list })).text).toContain('mesh_status')
})

test('those that show no token keep nobody out who has one', async () => {
  const node = await agentsNode(['claude'])
  const { url, token } = await served(node, 'claude')
  const { port } = new URL(url)
  for (let i = 0; i < 400; i++) {
    const socket = connect(Number(port), '127.0.0.1')
    onTestFinished(() => void socket.destroy())
    await new Promise((resolve) => socket.on('error', resolve).once('connect', resolve))
  }
  const { status } = await ask(url, { headers: bearer(token), body: initialize })
  expect(status).toBe(200)
})
