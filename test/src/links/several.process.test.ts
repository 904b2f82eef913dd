import * as fs from 'node:fs'
import * as os from 'node:os'
import * as path from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { runVerb } from '../cli/run-verb.ts'
import { withDoubles } from '../processes/doubles.ts'
import { NodeProcess } from '../processes/node.ts'
import { pairNodes, untilInSync } from '../processes/pair.ts'
import { RelayProcess } from '../processes/relay.ts'
import { until } from '../processes/wait.ts'
import { ask, liveRelays, valueAt } from './ask.ts'

/** Two relays and two nodes that know both; who reaches which changes. Each test goes on where the one before ended. */

let directory: string
let first: RelayProcess
let second: RelayProcess
let home: NodeProcess
let office: NodeProcess

const relayAt = async (name: string, port?: number): Promise<RelayProcess> =>
  RelayProcess.start({ data: path.join(directory, name), ...(port === undefined ? {} : { port }) })

beforeAll(async () => {
  directory = fs.mkdtempSync(path.join(os.tmpdir(), 'sealmesh-links-'))
  first = await relayAt('first')
  second = await relayAt('second')
  home = await NodeProcess.start({
    home: path.join(directory, 'home'),
    name: 'home',
    agent: 'claude',
    relay: first.address,
    claim: first.claim ?? '',
  })
  office = await pairNodes(home, { home: path.join(directory, 'office'), name: 'office' })
  await ask(home, 'share.set', { agent: 'claude', changes: [{ layer: 'semantic', to: 'office:write' }] })
}, 90_000)

afterAll(async () => {
  await office?.stop()
  await home?.stop()
  await first?.stop()
  await second?.stop()
  fs.rmSync(directory, { recursive: true, force: true })
})

/** A node that cannot reach the relays at these ports. */
const without = (...relays: readonly RelayProcess[]): Record<string, string> => ({
  ...withDoubles({ './dial.js': new URL('./dial-without.ts', import.meta.url) }),
  SEALMESH_TEST_CLOSED_PORTS: relays.map(({ port }) => port).join(),
})

const isThere = (node: NodeProcess, what: string): Promise<unknown> =>
  until(`${node.name} has ${what}`, async () => (await valueAt(node, 'claude.semantic.word')) === what, 20_000)

/** Packets that wait there. */
const keptAt = async (relay: RelayProcess): Promise<number> =>
  Number(/^sealmesh_relay_stored_packets (\d+)/m.exec(await relay.metrics())?.[1])

const write = (node: NodeProcess, what: string): Promise<unknown> =>
  ask(node, 'set', { umr: 'claude.semantic.word', value: JSON.stringify(what) })

test('a relay that is added is tried first, named for every node, and linked beside the other', async () => {
  await expect(
    ask(home, 'relay.add', { address: second.address, claim: 'WRONG-CLAIM-WRONG-CLAIM' }),
  ).rejects.toMatchObject({
    code: 'CLAIM_INVALID',
  })
  await expect(ask(home, 'relay.add', { address: second.address })).rejects.toMatchObject({ code: 'CLAIM_REQUIRED' })
  await expect(ask(office, 'relay.add', { address: second.address })).rejects.toMatchObject({ code: 'NOT_ADMIN' })
  expect((await ask(home, 'relay.ls', {})).relays).toHaveLength(1)
  const { relays } = await ask(home, 'relay.add', { address: second.address, claim: second.claim ?? '' })
  expect(relays).toEqual([first.address, second.address])
  for (const node of [home, office])
    await until(`${node.name} has two links`, async () => (await liveRelays(node)) === 2)
  await untilInSync(home, office)
})

test('nodes of which one reaches the second relay only meet there, in both directions', async () => {
  await office.stop()
  await write(home, 'left at both relays')
  office = await NodeProcess.start({ home: office.home, name: 'office', env: without(first) })
  await isThere(office, 'left at both relays')
  const { summary, relays } = await office.status()
  expect(relays.map(({ state }) => state)).toEqual([expect.stringMatching(/waiting|connecting/), 'live'])
  expect(summary).not.toBe('cut off')
  await write(home, 'from home')
  await isThere(office, 'from home')
  await write(office, 'from office')
  await isThere(home, 'from office')
  await untilInSync(home, office)
})

