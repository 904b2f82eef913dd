import * as fs from 'node:fs'
import * as os from 'node:os'
import * as path from 'node:path'
import type { DoorClient } from '@sealmesh/node/ipc/client'
import type { MethodResult, NodeEvent } from '@sealmesh/protocol/ipc/methods'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { NodeProcess } from '../processes/node.ts'
import { pairNodes, shareLayers, untilInSync } from '../processes/pair.ts'
import { BIN, runProgram } from '../processes/program.ts'
import { RelayProcess } from '../processes/relay.ts'
import { until } from '../processes/wait.ts'

/** Knowing what is going on, on two real machines and a relay: `home` shares with `office`, which goes and comes. */

const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'sealmesh-knowing-'))
let relay: RelayProcess
let home: NodeProcess
let office: NodeProcess
let door: DoorClient

beforeAll(async () => {
  relay = await RelayProcess.start({ data: path.join(directory, 'relay') })
  const claim = relay.claim === undefined ? {} : { claim: relay.claim }
  home = await NodeProcess.start({ home: path.join(directory, 'home'), name: 'home', relay: relay.address, ...claim })
  office = await pairNodes(home, { home: path.join(directory, 'office'), name: 'office' })
  door = await home.door()
})

afterAll(async () => {
  await office.stop()
  await home.stop()
  await relay.stop()
  fs.rmSync(directory, { recursive: true, force: true })
})

const set = (umr: string, value: string) => door.call('set', { umr, value: JSON.stringify(value) })
const cli = (node: NodeProcess, ...words: string[]) =>
  runProgram(BIN.node, [...words, '--home', node.home, '--json'], { name: words[0] ?? '' })
const machineOf = ({ layers }: MethodResult<'why'>, name: string) =>
  layers[0]?.machines.find((machine) => machine.name === name)

test('what is not shared is said to be so, with the command that shares it, and nobody waits for it', async () => {
  await set('home.semantic.day', 'Monday')
  await door.call('agents.add', { name: 'home', standby: ['office'] })
  const why = await door.call('why', { target: 'home.semantic.day' })
  expect(why.layers[0]?.item).toMatchObject({ type: 'register', value: '"Monday"', origin: { writer: 'home' } })
  expect(machineOf(why, 'home')).toMatchObject({ here: true, cause: 'here' })
  expect(machineOf(why, 'office')).toMatchObject({
    has: 'not shared',
    cause: 'no-grant',
    next: 'sealmesh share set home semantic=office',
  })
  const { documents } = await door.call('diff', { peer: 'office' })
  expect(documents).toMatchObject([{ layer: 'semantic', shared: 'no', weLack: null, cause: 'no-grant' }])
  const waited = await cli(home, 'wait', '--replicated', 'home')
  expect(waited.exit.code).toBe(4)
  expect(waited.program.stderr.toString()).toContain('NOT_SHARED')
})

test('wait returns once the other machine has confirmed, and then every view agrees that nothing is missing', async () => {
  await shareLayers(home, 'home', ['semantic'], 'office:write')
  await set('home.semantic.day', 'Tuesday')
  const waited = await cli(home, 'wait', '--synced', '--timeout', '30s', 'home')
  expect(waited.program.describe()).toContain('exit 0')
  expect(waited.objects.at(-1)).toMatchObject({ done: true, readers: ['office'], behind: [] })
  const why = await door.call('why', { target: 'home.semantic.day' })
  expect(machineOf(why, 'office')).toMatchObject({ has: 'same', lacks: 0, more: 0, cause: 'in-step' })
  const { documents } = await door.call('diff', { peer: 'office', keys: true })
  expect(documents).toMatchObject([{ shared: 'both', theyLack: 0, weLack: 0, keys: null }])
  const { peers, relays } = await home.status()
  expect(peers).toMatchObject([{ state: 'in sync', toSend: 0, lagSeconds: null, documentsBehind: 0 }])
  expect(relays).toMatchObject([{ state: 'live', unanswered: 0 }])
})

test('a machine that is away lags, in blocks and seconds; why and diff name the version, the keys and the step', async () => {
  await office.stop()
  const before = await door.call('why', { target: 'home.semantic.day' })
  const had = machineOf(before, 'office')?.version?.write
  await set('home.semantic.day', 'Wednesday')
  await set('home.semantic.port', '8080')
  const waited = await cli(home, 'wait', '--replicated', '--timeout', '300ms', 'home.semantic.day')
  expect(waited.exit.code).toBe(10)
  expect(waited.program.stderr.toString()).toContain('WAIT_TIMEOUT')
  const { peers } = await home.status()
  expect(peers).toMatchObject([{ name: 'office', toSend: 2, documentsBehind: 1 }])
  expect(peers[0]?.lagSeconds).toBeGreaterThanOrEqual(0)
  expect(Date.parse(peers[0]?.oldestUnsentAt ?? '')).toBeLessThanOrEqual(Date.now())
  const why = await door.call('why', { target: 'home.semantic.day' })
  expect(machineOf(why, 'office')).toMatchObject({ has: 'older', lacks: 2, version: { write: had } })
  expect(machineOf(why, 'home')?.version?.write).not.toBe(had)
  const { documents } = await door.call('diff', { peer: 'office', keys: true })
  expect(documents).toMatchObject([{ theyLack: 2, keys: { names: ['day', 'port'], textEdits: 0, truncated: false } }])
})

