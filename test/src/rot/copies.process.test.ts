import * as fs from 'node:fs'
import * as os from 'node:os'
import * as path from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { documentOfKey, dotOfKey, TABLES } from '@sealmesh/node/store/keys'
import { openStore } from '@sealmesh/node/store/store'
import { copyFolder } from '../processes/copy-folder.ts'
import { NodeProcess } from '../processes/node.ts'
import { pairNodes, shareLayers, untilInSync } from '../processes/pair.ts'
import { RelayProcess } from '../processes/relay.ts'
import { until } from '../processes/wait.ts'

/**
 * A home that is put back from an older copy, and one that is copied and started twice: real processes throughout. One
 * pair of nodes goes through all of it, so each test ends with both in step; the copy is last, for its warning stays.
 */
const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'sealmesh-copies-'))
let relay: RelayProcess
let home: NodeProcess
let office: NodeProcess
const others: NodeProcess[] = []

beforeAll(async () => {
  relay = await RelayProcess.start({ data: at('relay') })
  const { address, claim } = relay
  home = await NodeProcess.start({ home: at('home'), name: 'home', relay: address, ...(claim ? { claim } : {}) })
  office = await pairNodes(home, { home: at('office'), name: 'office' })
  await shareLayers(home, 'home', ['semantic'], 'office:write')
  await write(home, 0, 5)
  await untilInSync(home, office)
}, 120_000)

afterAll(async () => {
  await Promise.all([home, office, ...others.splice(0)].map((node) => node.kill()))
  await relay.kill()
  fs.rmSync(directory, { recursive: true, force: true })
})

const at = (name: string): string => path.join(directory, name)
const copyHome = (to: string): void => copyFolder(at('home'), at(to))

async function write(node: NodeProcess, from: number, to: number, by = node.name): Promise<void> {
  const door = await node.door()
  for (let i = from; i < to; i++)
    await door.call('set', { umr: `home.semantic.fact-${i}`, value: JSON.stringify(`${by} ${i}`) })
  // One register that everybody writes: a fork would show here first.
  await door.call('set', { umr: 'home.semantic.contended', value: JSON.stringify(`${by} ${to}`) })
  await door.close()
}

/** What a node reads of the layer, conflicts included. */
async function contents(node: NodeProcess): Promise<string> {
  const door = await node.door()
  const { items } = await door.call('ls', { prefix: 'home.semantic' })
  const read: unknown[] = []
  for (const { umr, conflicts } of items) {
    const { item } = await door.call('get', { umr })
    read.push([umr, conflicts, item?.type === 'register' ? [item.value, item.origin.write] : null])
  }
  await door.close()
  return JSON.stringify(read)
}

const untilEqual = (...nodes: NodeProcess[]) =>
  until(
    'all nodes read the same',
    async () => new Set(await Promise.all(nodes.map((node) => contents(node)))).size === 1,
    60_000,
  )

const untilWarned = (node: NodeProcess, code: string) =>
  node.untilStatus(`warning ${code}`, ({ warnings }) => warnings.some((each) => each.code === code))

const untilNotWarned = (node: NodeProcess) =>
  node.untilStatus('without warnings', ({ warnings }) => warnings.every(({ code }) => code === 'KIT_MISSING'))

/** Every block has a place of its own in its incarnation: the office, which reads all, would hold both of a fork. */
async function expectNoForks(): Promise<void> {
  copyFolder(at('office/db'), at('seen'))
  const store = await openStore(at('seen'))
  const places = new Map<string, string>()
  const prefix = Uint8Array.of(TABLES.block)
  for await (const [key] of store.read({ from: prefix, to: Uint8Array.of(TABLES.block + 1) })) {
    const { incarnation, sequence, hash } = dotOfKey(key)
    const place = `${documentOfKey(key)} ${incarnation} ${sequence}`
    expect(places.get(place) ?? hash).toBe(hash)
    places.set(place, hash)
  }
  await store.close()
  fs.rmSync(at('seen'), { recursive: true })
  expect(places.size).toBeGreaterThan(10)
}