test('a ping says how long the other machine took and which relay brought its answer, or that there was none', async () => {
  const way = (await ask(home, 'relay.ls', {})).relays[1]!.relay
  expect(await ask(home, 'ping', { node: 'office' })).toMatchObject({ node: 'office', via: way })
  const said = await runVerb(['ping', 'office', '-c', '2', '--json', '--home', home.home])
  expect(said.exit).toBe(0)
  expect(JSON.parse(said.out)).toMatchObject({ node: 'office', sent: 2, answers: [{ via: way }, { via: way }] })
  await expect(ask(home, 'ping', { node: 'home' })).rejects.toMatchObject({ code: 'USAGE' })
  await office.stop()
  const silent = await runVerb(['ping', 'office', '--timeout', '300ms', '--home', home.home])
  expect(silent).toMatchObject({ exit: 10, out: '', err: expect.stringContaining('office has not answered') })
  office = await NodeProcess.start({ home: office.home, name: 'office', env: without(first) })
  await untilInSync(home, office)
})

test('what two relays kept is used once, and nothing about it is quarantined', async () => {
  await office.stop()
  for (let round = 0; round < 5; round++) await write(home, `round ${round}`)
  for (const relay of [first, second]) await until('it keeps them', async () => (await keptAt(relay)) > 0)
  const kept = await keptAt(second)
  await second.stop()
  office = await NodeProcess.start({ home: office.home, name: 'office' })
  await isThere(office, 'round 4')
  // What it has used is in its window now; the other relay has it all again.
  second = await relayAt('second', second.port)
  await until('it has been read', async () => (await liveRelays(office)) === 2 && (await keptAt(second)) < kept, 60_000)
  await untilInSync(home, office)
  expect((await ask(office, 'quarantine.ls', {})).packets).toEqual([])
}, 90_000)

test('when the first relay dies the second goes on, and the first is used again when it is back', async () => {
  const { port } = first
  await first.kill()
  await write(home, 'without the first')
  await isThere(office, 'without the first')
  expect((await home.status()).summary).not.toBe('cut off')
  await second.kill()
  await home.untilStatus('cut off', ({ summary }) => summary === 'cut off')
  first = await relayAt('first', port)
  await write(home, 'without the second')
  await isThere(office, 'without the second')
  second = await relayAt('second', second.port)
  await until('home has two links again', async () => (await liveRelays(home)) === 2, 60_000)
  await until('office has two links again', async () => (await liveRelays(office)) === 2, 60_000)
}, 120_000)

test('another order and fewer relays reach every node; the last one stays', async () => {
  const { relay } = (await ask(home, 'relay.ls', {})).relays[1]!
  await ask(home, 'relay.first', { relay })
  await until('office prefers it', async () => (await office.status()).relays[0]?.relay === relay)
  await office.stop()
  await second.kill()
  await write(home, 'kept at the first alone')
  await until('it is kept', async () => (await keptAt(first)) > 0)
  second = await relayAt('second', second.port)
  await until('home has two links', async () => (await liveRelays(home)) === 2, 60_000)
  // Nobody will read there any more: what lies there has to lie elsewhere, before anybody comes and asks.
  const kept = await keptAt(second)
  await ask(home, 'relay.rm', { relay: first.address })
  // The record of it, and what was kept.
  await until('what it had is sent anew', async () => (await keptAt(second)) >= kept + 2)
  await home.stop()
  office = await NodeProcess.start({ home: office.home, name: 'office', env: without(first) })
  await isThere(office, 'kept at the first alone')
  home = await NodeProcess.start({ home: home.home, name: 'home' })
  await until('office has one link', async () => (await office.status()).relays.length === 1)
  await write(home, 'through what was the second')
  await isThere(office, 'through what was the second')
  await expect(ask(home, 'relay.rm', { relay: second.address })).rejects.toMatchObject({ code: 'USAGE' })
}, 120_000)

test('a machine that is removed is turned away by every relay', async () => {
  await office.stop()
  office = await NodeProcess.start({ home: office.home, name: 'office' })
  await ask(home, 'relay.add', { address: first.address })
  for (const node of [home, office])
    await until(`${node.name} has two links`, async () => (await liveRelays(node)) === 2, 60_000)
  expect(await ask(home, 'device.revoke', { node: 'office' })).toMatchObject({ relayTold: true })
  await office.untilStatus('turned away twice', ({ relays }) =>
    relays.every(({ state, reason }) => state === 'refused' && reason === 'NODE_REVOKED'),
  )
}, 90_000)
