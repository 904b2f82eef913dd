import { randomBytes } from 'node:crypto'
import { connect } from 'node:net'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { relayVerb } from '../relay-ops/relay-verb.ts'
import { type RunningRelay, startRelay, temporaryDirectory } from '../relay/running-relay.ts'
import { UPGRADE } from './attack.ts'

/** A relay behind a proxy: whom its limits count, and what it tells nodes to dial. */

const PROXY = '127.0.0.9'
const ELSEWHERE = '127.0.0.8'
const FAILURES_MAX = 30

let directory: ReturnType<typeof temporaryDirectory>
let relay: RunningRelay

beforeEach(async () => {
  directory = temporaryDirectory()
  const proxy = ['--public-url', 'wss://relay.example.org/mesh', '--trusted-proxy', `${PROXY},10.0.0.0/8`]
  relay = await startRelay(directory.data, ...proxy)
})
afterEach(async () => {
  await relay.program.kill()
  directory.remove()
})

/** Asks for a WebSocket and fails at it; what it was answered first, nothing when it was hung up on. */
async function fail(localAddress: string, forwardedFor: string): Promise<string> {
  const socket = connect({ host: '127.0.0.1', port: Number(new URL(relay.http).port), localAddress })
  socket.on('error', () => undefined)
  socket.write(UPGRADE.replace('\r\n\r\n', `\r\nX-Forwarded-For: ${forwardedFor}\r\n\r\n`))
  let heard = ''
  await new Promise<void>((resolve) => {
    socket.once('data', (bytes: Buffer) => {
      heard = bytes.toString('latin1').slice(0, 12)
      socket.write(randomBytes(64))
    })
    socket.on('close', () => resolve())
  })
  return heard
}

test('nodes are told the address of the proxy, without a pin: its certificate is not the relay’s', () => {
  expect(relay.address).toMatch(/^wss:\/\/relay\.example\.org\/mesh#relay=[0-9a-f]{64}$/)
})

test('strangers behind a trusted proxy are told apart, and only the one that fails is shut out', async () => {
  for (let i = 0; i < FAILURES_MAX; i++) expect(await fail(PROXY, `198.51.100.${i}, 203.0.113.5`)).toBe('HTTP/1.1 101')
  expect(await fail(PROXY, '203.0.113.5')).toBe('')
  expect(await fail(PROXY, '203.0.113.5, 203.0.113.6')).toBe('HTTP/1.1 101')
  const { out } = await relayVerb(directory.data, 'metrics')
  expect(out).toContain('sealmesh_relay_sockets_ended_total{reason="barred"} 1\n')
})

test('what others say of whom they forward for counts for nothing', async () => {
  for (let i = 0; i < FAILURES_MAX; i++) expect(await fail(ELSEWHERE, `203.0.113.${i}`)).toBe('HTTP/1.1 101')
  expect(await fail(ELSEWHERE, '203.0.113.77')).toBe('')
  expect(await fail(PROXY, '203.0.113.77')).toBe('HTTP/1.1 101')
})
