import * as fs from 'node:fs'
import * as os from 'node:os'
import * as path from 'node:path'
import { fromHex } from '@sealmesh/protocol/bytes'
import { readLog } from '@sealmesh/node/store/level/log-file'
import { seededDice } from '@sealmesh/protocol/test-dice'
import { decodeFrame } from '@sealmesh/protocol/wire/frame'
import { afterEach, describe, expect, test } from 'vitest'
import { withDoubles } from '../processes/doubles.ts'
import { NodeProcess } from '../processes/node.ts'
import { pairNodes, shareLayers, untilInSync } from '../processes/pair.ts'
import { RelayProcess } from '../processes/relay.ts'
import { testSeed } from '../processes/seed.ts'
import { until } from '../processes/wait.ts'
import { makePlants, type Plants, plantAll } from './plants.ts'
import { Search } from './search.ts'
import { openWireTap, type WireTap } from './wire-tap.ts'

const UNSEALED = withDoubles({
  '@sealmesh/sodium/load': new URL('./unsealed-sodium.ts', import.meta.url),
  './zlib-deflater.js': new URL('./no-deflater.ts', import.meta.url),
})

/** Everything of a relay's that somebody who owns its machine could read, by place. */
type Places = Record<'disk' | 'disk while the reader was away' | 'logs' | 'metrics' | 'wire', Buffer[]>

describe('a thousand planted strings', { timeout: 180_000 }, () => {
  const closers: (() => Promise<void>)[] = []
  afterEach(async () => {
    for (const close of closers.splice(0).reverse()) await close()
  })

  test('T-curious-1: are nowhere at the relay nor on the wire, raw, in hexadecimal or in base64', async () => {
    const plants = makePlants(seededDice(testSeed()))
    const { places, ids } = await runMesh(plants, {})
    expect(ids.length).toBeGreaterThanOrEqual(4)
    const search = new Search(
      [...plants.shared, ...plants.secret],
      ids.map((id): [string, Uint8Array] => [id, fromHex(id)]),
    )
    // An empty place would prove nothing.
    expect(namesOf(places, (bytes) => Buffer.concat(bytes).length === 0)).toEqual([])
    expect(namesOf(places, (bytes) => findAll(search, bytes).length > 0)).toEqual([])
  })

  test('are found by the same search when sealing is switched off, except what a diary says', async () => {
    const plants = makePlants(seededDice(testSeed()))
    const search = new Search([...plants.shared, ...plants.secret])
    // What was written to the absent reader has to lie on the relay's disk before it comes back.
    const written = [...plants.registers.map(({ value }) => value), ...plants.texts.map(({ content }) => content)]
    const stored = (disk: Buffer[]): boolean => {
      const there = new Set(findAll(search, disk))
      return written.every((text) => there.has(text))
    }
    const { places, office } = await runMesh(plants, UNSEALED, stored)
    const wire = new Set(findAll(search, places.wire))
    expect(plants.shared.filter((text) => !wire.has(text))).toEqual([])
    // Nothing hides a diary here but that its content never leaves: not towards the relay, not to the office.
    const diary = new Search(plants.secret)
    expect(namesOf({ ...places, office }, (bytes) => findAll(diary, bytes).length > 0)).toEqual([])
  })

  async function runMesh(
    plants: Plants,
    env: Readonly<Record<string, string>>,
    stored: (disk: Buffer[]) => boolean = () => true,
  ) {
    const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'sealmesh-canary-'))
    closers.push(async () => fs.rmSync(directory, { recursive: true, force: true }))
    const data = path.join(directory, 'relay')
    const relay = await RelayProcess.start({ data })
    closers.push(async () => await relay.kill())
    const tap = await openWireTap(relay.port)
    closers.push(async () => await tap.close())

    const [homeName, officeName] = plants.nodes
    const [agent, second] = plants.agents
    const address = relay.addressAt(tap.port)
    const claim = relay.claim === undefined ? {} : { claim: relay.claim }
    const home = await NodeProcess.start({
      home: path.join(directory, 'home'),
      name: homeName,
      agent,
      relay: address,
      ...claim,
      env,
    })
    closers.push(async () => await home.kill())
    let office = await pairNodes(home, { home: path.join(directory, 'office'), name: officeName, env })
    closers.push(async () => await office.kill())
    const door = await home.door()
    await door.call('agents.add', { name: second, standby: [officeName] })
    for (const each of plants.agents) await shareLayers(home, each, [...plants.layers, 'diary'], officeName)
    await untilInSync(home, office)
    // Who edits a text is told too, with the name of the text.
    for (const { agent: of, layer, name } of plants.texts.slice(0, 8))
      await door.call('text.editing', { umr: `${of}.${layer}.${name}`, agent: second })

    // The reader goes away, so that the relay has to keep what is written now on its disk.
    await office.stop()
    await plantAll(door, plants)
    const away = await until('the relay has stored what was written', () => {
      const disk = readTree(data)
      return allAnswered(tap) && stored(disk) ? disk : undefined
    })
    office = await NodeProcess.start({ home: path.join(directory, 'office'), name: officeName, env })
    await untilInSync(home, office)
    await expectArrived(office, plants)

    const ids = idsOf(await home.status())
    const metrics = [Buffer.from(await relay.metrics())]
    await home.stop()
    await office.stop()
    await relay.stop()
    const places: Places = {
      disk: readTree(data),
      'disk while the reader was away': away,
      logs: [relay.program.stdout, relay.program.stderr],
      metrics,
      wire: [tap.raw(), ...tap.fromClients(), ...tap.fromServer()],
    }
    return { places, ids, office: readTree(path.join(directory, 'office')) }
  }
})

