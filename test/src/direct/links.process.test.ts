import { afterAll, beforeAll, expect, test } from 'vitest'
import { runVerb } from '../cli/run-verb.ts'
import { ask } from '../links/ask.ts'
import { NodeProcess } from '../processes/node.ts'
import { untilInSync } from '../processes/pair.ts'
import type { RelayProcess } from '../processes/relay.ts'
import { endHousehold, startHousehold } from '../processes/household.ts'
import { addressOf, again, carries, configure, peersLine, untilLinked } from './stage.ts'

/** Two machines of one mesh and a relay that goes. Each test goes on where the one before ended. */

let directory: string
let relay: RelayProcess
let home: NodeProcess
let office: NodeProcess

beforeAll(async () => {
  ;({ directory, relay, home, office } = await startHousehold('direct'))
  await ask(home, 'share.set', { agent: 'home', changes: [{ layer: 'semantic', to: 'office' }] })
  await ask(office, 'share.set', { agent: 'office', changes: [{ layer: 'semantic', to: 'home' }] })
  await untilInSync(home, office)
}, 60_000)

afterAll(async () => {
  await endHousehold({ directory, relay, home, office })
})

test('without a word in the config nobody listens and nobody dials', async () => {
  const { direct } = await home.status()
  expect(direct).toEqual({ listening: null, lan: 'off', links: [], peers: [] })
  expect(await ask(home, 'ping', { node: 'office' })).toMatchObject({
    via: expect.stringMatching(/^relay_/),
    why: 'no direct link to it is set up or found',
  })
})

test('a machine that listens and one that has its address sync without a relay', async () => {
  await home.stop()
  await office.stop()
  configure(home.home, ['listen = "127.0.0.1:0"'])
  home = await NodeProcess.start(again(home))
  configure(office.home, [peersLine(await addressOf(home))])
  office = await NodeProcess.start(again(office))
  await untilLinked(home, 'office')
  await untilLinked(office, 'home')
  await relay.kill()
  await home.untilStatus('without a relay', ({ relays }) => relays.every(({ state }) => state !== 'live'))
  await carries(home, 'home', office)
  await carries(office, 'office', home)
  const { via, why } = await ask(office, 'ping', { node: 'home' })
  expect(via).toBe('direct')
  expect(why).toMatch(/direct link/)
}, 60_000)

test('people see which way is used and why', async () => {
  const pinged = await runVerb(['ping', 'home', '--home', office.home])
  expect(pinged.out).toMatch(/^home answers in [0-9.]+ ms, directly$/m)
  expect(pinged.out).toMatch(/why: there is a direct link to it/)
  const status = await runVerb(['status', '--home', office.home])
  expect(status.out).toMatch(/^direct {2}home at 127\.0\.0\.1:\d+ {2}live/m)
  const there = await runVerb(['status', '--home', home.home])
  expect(there.out).toContain(`direct  others reach this machine at ${await addressOf(home)}`)
  expect(there.out).toMatch(/^direct {2}office from \S+ {2}live/m)

  const { exit, out } = await runVerb(['netcheck', '--home', office.home])
  // The relay is not there; the way to the other machine is.
  expect(exit).toBe(3)
  expect(out).toMatch(/home at 127\.0\.0\.1:\d+ \(the node: live\)\n.*ok +name.*\n.*ok +connect.*\n.*ok +tls/)
  expect(out).toMatch(/ok +challenge .*it takes direct links/)
}, 60_000)

test('a machine that comes back syncs what was written meanwhile, without a relay', async () => {
  await office.stop()
  await ask(home, 'set', { umr: 'home.semantic.meanwhile', value: '"written alone"' })
  office = await NodeProcess.start(again(office))
  await carries(home, 'home', office)
  const { item } = await ask(office, 'get', { umr: 'home.semantic.meanwhile' })
  expect(item).toMatchObject({ value: '"written alone"' })
}, 60_000)
