import * as fs from 'node:fs'
import * as os from 'node:os'
import * as path from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { LevelDatabase } from '@sealmesh/node/store/database'
import { afterPrefix, TABLES, tablePrefix } from '@sealmesh/node/store/keys'
import { NodeProcess } from '../processes/node.ts'
import { pairNodes, shareLayers } from '../processes/pair.ts'
import { RelayProcess } from '../processes/relay.ts'
import { until } from '../processes/wait.ts'

/** Writes more than twice the 64 MiB of history that stay, through real processes: minutes, so only when asked for. */
const isAsked = process.env.SEALMESH_LONG === '1'
const LARGE = 1_400

const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'sealmesh-late-'))
let relay: RelayProcess
let home: NodeProcess
let office: NodeProcess

beforeAll(async () => {
  if (!isAsked) return
  relay = await RelayProcess.start({ data: path.join(directory, 'relay') })
  const claim = relay.claim === undefined ? {} : { claim: relay.claim }
  home = await NodeProcess.start({ home: path.join(directory, 'home'), name: 'home', relay: relay.address, ...claim })
  office = await pairNodes(home, { home: path.join(directory, 'office'), name: 'office' })
})

afterAll(async () => {
  if (!isAsked) return
  await office.stop()
  await home.stop()
  await relay.stop()
  fs.rmSync(directory, { recursive: true, force: true })
})

test.runIf(isAsked)(
  'a reader that comes after history was compacted has everything that counts',
  { timeout: 400_000 },
  async () => {
    const door = await home.door()
    for (let i = 0; i < 60; i++)
      await door.call('set', { umr: `home.semantic.small-${i}`, value: JSON.stringify(`value ${i}`) })
    await door.call('rm', { umr: 'home.semantic.small-7' })
    for (let i = 0; i < LARGE; i++)
      await door.call('set', { umr: 'home.semantic.large', value: JSON.stringify(`${i}`.padEnd(125_000, 'x')) })
    // Nothing says outside when a base is drawn; the writes took seconds, and so does it.
    await pause(8_000)
    await shareLayers(home, 'home', ['semantic'], 'office')
    const read = async (umr: string): Promise<unknown> => {
      const there = await office.door()
      try {
        return (await there.call('get', { umr })).item
      } finally {
        await there.close()
      }
    }
    await until('the last has arrived', async () => (await read('home.semantic.small-59')) !== null, 120_000)
    await until(
      'the large one has arrived',
      async () => JSON.stringify(await read('home.semantic.large'))?.includes(`${LARGE - 1}xxx`),
      240_000,
    )
    expect(await read('home.semantic.small-7')).toBeNull()
    await home.untilStatus('in sync', ({ summary }) => summary === 'in sync')
    await door.close()
    await office.stop()
    await home.stop()
    // It was so because there was a base, which office has now too.
    for (const name of ['home', 'office']) expect(await entriesOf(name, TABLES.base)).toBe(1)
    expect(await entriesOf('office', TABLES.pruned)).toBeGreaterThan(20)
  },
)

async function entriesOf(name: string, table: number): Promise<number> {
  const level = new LevelDatabase(path.join(directory, name, 'db'))
  await level.open()
  const cursor = level.read({ from: tablePrefix(table), to: afterPrefix(tablePrefix(table)) })
  const { length } = await cursor.next(1_000)
  await cursor.close()
  await level.close()
  return length
}