describe('a home that is put back from an older copy', () => {
  test('learns again what it had written, says so until it has, and nothing diverges', async () => {
    await home.stop()
    copyHome('yesterday')
    home = await NodeProcess.start({ home: at('home'), name: 'home' })
    await write(home, 0, 30, 'today')
    await untilInSync(home, office)
    const truth = await contents(office)
    await home.kill()
    fs.rmSync(at('home'), { recursive: true })
    copyFolder(at('yesterday'), at('home'))
    // With the relay away it can know of nothing, and writes on.
    const port = relay.port
    await relay.kill()
    home = await NodeProcess.start({ home: at('home'), name: 'home' })
    await write(home, 30, 33, 'restored')
    relay = await RelayProcess.start({ data: path.join(directory, 'relay'), port })
    await untilEqual(home, office)
    const read = await contents(home)
    for (let i = 5; i < 30; i++) expect(read).toContain(`today ${i}`)
    expect(read).toContain('restored 32')
    expect(read.length).toBeGreaterThan(truth.length)
    const door = await home.door()
    const { events, rolledBack } = await door.call('scrub.status', {})
    await door.close()
    // The flag may have ended already: then its end is among the events.
    expect(rolledBack !== null || events.some(({ what }) => what.includes('come back'))).toBe(true)
    await untilNotWarned(home)
    await write(home, 33, 34, 'afterwards')
    await untilEqual(home, office)
    await expectNoForks()
  })

  test('the database alone: noticed before anybody is asked, over a restart, until all peers were heard', async () => {
    await home.stop()
    copyHome('earlier')
    home = await NodeProcess.start({ home: at('home'), name: 'home' })
    await write(home, 0, 10, 'later')
    await untilInSync(home, office)
    await Promise.all([home.stop(), office.stop()])
    fs.rmSync(at('home/db'), { recursive: true })
    copyFolder(at('earlier/db'), at('home/db'))
    home = await NodeProcess.start({ home: at('home'), name: 'home' })
    await untilWarned(home, 'HOME_ROLLED_BACK')
    await home.kill()
    home = await NodeProcess.start({ home: at('home'), name: 'home' })
    await untilWarned(home, 'HOME_ROLLED_BACK')
    office = await NodeProcess.start({ home: at('office'), name: 'office' })
    await untilEqual(home, office)
    expect(await contents(home)).toContain('later 9')
    await untilNotWarned(home)
  })
})

describe('a home that is copied', () => {
  test('and started beside the original: both are told, no counter is reused, all end equal', async () => {
    await home.stop()
    copyHome('clone')
    // The later one is the one that the relay serves: what the copy writes gets out.
    home = await NodeProcess.start({ home: at('home'), name: 'home' })
    const clone = await NodeProcess.start({ home: at('clone'), name: 'clone' })
    others.push(clone)
    // Both write before either can know: under one incarnation this would be a fork.
    await Promise.all([write(home, 0, 10, 'original'), write(clone, 5, 15, 'clone')])
    await untilWarned(home, 'HOME_COPIED')
    await untilWarned(clone, 'HOME_COPIED')
    // The owner stops the copy; what it wrote is somewhere or comes with its home.
    await untilInSyncOrIdle(clone)
    await clone.stop()
    await write(home, 15, 20, 'original')
    await write(office, 20, 22)
    await untilEqual(home, office)
    const read = await contents(home)
    expect(read).toContain('clone 14')
    expect(read).toContain('original 19')
    expect(read).toContain('office 21')
    await expectNoForks()
  })
})

/** The relay idles the older of two: what that one wrote waits for its turn. */
async function untilInSyncOrIdle(node: NodeProcess): Promise<void> {
  await node.untilStatus('in sync, or idled by the relay', ({ summary, relays }) => {
    return summary === 'in sync' || relays.every(({ state }) => state !== 'live')
  })
}
