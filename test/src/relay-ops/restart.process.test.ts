import { toHex } from '@sealmesh/protocol/bytes'
import type { Sodium } from '@sealmesh/protocol/sodium'
import { decodeFrame, type FrameOf } from '@sealmesh/protocol/wire/frame'
import { loadSodium } from '@sealmesh/sodium/load'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { WebSocket } from 'ws'
import { until } from '../processes/wait.ts'
import { TestMesh } from '../relay/mesh.ts'
import { portOf, type RunningRelay, startRelay, TestLink, temporaryDirectory } from '../relay/running-relay.ts'

const CLIENTS = 50

let sodium: Sodium
let relay: RunningRelay
let directory: ReturnType<typeof temporaryDirectory>
const links: TestLink[] = []

beforeEach(async () => {
  sodium = await loadSodium()
  directory = temporaryDirectory()
})
afterEach(async () => {
  await Promise.all(links.splice(0).map(({ link }) => link.close()))
  await relay.program.kill()
  directory.remove()
})

/** A connection that says nothing, and hears the goodbye itself. */
async function listener(port: string): Promise<{ goodbye: () => FrameOf<'goodbye'> | undefined }> {
  const heard: FrameOf<'goodbye'>[] = []
  const ws = new WebSocket(`ws://127.0.0.1:${port}`)
  ws.on('error', () => undefined)
  ws.on('message', (data: Buffer) => {
    const frame = decodeFrame(data)
    if (frame.ok && frame.value.type === 'goodbye') heard.push(frame.value)
  })
  await until('it is connected', () => ws.readyState === ws.OPEN)
  return { goodbye: () => heard[0] }
}

test('a restart tells every client when to come back, each at another moment, and all are back; what was stored is there', async () => {
  relay = await startRelay(directory.data, '--limit', 'login_wait_ms=60000')
  const port = portOf(relay)
  const mesh = new TestMesh(sodium, `restart ${process.pid}`)
  const members = Array.from({ length: CLIENTS }, (_, n) =>
    mesh.member(`node ${n}`, n === 0 && relay.claim !== null ? { code: relay.claim } : {}),
  )
  for (const member of members) {
    const link = new TestLink(relay.address, member, sodium)
    links.push(link)
    // The first one brings the claim.
    if (links.length === 1) await link.live()
  }
  await Promise.all(links.map((link) => link.live()))
  const away = mesh.member('away')
  const packet = mesh.packet([away.mailbox], Date.now() + 3_600_000, 5_000)
  links[0]?.link.send(packet.bytes)
  expect(await links[0]?.answered(packet.id)).toBe('stored')
  const listeners = await Promise.all(Array.from({ length: 20 }, () => listener(port)))

  await relay.program.stop()
  for (const link of links) expect(await link.refusal()).toBe('RELAY_RESTARTING')
  const told = await Promise.all(listeners.map(({ goodbye }) => until('it was told', goodbye)))
  expect(new Set(told.map(({ reason }) => reason))).toEqual(new Set(['RELAY_RESTARTING']))
  expect(new Set(told.map(({ retryAfterMs }) => retryAfterMs)).size).toBe(told.length)
  expect(Math.min(...told.map(({ retryAfterMs }) => retryAfterMs))).toBeGreaterThan(0)

  relay = await startRelay(directory.data, '--port', port)
  await until('all are back', () => links.every(({ link }) => link.status.state === 'live'))
  const reader = new TestLink(relay.address, away, sodium)
  links.push(reader)
  expect((await reader.received(1)).map(toHex)).toEqual([toHex(packet.bytes)])
})
