import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { WebSocket, WebSocketServer } from 'ws'
import { until } from '../processes/wait.ts'
import { FaultProxy } from './fault-proxy.ts'
import type { FaultPlan } from './fault-plan.ts'

/** A server that keeps what it hears and echoes nothing, and clients that reach it through the proxy alone. */
let server: WebSocketServer
let heard: string[]
let proxy: FaultProxy
const clients: WebSocket[] = []

beforeEach(async () => {
  heard = []
  server = new WebSocketServer({ host: '127.0.0.1', port: 0 })
  server.on('connection', (ws) => {
    ws.on('message', (data: Buffer) => heard.push(data.toString()))
    ws.on('error', () => undefined)
  })
  await once(server, 'listening')
})
afterEach(async () => {
  for (const client of clients.splice(0)) client.terminate()
  await proxy.close()
  for (const ws of server.clients) ws.terminate()
  server.close()
})

async function start(plan: Partial<FaultPlan>, seed = 1): Promise<void> {
  proxy = await FaultProxy.start({ port: (server.address() as AddressInfo).port, plan, seed })
}

async function client(): Promise<WebSocket> {
  const ws = new WebSocket(`ws://127.0.0.1:${proxy.port}`, { perMessageDeflate: false })
  ws.on('error', () => undefined)
  clients.push(ws)
  await once(ws, 'open')
  return ws
}

const numbers = (count: number): string[] => Array.from({ length: count }, (_, i) => `message ${i}`)

describe('the fault proxy', () => {
  test('without faults passes everything on as it came, of every length', async () => {
    await start({})
    const texts = [0, 1, 125, 126, 65_535, 65_536, 300_000].map((length) => 'x'.repeat(length))
    const ws = await client()
    for (const text of texts) ws.send(text)
    await until('all have arrived', () => heard.length === texts.length)
    expect(heard).toEqual(texts)
  })
  test('lets each way take its time, and keeps the order whatever the jitter', async () => {
    await start({ latencyMs: 40, jitterMs: 30 })
    const startedMs = performance.now()
    const ws = await client()
    for (const text of numbers(30)) ws.send(text)
    await until('all have arrived', () => heard.length === 30)
    // There and back for the greeting, and there again.
    expect(performance.now() - startedMs).toBeGreaterThanOrEqual(3 * 40)
    expect(heard).toEqual(numbers(30))
  })
  test('lets no more through than its bandwidth', async () => {
    await start({ bytesPerSecond: 200_000 })
    const ws = await client()
    const startedMs = performance.now()
    ws.send('x'.repeat(100_000))
    await until('it has arrived', () => heard.length === 1)
    expect(performance.now() - startedMs).toBeGreaterThanOrEqual(450)
  })
  test('cuts a connection in the middle of a message: half of it is never one', async () => {
    await start({ reset: 1 })
    const ws = await client()
    ws.send('lost')
    await once(ws, 'close')
    expect([heard, proxy.counts.reset, proxy.connections.open]).toEqual([[], 1, 0])
  })
  test('swaps whole messages, and loses none', async () => {
    await start({ reorder: 0.3 }, 5)
    const ws = await client()
    for (const text of numbers(40)) ws.send(text)
    await until('all have arrived', () => heard.length === 40)
    expect(heard).not.toEqual(numbers(40))
    expect(heard.toSorted()).toEqual(numbers(40).toSorted())
  })
  test('sends whole messages twice', async () => {
    await start({ duplicate: 1 })
    const ws = await client()
    for (const text of numbers(3)) ws.send(text)
    await until('all have arrived', () => heard.length === 6)
    expect(heard).toEqual(numbers(3).flatMap((text) => [text, text]))
  })
  test('goes silent both ways without telling anybody', async () => {
    await start({})
    const ws = await client()
    ws.send('before')
    await until('it has arrived', () => heard.length === 1)
    proxy.silenceAll()
    ws.send('after')
    const next = await client()
    next.send('by another')
    await until('the other is heard', () => heard.length === 2)
    expect([heard, ws.readyState]).toEqual([['before', 'by another'], WebSocket.OPEN])
  })
  test('does the same again with the same seed', async () => {
    const runs: string[][] = []
    for (let run = 0; run < 2; run++) {
      await start({ reorder: 0.2, duplicate: 0.2 }, 7)
      const ws = await client()
      for (const text of numbers(30)) ws.send(text)
      await until('all have arrived', () => heard.length === 30 + proxy.counts.duplicate)
      runs.push(heard.splice(0))
      if (run === 0) await proxy.close()
    }
    expect(runs[0]).toEqual(runs[1])
  })
})
