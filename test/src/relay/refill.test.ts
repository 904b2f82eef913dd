import * as fs from 'node:fs'
import * as path from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { copyFolder } from '../processes/copy-folder.ts'
import { endHousehold, type Household, startHousehold } from '../processes/household.ts'
import { NodeProcess } from '../processes/node.ts'
import { shareLayers, untilInSync } from '../processes/pair.ts'
import { RelayProcess } from '../processes/relay.ts'

/** A relay that forgets what it has called stored: nobody is asked anything, and nothing is missing in the end. */

let household: Household
let relay: RelayProcess
let office: NodeProcess

beforeAll(async () => {
  household = await startHousehold('refill')
  relay = household.relay
  office = household.office
  await shareLayers(household.home, 'home', ['semantic'], 'office:write')
  await write(0, 5)
  await untilInSync(household.home, office)
}, 120_000)

afterAll(() => endHousehold({ ...household, relay, office }))

const data = () => path.join(household.directory, 'relay')

async function write(from: number, to: number): Promise<void> {
  const door = await household.home.door()
  for (let n = from; n < to; n++) await door.call('set', { umr: `home.semantic.fact-${n}`, value: `${n}` })
  await door.close()
}

async function valuesAt(node: NodeProcess, to: number): Promise<(string | undefined)[]> {
  const door = await node.door()
  const items = []
  for (let n = 0; n < to; n++) items.push((await door.call('get', { umr: `home.semantic.fact-${n}` })).item)
  await door.close()
  return items.map((item) => (item?.type === 'register' ? item.value : undefined))
}

/** Office is away while home writes: the relay says that it keeps it, and then is another one. */
async function forgetting(from: number, to: number, change: () => void): Promise<void> {
  await office.stop()
  await write(from, to)
  await household.home.untilStatus('the relay has taken it', ({ relays }) => relays[0]?.unanswered === 0)
  await relay.stop()
  change()
  relay = await RelayProcess.start({ data: data(), port: relay.port })
  office = await NodeProcess.start({ home: path.join(household.directory, 'office'), name: 'office' })
  await untilInSync(household.home, office)
  expect(await valuesAt(office, to)).toEqual(Array.from({ length: to }, (_, n) => `${n}`))
}

test('T-relay-8: a relay that was put back from an older copy is refilled without a command', async () => {
  await relay.stop()
  copyFolder(data(), `${data()}.yesterday`)
  relay = await RelayProcess.start({ data: data(), port: relay.port })
  await untilInSync(household.home, office)
  await forgetting(5, 10, () => {
    fs.rmSync(data(), { recursive: true })
    copyFolder(`${data()}.yesterday`, data())
  })
})

test('T-relay-8: a relay that lost its database is refilled without a command', async () => {
  await forgetting(10, 15, () => fs.rmSync(path.join(data(), 'db'), { recursive: true }))
  // Nor is another claim asked for: its owner has let this mesh in.
  expect(relay.claim).toBeUndefined()
})