async function expectArrived(office: NodeProcess, plants: Plants): Promise<void> {
  const door = await office.door()
  const held = new Set((await door.call('ls', { limit: 100_000 })).items.map(({ umr }) => umr))
  const umrs = [
    ...plants.registers.map(({ agent, layer, key }) => `${agent}.${layer}.${key}`),
    ...plants.texts.map(({ agent, layer, name }) => `${agent}.${layer}.${name}`),
    ...plants.diary.map(({ agent, entry }) => `${agent}.diary.${entry}`),
  ]
  expect(umrs.filter((umr) => !held.has(umr))).toEqual([])
  await door.close()
}

/** Whether everything that was sent is answered, and something was stored. */
function allAnswered(tap: WireTap): boolean {
  let [sent, answered, stored] = [0, 0, 0]
  for (const message of tap.fromClients()) {
    const frame = decodeFrame(message)
    if (frame.ok && frame.value.type === 'send') sent += frame.value.packets.length
  }
  for (const message of tap.fromServer()) {
    const frame = decodeFrame(message)
    if (!frame.ok || frame.value.type !== 'answer') continue
    answered += frame.value.answers.length
    for (const { outcomes } of frame.value.answers) if (outcomes.some(({ outcome }) => outcome === 'stored')) stored++
  }
  return sent === answered && stored > 0
}

/** Ids that only nodes may know; a relay knows login keys, mailboxes and the mesh. */
function idsOf(status: Awaited<ReturnType<NodeProcess['status']>>): string[] {
  const prefixed = [status.node.id, ...status.peers.map(({ node }) => node), ...status.agents.map(({ agent }) => agent)]
  return prefixed.map((id) => id.slice(id.indexOf('_') + 1))
}

/** Every file, and the records of LevelDB's logs joined: a log cuts them, and words with them, every 32 KiB. */
function readTree(directory: string): Buffer[] {
  return fs
    .readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .flatMap((entry) => {
      const bytes = fs.readFileSync(path.join(entry.parentPath, entry.name))
      if (!/^\d+\.log$/.test(entry.name)) return [bytes]
      return [bytes, ...readLog(bytes).records.map(({ payload }) => Buffer.from(payload))]
    })
}

const namesOf = (places: Readonly<Record<string, Buffer[]>>, holds: (bytes: Buffer[]) => boolean): string[] =>
  Object.keys(places).filter((place) => holds(places[place] ?? []))

const findAll = (search: Search, bytes: readonly Buffer[]): string[] => [
  ...new Set(bytes.flatMap((each) => search.in(each).map(({ planted }) => planted))),
]
