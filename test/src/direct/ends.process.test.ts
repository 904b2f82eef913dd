import { once } from 'node:events'
import { type AddressInfo, createServer } from 'node:net'
import { SILENCE_MS_MAX } from '@sealmesh/node/direct/core/direct-limits'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { FaultProxy } from '../faults/fault-proxy.ts'
import { ask, liveRelays } from '../links/ask.ts'
import { NodeProcess } from '../processes/node.ts'
import { untilInSync } from '../processes/pair.ts'
import type { RelayProcess } from '../processes/relay.ts'
import { until } from '../processes/wait.ts'
import { endHousehold, startHousehold } from '../processes/household.ts'
import { addressOf, again, at, carries, configure, peersLine, portOf, untilLinked } from './stage.ts'

/** Two machines of one mesh, a relay that stays, and links between them that end. Each test goes on where the one before ended. */

let directory: string
let relay: RelayProcess
let home: NodeProcess
let office: NodeProcess
let proxy: FaultProxy | undefined

beforeAll(async () => {
  ;({ directory, relay, home, office } = await startHousehold('ends'))
  await ask(home, 'share.set', { agent: 'home', changes: [{ layer: 'semantic', to: 'office' }] })
  await ask(office, 'share.set', { agent: 'office', changes: [{ layer: 'semantic', to: 'home' }] })
  await untilInSync(home, office)
}, 60_000)

afterAll(async () => {
  await proxy?.close()
  await endHousehold({ directory, relay, home, office })
})

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}

test('when both dial, one link stays', async () => {
  const ids = [(await home.status()).node.id, (await office.status()).node.id] as const
  await home.stop()
  await office.stop()
  const ports = [await freePort(), await freePort()]
  const addresses = ids.map((id, index) => `wss://127.0.0.1:${ports[index]}#node=${id.replace('node_', '')}`)
  configure(home.home, [`listen = "127.0.0.1:${ports[0]}"`, peersLine(addresses[1]!)])
  configure(office.home, [`listen = "127.0.0.1:${ports[1]}"`, peersLine(addresses[0]!)])
  ;[home, office] = await Promise.all([NodeProcess.start(again(home)), NodeProcess.start(again(office))])
  // Whoever came first; both ends have the same one, and one of them dialled it.
  const links = async () => Promise.all([home, office].map(async (node) => (await node.status()).direct.links))
  const one = await until('one link at both ends', async () => {
    const [here, there] = await links()
    return here?.length === 1 && there?.length === 1 && here[0]!.dialledHere !== there[0]!.dialledHere && [here, there]
  })
  await carries(home, 'home', office)
  await carries(office, 'office', home)
  // No war: it is the same link still.
  expect(await links()).toEqual(one)
}, 60_000)

test('a link that carries nothing any more delays nothing: the relay does, long before the link counts as dead', async () => {
  await home.stop()
  await office.stop()
  configure(home.home, ['listen = "127.0.0.1:0"'])
  home = await NodeProcess.start(again(home))
  const address = await addressOf(home)
  proxy = await FaultProxy.start({ port: portOf(address), seed: 1 })
  configure(office.home, [peersLine(at(address, proxy.port))])
  office = await NodeProcess.start(again(office))
  await untilLinked(home, 'office')
  await untilLinked(office, 'home')
  for (const node of [home, office]) await until('its relay is live', async () => (await liveRelays(node)) === 1)
  await carries(office, 'office', home)

  proxy.silenceAll()
  const ms = [await carries(home, 'home', office), await carries(office, 'office', home)]
  expect(Math.max(...ms)).toBeLessThan(SILENCE_MS_MAX)
  const { direct } = await home.status()
  expect(direct.links.map(({ answers }) => answers)).toEqual([false])
}, 60_000)

test('it comes back by itself, and is preferred again', async () => {
  proxy!.resetAll()
  await untilLinked(home, 'office')
  await untilLinked(office, 'home')
  await until('directly', async () => (await ask(home, 'ping', { node: 'office' })).via === 'direct')
  proxy!.resetAll()
  await carries(home, 'home', office)
  await untilLinked(office, 'home')
}, 60_000)

test('T-revoked-4: a member that is removed is cut off at once, and let in by no direct link', async () => {
  await untilLinked(home, 'office')
  await ask(home, 'device.revoke', { node: 'office', reason: 'lost' })
  expect((await home.status()).direct.links).toEqual([])
  await office.untilStatus('refused', ({ direct }) => direct.peers[0]?.reason === 'NODE_REVOKED')
  expect((await office.status()).direct.links).toEqual([])
}, 60_000)
