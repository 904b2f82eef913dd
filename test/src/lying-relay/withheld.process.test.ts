import * as fs from 'node:fs'
import type { AddressInfo } from 'node:net'
import * as os from 'node:os'
import * as path from 'node:path'
import { loadSodium } from '@sealmesh/sodium/load'
import { claimKeyOf } from '@sealmesh/protocol/wire/challenge'
import { decodeFrame, encodeFrame } from '@sealmesh/protocol/wire/frame'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { WebSocketServer } from 'ws'
import { NodeProcess } from '../processes/node.ts'
import { pairNodes, shareLayers, untilInSync } from '../processes/pair.ts'
import { SimulatedRelay } from '../relay/simulated-relay.ts'

/** Real nodes at a relay that, when told so, keeps back every packet that is larger than a heartbeat. */

const CODE = 'ABCDE-FGHJK-MNPQR-STVWX'
const HEARTBEAT_BYTES_MAX = 2_500

const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'sealmesh-withheld-'))
let server: WebSocketServer
let isLying = false
let home: NodeProcess
let office: NodeProcess

beforeAll(async () => {
  const sodium = await loadSodium()
  const relay = new SimulatedRelay(sodium)
  relay.claims = [{ id: '00'.repeat(8), key: claimKeyOf(CODE, sodium), expiresMs: Number.MAX_SAFE_INTEGER }]
  server = new WebSocketServer({ host: '127.0.0.1', port: 0 })
  await new Promise((resolve) => server.once('listening', resolve))
  const settle = () => {
    relay.nowMs = Date.now()
    relay.settle()
  }
  server.on('connection', (ws) => {
    relay.nowMs = Date.now()
    const client = relay.connect('192.0.2.1', {
      hear: (frame) => {
        if (frame.type !== 'deliver') return ws.send(encodeFrame(frame))
        const packets = frame.packets.filter(({ packet }) => !isLying || packet.length <= HEARTBEAT_BYTES_MAX)
        if (packets.length > 0) ws.send(encodeFrame({ type: 'deliver', packets }))
      },
      closed: () => ws.close(),
    })
    ws.on('message', (data) => {
      const frame = data instanceof Uint8Array ? decodeFrame(Uint8Array.from(data)) : undefined
      if (frame?.ok !== true) return ws.close()
      relay.nowMs = Date.now()
      client.say(frame.value)
      settle()
    })
    ws.on('close', () => {
      relay.drop(client)
      settle()
    })
  })
  const address = `ws://127.0.0.1:${(server.address() as AddressInfo).port}#relay=${relay.state.relay}`
  home = await NodeProcess.start({ home: path.join(directory, 'home'), name: 'home', relay: address, claim: CODE })
  office = await pairNodes(home, { home: path.join(directory, 'office'), name: 'office' })
  await shareLayers(home, 'home', ['semantic'], 'office')
  await write('first', 'x')
  await untilInSync(home, office)
}, 120_000)

afterAll(async () => {
  await office.stop()
  await home.stop()
  for (const client of server.clients) client.terminate()
  await new Promise((resolve) => server.close(resolve))
  fs.rmSync(directory, { recursive: true, force: true })
})

async function write(key: string, value: string): Promise<void> {
  const door = await home.door()
  await door.call('set', { umr: `home.semantic.${key}`, value: JSON.stringify(value) })
  await door.close()
}

async function cursorOf(node: NodeProcess): Promise<string> {
  const door = await node.door()
  const { cursor } = await door.call('events', { follow: false })
  await door.close()
  return cursor
}

async function eventsOf(node: NodeProcess, after: string) {
  const door = await node.door()
  const { events } = await door.call('events', { follow: false, types: ['withheld'], after })
  await door.close()
  return events.map(({ nodeName, detail }) => ({ nodeName, ...detail }))
}

test('T-relay-9: what the relay keeps back is named in status with its evidence, told as an event, and over when it comes', async () => {
  const before = await cursorOf(office)
  isLying = true
  // Noise: what deflates would be no larger than a heartbeat.
  await write('large', Array.from({ length: 8_000 }, () => Math.random().toString(36)[3]).join(''))
  for (const node of [office, home])
    await node.untilStatus('it is found', ({ findings }) => findings.length > 0, 90_000)
  const { findings, warnings } = await office.status()
  expect(findings[0]).toMatchObject({ type: 'withheld', nodeName: 'home' })
  expect(findings[0]?.evidence.filter((line) => line.startsWith('heartbeat in packet '))).toHaveLength(3)
  expect(warnings).toContainEqual({ code: 'WITHHELD', message: findings[0]?.what })
  expect((await eventsOf(office, before))[0]).toMatchObject({ nodeName: 'home', healed: false })
  // The writer misses its receipt, and knows which block it is about.
  const missed = (await home.status()).findings[0]
  expect(missed).toMatchObject({ type: 'withheld', nodeName: 'office', agent: 'home', layer: 'semantic' })
  expect(missed?.evidence.some((line) => line.startsWith('block '))).toBe(true)
  isLying = false
  for (const node of [home, office]) await node.untilStatus('it is over', ({ findings: left }) => left.length === 0)
  await untilInSync(home, office)
  expect((await eventsOf(office, before)).at(-1)).toMatchObject({ nodeName: 'home', healed: true })
})
