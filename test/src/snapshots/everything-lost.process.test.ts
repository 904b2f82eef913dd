import * as fs from 'node:fs'
import * as os from 'node:os'
import * as path from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { NodeProcess } from '../processes/node.ts'
import { pairNodes, shareLayers, untilInSync } from '../processes/pair.ts'
import { BIN, runProgram } from '../processes/program.ts'
import { RelayProcess } from '../processes/relay.ts'
import { until } from '../processes/wait.ts'

/**
 * Every machine is lost with its disk, each with documents that no other had. What is left: the kit of the first day,
 * and a relay that cannot read what lies in its vault.
 */

const KIT_MS = 120_000
const WRITES = 150

let directory: string
let relay: RelayProcess
let home: NodeProcess
let office: NodeProcess
let desk: NodeProcess
const running: NodeProcess[] = []
const at = (name: string): string => path.join(directory, name)

async function sealmesh(...words: string[]) {
  const options = { name: words.slice(0, 2).join(' '), deadlineMs: KIT_MS }
  const { exit, objects, program } = await runProgram(BIN.node, [...words, '--json'], options)
  const error = program.stderr.toString()
  const failure = error.startsWith('{') ? (JSON.parse(error) as { error: { code: string } }).error.code : undefined
  return { code: exit.code, last: objects.at(-1), failure }
}
async function set(node: NodeProcess, items: Readonly<Record<string, string>>): Promise<void> {
  const door = await node.door()
  for (const [umr, value] of Object.entries(items)) await door.call('set', { umr, value: JSON.stringify(value) })
  await door.close()
}
async function get(node: NodeProcess, umr: string): Promise<unknown> {
  const door = await node.door()
  const { item } = await door.call('get', { umr })
  await door.close()
  return item !== null && 'value' in item ? JSON.parse(item.value) : null
}
const leave = (node: NodeProcess) => sealmesh('snapshot', 'create', '--vault', '--home', node.home)

/** Acknowledged, and in the last snapshot of one of the two. */
const kept: Record<string, string> = {}

beforeAll(async () => {
  directory = fs.mkdtempSync(path.join(os.tmpdir(), 'sealmesh-lost-'))
  fs.writeFileSync(at('passphrase'), 'seven words that nobody else would write\n')
  relay = await RelayProcess.start({ data: at('relay') })
  const claim = relay.claim === undefined ? {} : { claim: relay.claim }
  const args = ['--kit', at('kit.age'), '--passphrase-file', at('passphrase')]
  home = await NodeProcess.start({
    home: at('home'),
    name: 'home',
    agent: 'claude',
    relay: relay.address,
    args,
    ...claim,
  })
  running.push(home)
  await home.program.line((line) => (line['kit'] === at('kit.age') ? line : undefined), KIT_MS)
  office = await pairNodes(home, { home: at('office'), name: 'office' })
  running.push(office)
  const door = await home.door()
  await door.call('agents.add', { name: 'claude', standby: ['office'] })
  await shareLayers(home, 'claude', ['semantic'], 'standby:write')
}, 2 * KIT_MS)

afterAll(async () => {
  for (const node of running) await node.kill()
  await relay?.stop()
  fs.rmSync(directory, { recursive: true, force: true })
})

test('a second snapshot sends what is new, and the relay learns nothing that it could read', async () => {
  const shared = Object.fromEntries(
    Array.from({ length: WRITES }, (_, i) => [`claude.semantic.fact-${i}`, `shared ${i} ${'y'.repeat(400)}`]),
  )
  await set(home, shared)
  const own = { 'claude.procedural.alone': 'on home alone', 'claude.session.task': 'in term one' }
  await set(home, own)
  await set(office, { 'office.semantic.alone': 'on office alone', 'claude.semantic.from-office': 'shared by office' })
  await untilInSync(home, office)
  Object.assign(kept, shared, own)
  const first = await leave(home)
  expect(first).toMatchObject({ code: 0, last: { failure: null, made: { path: null, damaged: 0 } } })
  const made = first.last?.['made'] as { chunks: number; sentChunks: number; bytes: number }
  expect(made.sentChunks).toBe(made.chunks)
  await set(home, { 'claude.procedural.later': 'after the first snapshot' })
  const second = (await leave(home)).last?.['made'] as typeof made
  expect(second.sentChunks).toBeLessThan(second.chunks)
  expect((await leave(office)).code).toBe(0)
  // What office writes once more is only in its own last snapshot.
  await set(office, {
    'claude.semantic.from-office': 'shared by office, later',
    'office.semantic.alone': 'on office, later',
  })
  expect((await leave(office)).code).toBe(0)
  Object.assign(kept, {
    'claude.procedural.later': 'after the first snapshot',
    'claude.semantic.from-office': 'shared by office, later',
    'office.semantic.alone': 'on office, later',
  })
  const listing = await sealmesh('snapshot', 'ls', '--home', at('office'))
  expect(listing.last?.['vaults']).toEqual(
    expect.arrayContaining([
      { node: 'home', snapshots: [expect.objectContaining({ number: 1 }), expect.objectContaining({ number: 2 })] },
      { node: 'office', snapshots: [expect.objectContaining({ number: 1 }), expect.objectContaining({ number: 2 })] },
    ]),
  )
  expect((await office.status()).snapshots.vaultAt).not.toBeNull()
  expect(await sealmesh('snapshot', 'create', '--vault', '--with-diary', '--home', at('home'))).toMatchObject({
    code: 4,
    failure: 'DIARY_PRIVATE',
  })
})

