import * as fs from 'node:fs'
import * as os from 'node:os'
import * as path from 'node:path'
import { toHex } from '@sealmesh/protocol/bytes'
import { loadSodium } from '@sealmesh/sodium/load'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { openWireTap, type WireTap } from '../canary/wire-tap.ts'
import { copyFolder } from '../processes/copy-folder.ts'
import { DAY_MS, later } from '../processes/later.ts'
import { NodeProcess } from '../processes/node.ts'
import { pairNodes } from '../processes/pair.ts'
import { RelayProcess } from '../processes/relay.ts'
import { until } from '../processes/wait.ts'
import { filesOf, keysOf, read, recordedPackets, strayKeys } from './thief.ts'

/**
 * The disk of the office is stolen three times: on the first day, after three weeks and after six. All that time
 * somebody has recorded what the relay sees. The office may read `semantic`; `episodic` is between home and shed.
 */

const sodium = await loadSodium()
const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'sealmesh-stolen-'))
const homeOf = (name: string): string => path.join(directory, name)
const NAMES = ['home', 'office', 'shed'] as const

/** When, and a word of each layer that is said then. */
const TIMES = [
  { days: 0, granted: 'quokka-of-the-first-day', others: 'wombat-of-the-first-day' },
  { days: 21, granted: 'quokka-of-three-weeks', others: 'wombat-of-three-weeks' },
  { days: 42, granted: 'quokka-of-six-weeks', others: 'wombat-of-six-weeks' },
] as const

let tap: WireTap
let port = 0
let relay: RelayProcess
const running: NodeProcess[] = []

async function stopAll(): Promise<void> {
  for (const node of running.splice(0)) await node.stop()
  await tap?.close()
  await relay?.stop()
}

/** All machines, so many days later; the recorder keeps the place where nodes look for the relay. */
async function startAll(days: number): Promise<void> {
  const env = later(days * DAY_MS)
  relay = await RelayProcess.start({ data: homeOf('relay'), env })
  tap = await openWireTap(relay.port, '127.0.0.1', port)
  port = tap.port
  if (days > 0) {
    for (const name of NAMES) running.push(await NodeProcess.start({ home: homeOf(name), name, env }))
    return
  }
  const claim = relay.claim === undefined ? {} : { claim: relay.claim }
  const home = await NodeProcess.start({
    home: homeOf('home'),
    name: 'home',
    relay: relay.addressAt(port),
    ...claim,
    env,
  })
  running.push(home)
  for (const name of ['office', 'shed']) running.push(await pairNodes(home, { home: homeOf(name), name, env }))
  const door = await home.door()
  await door.call('share.set', { agent: 'home', changes: [{ layer: 'semantic', to: 'office' }] })
  await door.call('share.set', { agent: 'home', changes: [{ layer: 'episodic', to: 'shed' }] })
  await door.close()
}

/** What was recorded and what was stolen at each time. */
const recorded: Uint8Array[][] = []
const stolen: string[] = []
const announced = new Set<string>()

beforeAll(async () => {
  for (const [at, { days, granted, others }] of TIMES.entries()) {
    await startAll(days)
    const door = await running[0]!.door()
    await door.call('set', { umr: `home.semantic.word-${at}`, value: JSON.stringify(granted) })
    await door.call('set', { umr: `home.episodic.word-${at}`, value: JSON.stringify(others) })
    await door.close()
    for (const [node, umr] of [
      [running[1]!, `home.semantic.word-${at}`],
      [running[2]!, `home.episodic.word-${at}`],
    ] as const) {
      const there = await node.door()
      await until(`${node.name} has ${umr}`, async () => (await there.call('get', { umr })).item !== null)
      await there.close()
    }
    const messages = tap.fromClients().map((message) => new Uint8Array(message))
    await stopAll()
    recorded.push(recordedPackets(messages))
    copyFolder(homeOf('office'), homeOf(`stolen-${at}`))
    stolen.push(homeOf(`stolen-${at}`))
    for (const { publicKey } of await keysOf(homeOf('office'), sodium)) announced.add(toHex(publicKey))
  }
}, 180_000)

afterAll(async () => {
  await stopAll().catch(() => undefined)
  fs.rmSync(directory, { recursive: true, force: true })
})

/** The words that the thief reads in packets of each time, with the disk of one time. */
async function wordsRead(disk: string, more: Awaited<ReturnType<typeof keysOf>> = []): Promise<string[][]> {
  const keys = [...(await keysOf(disk, sodium)), ...more]
  return recorded.map((packets) => {
    const said = Buffer.concat(packets.map((packet) => read(packet, keys, sodium) ?? new Uint8Array()))
    return TIMES.flatMap(({ granted, others }) => [granted, others]).filter((word) => said.includes(word))
  })
}

test('with the disk of a day one reads what was said to that machine on that day, and nothing that was said to others', async () => {
  expect((await wordsRead(stolen[0]!))[0]).toEqual([TIMES[0].granted])
  // Three weeks later the prekey of the first day may still be needed: packets live four weeks.
  const words = await wordsRead(stolen[1]!)
  expect(words[0]).toEqual([TIMES[0].granted])
  expect(words[1]).toContain(TIMES[1].granted)
})

test('T-disk-1: with the disk of six weeks one opens no packet of the first day, wherever on it one looks for keys', async () => {
  // The search finds the keys that are there.
  expect(strayKeys(stolen[0]!, announced, sodium).length).toBeGreaterThan(0)
  const stray = strayKeys(stolen[2]!, announced, sodium)
  const words = await wordsRead(stolen[2]!, stray)
  expect(words[0]).toEqual([])
  expect(words[1]).toContain(TIMES[1].granted)
  expect(words[2]).toContain(TIMES[2].granted)
  // Not one of them, whatever it holds.
  const keys = [...(await keysOf(stolen[2]!, sodium)), ...stray]
  const opened = recorded[0]!.filter((packet) => read(packet, keys, sodium) !== undefined)
  expect([recorded[0]!.length > 0, opened.length]).toEqual([true, 0])
})

test('T-disk-4: no disk of the office, and no key on it, tells what it was not granted', async () => {
  const foreign = TIMES.map(({ others }) => others)
  for (const disk of stolen) {
    const files = Buffer.concat(filesOf(disk))
    expect(foreign.filter((word) => files.includes(word))).toEqual([])
    expect((await wordsRead(disk)).flat().filter((word) => (foreign as string[]).includes(word))).toEqual([])
  }
  // What it was granted is there to be read, of all times: that is what a disk is for.
  const last = Buffer.concat(filesOf(stolen[2]!))
  expect(TIMES.map(({ granted }) => last.includes(granted))).toEqual([true, true, true])
})

test('T-disk-2: all keys of the office sign for nobody else', async () => {
  const files = filesOf(stolen[2]!)
  // The root and the agents of the other machines lie in their own homes only.
  for (const name of ['home', 'shed'])
    for (const file of fs.readdirSync(path.join(homeOf(name), 'keys'), { withFileTypes: true })) {
      if (!file.isFile()) continue
      const [, seed = ''] = fs.readFileSync(path.join(homeOf(name), 'keys', file.name), 'utf8').split(' ')
      expect(seed).toMatch(/^[0-9a-f]{64}$/)
      for (const form of [Buffer.from(seed), Buffer.from(seed, 'hex')])
        expect([name, file.name, files.some((bytes) => bytes.includes(form))]).toEqual([name, file.name, false])
    }
})
