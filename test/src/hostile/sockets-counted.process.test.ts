import { connect, type Socket } from 'node:net'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { until } from '../processes/wait.ts'
import { relayVerb } from '../relay-ops/relay-verb.ts'
import { portOf, type RunningRelay, startRelay, temporaryDirectory } from '../relay/running-relay.ts'
import { Attack } from './attack.ts'

/** What its owner sees of strangers who never get as far as a WebSocket. */

let directory: ReturnType<typeof temporaryDirectory>
let relay: RunningRelay
const sockets: Socket[] = []
const STRANGER = '127.0.4.1'

beforeEach(() => {
  directory = temporaryDirectory()
})
afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy()
  await relay.program.kill()
  directory.remove()
})

function come(words: string, localAddress = STRANGER): void {
  const socket = connect({ host: '127.0.0.1', port: Number(portOf(relay)), localAddress })
  sockets.push(socket)
  socket.on('error', () => undefined)
  socket.write(words)
  socket.resume()
}

async function endedFor(reason: string): Promise<number> {
  const { out } = await relayVerb(directory.data, 'metrics')
  return Number(
    new RegExp(`^sealmesh_relay_sockets_ended_total\\{reason="${reason}"\\} (\\d+)$`, 'm').exec(out)?.[1] ?? 0,
  )
}

const countsAre = (reason: string, least: number): Promise<unknown> =>
  until(`${least} are counted as ${reason}`, async () => (await endedFor(reason)) >= least, 15_000)

test('each socket that is ended before it is a WebSocket is counted by why it was', async () => {
  relay = await startRelay(directory.data)
  come('NOISE\r\n\r\n')
  await countsAre('malformed', 1)
  come('GET / HTTP/1.1\r\nX-Long: ')
  const full = 260
  for (let i = 0; i < full; i++) come('', '127.0.4.2')
  await countsAre('address_full', full - 256)
  expect(await endedFor('address_full')).toBe(full - 256)
  await countsAre('timeout', 1)
  const attack = new Attack('ws-garbage', { port: Number(portOf(relay)), connections: 40, addresses: 1 })
  try {
    await countsAre('barred', 1)
  } finally {
    attack.stop()
  }
  const { out } = await relayVerb(directory.data, 'metrics')
  const came = Number(/^sealmesh_relay_sockets_total (\d+)$/m.exec(out)?.[1])
  expect(came).toBeGreaterThanOrEqual(full + 2 + attack.opened - 40)
})

test('with TLS, what is no handshake is counted', async () => {
  relay = await startRelay(directory.data, '--tls', 'self-signed', '--public-host', '127.0.0.1')
  come('GET / HTTP/1.1\r\n\r\n')
  await countsAre('tls', 1)
})
