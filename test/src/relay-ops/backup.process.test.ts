import * as fs from 'node:fs'
import * as path from 'node:path'
import { GENERATION_KEY } from '@sealmesh/relay/store/keys'
import { Level } from 'level'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { endHousehold, type Household, startHousehold } from '../processes/household.ts'
import { NodeProcess } from '../processes/node.ts'
import { shareLayers, untilInSync } from '../processes/pair.ts'
import { RelayProcess } from '../processes/relay.ts'
import { relayVerb } from './relay-verb.ts'

/** A copy of a relay that runs, more traffic, and the copy in its place: nodes bring what it lacks. */

let household: Household
let relay: RelayProcess
let office: NodeProcess
let copies = ''

beforeAll(async () => {
  household = await startHousehold('backup')
  relay = household.relay
  office = household.office
  copies = path.join(household.directory, 'copies')
  await shareLayers(household.home, 'home', ['semantic'], 'office:write')
  await write(0, 5)
  await untilInSync(household.home, office)
}, 120_000)
afterAll(() => endHousehold({ ...household, relay, office }))

const data = (): string => path.join(household.directory, 'relay')
const copy = (name: string): string => path.join(copies, name)

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
const relayTook = (): Promise<unknown> =>
  household.home.untilStatus('the relay has taken it', ({ relays }) => relays[0]?.unanswered === 0)
async function rowsOf(directory: string): Promise<Map<string, string>> {
  const db = new Level<Buffer, Buffer>(path.join(directory, 'db'), { keyEncoding: 'buffer', valueEncoding: 'buffer' })
  await db.open()
  const rows = (await db.iterator().all()).map(([key, value]) => [key.toString('hex'), value.toString('hex')] as const)
  await db.close()
  return new Map(rows)
}
const NOBODY = 65_534
const GENERATION = GENERATION_KEY.toString('hex')

test('T-relay-8: a relay that was put back from a backup is refilled, and nothing is lost', async () => {
  // Office is away: the relay keeps for it what the backup has, and then what it has not.
  await office.stop()
  await write(5, 10)
  await relayTook()
  const made = await relayVerb(data(), 'backup', copy('running'), '--with-key', '--json')
  expect(made.json).toMatchObject({ withKey: true })
  await write(10, 15)
  await relayTook()

  await relay.stop()
  const before = await rowsOf(data())
  fs.renameSync(data(), `${data()}.lost`)
  const restored = await relayVerb(data(), 'restore', copy('running'), '--json')
  expect(restored.json).toMatchObject({ hasKey: true, rows: made.json['rows'] })
  const [kept, after] = [await rowsOf(copy('running')), await rowsOf(data())]
  expect(kept.get(GENERATION)).toBe(before.get(GENERATION))
  expect(after.get(GENERATION)).not.toBe(before.get(GENERATION))
  kept.delete(GENERATION)
  after.delete(GENERATION)
  expect(after).toEqual(kept)

  relay = await RelayProcess.start({ data: data(), port: relay.port })
  expect(relay.address).toBe(household.relay.address)
  expect(relay.claim).toBeUndefined()
  office = await NodeProcess.start({ home: path.join(household.directory, 'office'), name: 'office' })
  await untilInSync(household.home, office)
  expect(await valuesAt(office, 15)).toEqual(Array.from({ length: 15 }, (_, n) => `${n}`))
})

describe('a backup', () => {
  test('of a relay that does not run is the same, and without its key has none', async () => {
    await relay.stop()
    const made = await relayVerb(data(), 'backup', copy('stopped'), '--json')
    expect(made.json).toMatchObject({ withKey: false })
    expect(await rowsOf(copy('stopped'))).toEqual(await rowsOf(data()))
    for (const name of ['relay.key', 'tls.key', 'claims'])
      expect(fs.existsSync(path.join(copy('stopped'), name))).toBe(false)
    expect(fs.readdirSync(path.join(copy('stopped'), 'meshes'))).toEqual(fs.readdirSync(path.join(data(), 'meshes')))
    expect(fs.statSync(copy('stopped')).mode & 0o777).toBe(0o700)
    relay = await RelayProcess.start({ data: data(), port: relay.port })
  })

  test('overwrites nothing, and leaves nothing behind where it cannot be made', async () => {
    expect((await relayVerb(data(), 'backup', copy('stopped'), '--json')).json).toMatchObject({ code: 'FILE_EXISTS' })
    const nowhere = path.join(household.directory, 'nowhere')
    expect((await relayVerb(nowhere, 'backup', copy('new'), '--json')).json['code']).toBe('HOME_UNUSABLE')
    expect(fs.readdirSync(copies).toSorted((a, b) => (a < b ? -1 : 1))).toEqual(['running', 'stopped'])
  })

  test('goes into an empty directory only, and says when the key is missing', async () => {
    expect((await relayVerb(data(), 'restore', copy('running'), '--json')).json).toMatchObject({ code: 'FILE_EXISTS' })
    const empty = path.join(household.directory, 'elsewhere')
    expect((await relayVerb(empty, 'restore', copy('stopped'), '--json')).json).toMatchObject({ hasKey: false })
    expect((await relayVerb(empty, 'restore', household.directory, '--json')).json).toMatchObject({
      code: 'FILE_NOT_FOUND',
    })
  })

  test.skipIf(process.getuid?.() !== 0)(
    'that root puts back, like a config, belongs to the user of the relay',
    async () => {
      const theirs = path.join(household.directory, 'theirs')
      fs.mkdirSync(theirs, { mode: 0o700 })
      fs.chownSync(theirs, NOBODY, NOBODY)
      expect((await relayVerb(theirs, 'restore', copy('running'), '--json')).code).toBe(0)
      expect((await relayVerb(theirs, 'config', 'init', '--json')).code).toBe(0)
      const names = fs.readdirSync(theirs, { recursive: true }).map(String)
      expect(names).toEqual(expect.arrayContaining(['relay.key', 'relay.toml', path.join('db', 'CURRENT')]))
      expect(names.filter((name) => fs.statSync(path.join(theirs, name)).uid !== NOBODY)).toEqual([])
    },
  )

  test('that is damaged is refused, and nothing of it is left where it should have gone', async () => {
    const manifest = path.join(copy('stopped'), 'backup.json')
    const said = fs.readFileSync(manifest, 'utf8')
    fs.writeFileSync(
      manifest,
      said.replace(/"sha256":"./, '"sha256":"z').replace('z', said.includes('"sha256":"0') ? '1' : '0'),
    )
    const empty = path.join(household.directory, 'damaged')
    expect((await relayVerb(empty, 'restore', copy('stopped'), '--json')).json).toMatchObject({ code: 'STORE_DAMAGED' })
    expect(fs.readdirSync(empty).filter((name) => name.startsWith('db'))).toEqual([])
  })
})
