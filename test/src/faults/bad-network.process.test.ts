import * as fs from 'node:fs'
import * as os from 'node:os'
import * as path from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { readAll } from '../crash/load.ts'
import { NodeProcess } from '../processes/node.ts'
import { pairNodes, shareLayers, untilInSync } from '../processes/pair.ts'
import { RelayProcess } from '../processes/relay.ts'
import { testSeed } from '../processes/seed.ts'
import { until } from '../processes/wait.ts'
import { CALM, type FaultPlan } from './fault-plan.ts'
import { FaultProxy } from './fault-proxy.ts'

/** A phone in a train. Not silence: who is told nothing rightly waits for three quarters of a minute. */
const HARSH: FaultPlan = {
  latencyMs: 20,
  jitterMs: 60,
  bytesPerSecond: 250_000,
  reset: 0.02,
  silence: 0,
  reorder: 0.05,
  duplicate: 0.05,
}
const PREFIX = 'home.semantic.'
const WRITES = 60
const ROUNDS_MAX = 40

let directory: string
let relay: RelayProcess
let proxy: FaultProxy
const nodes: NodeProcess[] = []

beforeEach(async () => {
  directory = fs.mkdtempSync(path.join(os.tmpdir(), 'sealmesh-faults-'))
  relay = await RelayProcess.start({ data: path.join(directory, 'relay') })
  proxy = await FaultProxy.start({ port: relay.port, seed: testSeed() })
})
afterEach(async () => {
  await Promise.all(nodes.splice(0).map((node) => node.kill()))
  await proxy.close()
  await relay.kill()
  fs.rmSync(directory, { recursive: true, force: true })
})

test('two nodes behind a network that delays, cuts, swaps and repeats come into step all the same', async () => {
  const claim = relay.claim === undefined ? {} : { claim: relay.claim }
  const address = relay.addressAt(proxy.port)
  const home = await NodeProcess.start({ home: path.join(directory, 'home'), name: 'home', relay: address, ...claim })
  nodes.push(home)
  const office = await pairNodes(home, { home: path.join(directory, 'office'), name: 'office' })
  nodes.push(office)
  await shareLayers(home, 'home', ['semantic'], 'office')
  await untilInSync(home, office)

  proxy.plan = HARSH
  const door = await home.door()
  const wrote = new Map<string, string>()
  const write = async (round: number): Promise<void> => {
    for (let i = 0; i < WRITES; i++) {
      const [umr, value] = [`${PREFIX}k-${i}`, JSON.stringify(`round ${round}`)]
      await door.call('set', { umr, value })
      wrote.set(umr, value)
    }
  }
  const hadAll = (): boolean => proxy.counts.reset > 1 && proxy.counts.reorder > 1 && proxy.counts.duplicate > 1
  for (let round = 0; round < ROUNDS_MAX && !hadAll(); round++) {
    await write(round)
    await until('the office has this round', async () => sameAs(await readAll(office, PREFIX), wrote), 60_000)
  }
  expect(hadAll()).toBe(true)
  proxy.plan = CALM
  await untilInSync(home, office)
  expect(await readAll(office, PREFIX)).toEqual(wrote)
})

const sameAs = (held: ReadonlyMap<string, string>, wrote: ReadonlyMap<string, string>): boolean =>
  [...wrote].every(([umr, value]) => held.get(umr) === value)