test('events tell of writes, the machine that comes back, and a conflict, also where the value shown stays', async () => {
  const events: NodeEvent[] = []
  const listening = await home.door()
  listening.on('event', (event) => events.push(event))
  const { cursor } = await listening.call('events', {})
  // Written while apart: office does not know `Wednesday`.
  await relay.stop()
  office = await NodeProcess.start({ home: path.join(directory, 'office'), name: 'office' })
  const there = await office.door()
  await there.call('set', { umr: 'home.semantic.day', value: '"Thursday"' })
  await set('home.semantic.day', 'Friday')
  relay = await RelayProcess.start({ data: path.join(directory, 'relay'), port: relay.port })
  await until('home has told of the conflict', () => events.some(({ type }) => type === 'conflict'))
  expect(events.find(({ type }) => type === 'write')).toMatchObject({ umr: 'home.semantic.day', local: true })
  expect(events.find(({ type }) => type === 'conflict')).toMatchObject({
    umr: 'home.semantic.day',
    agent: 'home',
    layer: 'semantic',
    detail: { values: 2, settled: false },
  })
  expect(events.filter(({ type }) => type === 'relay').map(({ detail }) => detail['state'])).toEqual(['down', 'live'])
  await listening.close()

  // Taken up behind what was heard: only what is wanted, and what has been is there still.
  const again = await cli(home, 'events', '--after', cursor, '--no-follow', '--type', 'conflict')
  expect(again.objects).toMatchObject([{ type: 'conflict', umr: 'home.semantic.day' }])
  const lost = await cli(home, 'events', '--after', 'ffffffff.3', '--no-follow', '--type', 'takeover')
  expect(lost.objects[0]).toMatchObject({ type: 'gap', detail: { lost: null } })
})

test('the conflict has both writers and machines, a note in why, and is settled by a merge that says what it saw', async () => {
  await untilInSync(home)
  const shown = await door.call('conflicts.show', { umr: 'home.semantic.day' })
  expect(shown.siblings.map(({ value, origin }) => [value, origin.writer, origin.nodeName])).toEqual([
    ['"Friday"', 'home', 'home'],
    ['"Thursday"', 'home', 'office'],
  ])
  const why = await door.call('why', { target: 'home.semantic.day' })
  expect(why.layers[0]?.notes).toMatchObject([{ code: 'conflict', next: 'sealmesh conflicts show home.semantic.day' }])
  const seen = shown.seen.map((write) => write.slice(0, 12)).join(',')
  const merged = await cli(home, 'conflicts', 'merge', 'home.semantic.day', 'Saturday', '--seen', seen)
  expect(merged.objects.at(-1)).toMatchObject({ left: 0, replaced: [{ value: '"Friday"' }, { value: '"Thursday"' }] })
  const waited = await cli(home, 'wait', '--synced', '--timeout', '30', '--peer', 'office')
  expect(waited.exit.code).toBe(0)
  const there = await office.door()
  expect(await there.call('get', { umr: 'home.semantic.day' })).toMatchObject({
    item: { value: '"Saturday"', conflicts: 0 },
  })
  await there.close()
})

test('history has every version with its machine, and restore brings one back on both machines', async () => {
  const { versions, earlier, endsAt } = await door.call('history', { umr: 'home.semantic.day' })
  expect(versions.map(({ value }) => value)).toEqual([
    '"Saturday"',
    '"Friday"',
    '"Thursday"',
    '"Wednesday"',
    '"Tuesday"',
    '"Monday"',
  ])
  expect(versions.map(({ nodeName }) => nodeName)).toEqual(['home', 'home', 'office', 'home', 'home', 'home'])
  expect([versions[0]?.state, versions[1]?.state, earlier, endsAt]).toEqual(['shown', 'replaced', 0, null])
  const wednesday = versions[3]?.at ?? ''
  const then = await cli(home, 'history', 'home.semantic.day', '--at', wednesday)
  expect(then.objects.at(-1)).toMatchObject({ type: 'register', value: '"Wednesday"', origin: { nodeName: 'home' } })
  const restored = await cli(home, 'restore', 'home.semantic.day', '--at', wednesday)
  expect(restored.exit.code).toBe(0)
  expect((await cli(home, 'restore', 'home.semantic.day', '--at', wednesday)).objects.at(-1)).toMatchObject({
    write: null,
  })
  await cli(home, 'wait', '--replicated', '--timeout', '30', 'home.semantic.day')
  const there = await office.door()
  expect(await there.call('get', { umr: 'home.semantic.day' })).toMatchObject({ item: { value: '"Wednesday"' } })
  await there.close()
})

test('a text has versions by lines, and is restored by an edit that others merge with', async () => {
  const umr = 'home.semantic.notes'
  await door.call('text.put', { umr, text: 'one\ntwo\nthree\n' })
  const there = await office.door()
  await until('the text is there', async () => (await there.call('get', { umr })).item !== null)
  const first = (await door.call('history', { umr })).versions[0]?.at ?? ''
  await there.call('text.put', { umr, text: 'one\nzwei\nthree\n' })
  await until('the edit is here', async () => {
    const { item } = await door.call('get', { umr })
    return item?.type === 'text' && item.text.includes('zwei')
  })
  const { versions } = await door.call('history', { umr })
  expect(versions).toMatchObject([
    { type: 'text', nodeName: 'office', hunks: [{ line: 2, removed: ['two'], added: ['zwei'] }] },
    { type: 'text', nodeName: 'home', hunks: [{ line: 1, removed: [], added: ['one', 'two', 'three'] }] },
  ])
  await door.call('restore', { umr, at: first })
  await until('the old text is at the office', async () => {
    const { item } = await there.call('get', { umr })
    return item?.type === 'text' && item.text === 'one\ntwo\nthree\n'
  })
  await there.close()
})