test('with kit and relay everything that was acknowledged before the snapshots is there, and nothing counted twice', async () => {
  await set(home, { 'claude.procedural.lost': 'after the last snapshot' })
  const door = await home.door()
  await until('the relay has the log', async () => (await door.call('key.show', {})).logCopied)
  const old = [await home.status(), await office.status()].map(({ node }) => node)
  for (const node of [home, office]) {
    await node.kill()
    fs.rmSync(node.home, { recursive: true })
  }
  for (const file of fs.readdirSync(at('relay/db'))) {
    const bytes = fs.readFileSync(path.join(at('relay/db'), file)).toString('latin1')
    for (const plain of ['on home alone', 'on office', 'shared 7', 'semantic', 'fact-7'])
      expect([file, plain, bytes.includes(plain)]).toEqual([file, plain, false])
  }
  const words = [
    'recover',
    at('kit.age'),
    '--passphrase-file',
    at('passphrase'),
    '--home',
    at('desk'),
    '--name',
    'desk',
  ]
  const { code, last } = await sealmesh(...words)
  expect(code).toBe(0)
  expect(last).toMatchObject({ agents: expect.arrayContaining(['claude', 'office']) })
  const vaults = (last?.['vaults'] ?? []) as { name: string }[]
  expect(vaults.toSorted((a, b) => (a.name < b.name ? -1 : 1))).toEqual([
    expect.objectContaining({ name: 'home', unplaced: 0, code: null }),
    expect.objectContaining({ name: 'office', unplaced: 0, code: null }),
  ])
  expect(fs.existsSync(at('desk/vault-chunks'))).toBe(false)
  desk = await NodeProcess.start({ home: at('desk'), name: 'desk' })
  running.push(desk)
  for (const [umr, value] of Object.entries(kept)) expect([umr, await get(desk, umr)]).toEqual([umr, value])
  expect(await get(desk, 'claude.procedural.lost')).toBeNull()
  const now = await desk.status()
  expect(old.map(({ id }) => id)).not.toContain(now.node.id)
  expect(old.map(({ incarnation }) => incarnation)).not.toContain(now.node.incarnation)
  expect(now.findings).toEqual([])
  expect(now.agents.flatMap(({ layers }) => layers).filter(({ damaged, held }) => damaged || held > 0)).toEqual([])
}, 240_000)

test('its agents act again, on what they had, and a third machine joins and is in step', async () => {
  const door = await desk.door()
  for (const agent of ['claude', 'office'])
    expect(await door.call('takeover', { agent })).toMatchObject({ holder: 'desk' })
  await set(desk, {
    'claude.session.task': 'in term two',
    'claude.semantic.fact-3': 'written anew',
    'office.semantic.alone': 'written anew, too',
  })
  for (const node of ['home', 'office'])
    expect(await door.call('device.revoke', { node, reason: 'lost' })).toMatchObject({ relayTold: true })
  const shed = await pairNodes(desk, { home: at('shed'), name: 'shed' })
  running.push(shed)
  await door.call('agents.add', { name: 'claude', standby: ['shed'] }).catch(() => undefined)
  await shareLayers(desk, 'claude', ['semantic', 'procedural'], 'shed')
  await untilInSync(desk, shed)
  for (const umr of Object.keys(kept).filter((each) => /^claude\.(semantic|procedural)/.test(each)))
    await until(`${umr} is at shed`, async () => (await get(shed, umr)) === (await get(desk, umr)))
  expect(await get(shed, 'claude.semantic.fact-3')).toBe('written anew')
  expect((await shed.status()).findings).toEqual([])
  expect((await leave(desk)).code).toBe(0)
})
