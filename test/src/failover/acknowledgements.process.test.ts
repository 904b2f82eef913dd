import type { DoorClient } from '@sealmesh/node/ipc/client'
import type { Acknowledgement } from '@sealmesh/protocol/ipc/acknowledging'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { endHousehold, type Household, startHousehold } from '../processes/household.ts'
import { NodeProcess } from '../processes/node.ts'
import { BIN, runProgram } from '../processes/program.ts'
import { RelayProcess } from '../processes/relay.ts'
import { until } from '../processes/wait.ts'

/** Levels on two real machines and a relay: `home` holds its agent, `office` stands by for it, goes, stops and comes. */

let house: Household
let door: DoorClient
let count = 0

beforeAll(async () => {
  house = await startHousehold('levels')
  door = await house.home.door()
  await door.call('agents.add', { name: 'home', standby: ['office'] })
  await door.call('share.set', { agent: 'home', changes: [{ layer: 'semantic', to: 'standby:write' }] })
})
afterAll(async () => await endHousehold(house))

async function write(wait: 'local' | 'relayed' | 'replicated', timeoutMs = 30_000): Promise<Acknowledgement> {
  const umr = `home.semantic.k-${count++}`
  const { acknowledged } = await door.call('set', { umr, value: '1', wait, timeoutMs })
  if (acknowledged === undefined) throw new Error('a level was asked for')
  return acknowledged
}

const cli = (...words: string[]) =>
  runProgram(BIN.node, [...words, '--home', house.home.home, '--json'], { name: words[0] ?? '' })
const durability = async () => (await house.home.status()).agents.find(({ name }) => name === 'home')?.durability

test('a write that others may not read, or that has nobody to stand by, is refused before it is made', async () => {
  const refused = await cli('set', 'home.private.x', '1', '--wait', 'replicated')
  expect(refused.exit.code).toBe(4)
  expect(refused.program.stderr.toString()).toContain('LEVEL_UNREACHABLE')
  expect((await door.call('get', { umr: 'home.private.x' })).item).toBeNull()
})

test('replicated says whose disks have it, and names the standby as the sync set', async () => {
  expect(await write('replicated')).toMatchObject({
    done: true,
    level: 'replicated',
    copies: 2,
    members: ['office'],
    missing: [],
    left: [],
    reason: null,
  })
  expect(await write('local')).toMatchObject({ done: true, copies: 1 })
  expect(await durability()).toMatchObject({
    policy: 'available',
    syncSet: expect.arrayContaining(['home', 'office']),
    left: [],
    means: 'on this disk and that of office',
  })
  const told = await cli('set', 'home.semantic.told', '1', '--wait', 'replicated')
  expect(told.objects.at(-1)).toMatchObject({ acknowledged: { level: 'replicated', copies: 2 } })
  expect((await cli('wait', '--replicated', 'home')).objects.at(-1)).toMatchObject({ done: true, readers: ['office'] })
})

test('what the relay delivered to a machine that stands still is not relayed, and an available agent says so when it goes on alone', async () => {
  house.office.program.child.kill('SIGSTOP')
  try {
    // The relay takes the connection for alive: it forwards, and stores nothing.
    expect(await write('relayed', 1_000)).toMatchObject({
      done: false,
      level: 'local',
      copies: 1,
      missing: [{ machine: 'office', relay: false }],
    })
    const alone = await write('replicated', 20_000)
    expect(alone).toMatchObject({ done: true, level: 'local', copies: 1, members: [], left: ['office'] })
    expect(await durability()).toMatchObject({
      syncSet: ['home'],
      left: [{ node: 'office' }],
      means: 'this disk alone: no standby is in step, and the agent goes on without',
    })
    // Who asked for more than this disk is not told that it is there.
    for (const words of [
      ['set', 'home.semantic.alone', '1', '--wait', 'replicated'],
      ['wait', '--replicated', 'home'],
    ]) {
      const refused = await cli(...words)
      expect(refused.exit.code).toBe(10)
      expect(refused.program.stderr.toString()).toContain('office left the sync set')
    }
  } finally {
    house.office.program.child.kill('SIGCONT')
  }
  await until('office is back in the set', async () => (await durability())?.syncSet?.includes('office'))
  expect(await write('replicated')).toMatchObject({ level: 'replicated', copies: 2 })
  expect(await durability()).toMatchObject({ level: 'replicated', left: [] })
})

test('what the relay stored for a machine that is off is relayed, until that leaves the set', async () => {
  await house.office.kill()
  expect(await write('relayed', 20_000)).toMatchObject({ done: true, missing: [{ machine: 'office', relay: true }] })
  expect((await cli('wait', '--relayed', 'home')).exit.code).toBe(0)
  house = { ...house, office: await NodeProcess.start({ home: house.office.home, name: 'office' }) }
  await until('office has all of it', async () => (await durability())?.level === 'replicated')
})

test('without its relay a write waits in vain, is told who is missing, and is kept', async () => {
  const { relay, directory } = house
  await relay.kill()
  const failed = await cli('set', 'home.semantic.cut-off', '1', '--wait', 'relayed', '--timeout', '500ms')
  expect(failed.exit.code).toBe(10)
  expect(failed.program.stderr.toString()).toContain('WAIT_TIMEOUT')
  expect(failed.program.stderr.toString()).toContain('office')
  expect((await door.call('get', { umr: 'home.semantic.cut-off' })).item).not.toBeNull()
  house = { ...house, relay: await RelayProcess.start({ data: `${directory}/relay`, port: relay.port }) }
  await until('office is in step again', async () => {
    const now = await durability()
    return now?.level === 'replicated' && now.syncSet?.includes('office') === true
  })
})

test('a strict agent acknowledges nothing without its standby, however long that stands still', async () => {
  await door.call('failover.set', { agent: 'home', durability: 'strict' })
  expect(await write('replicated')).toMatchObject({ level: 'replicated', copies: 2 })
  house.office.program.child.kill('SIGSTOP')
  try {
    // Twice as long as a member of an available agent's set may take.
    expect(await write('replicated', 8_000)).toMatchObject({
      done: false,
      level: 'local',
      copies: 1,
      missing: [{ machine: 'office' }],
      left: [],
      unreachable: false,
    })
    expect(await durability()).toMatchObject({ policy: 'strict', syncSet: expect.arrayContaining(['home', 'office']) })
  } finally {
    house.office.program.child.kill('SIGCONT')
  }
  expect(await write('replicated')).toMatchObject({ done: true, level: 'replicated', copies: 2 })
})

test('a leased agent acknowledges by the set that its register lists, and a level that it cannot have is refused', async () => {
  await door.call('share.set', { agent: 'home', changes: [{ layer: 'session', to: 'standby' }] })
  await door.call('witness.set', { profile: 'fast' })
  // Nobody takes it over by itself when the relay is back before its holder.
  await door.call('failover.set', { agent: 'home', mode: 'ask', durability: 'available' })
  const session = async (timeoutMs: number) =>
    (await door.call('set', { umr: `home.session.s-${count++}`, value: '1', wait: 'replicated', timeoutMs }))
      .acknowledged
  await until('the lease lists the agent', async () => (await session(2_000))?.level === 'replicated')
  expect(await write('replicated')).toMatchObject({ done: true, level: 'replicated', copies: 2, members: ['office'] })
  // Without its relay the lease ends, and with it every word of the holder about its own layers.
  await house.relay.kill()
  await until('it may not act', async () => {
    const refused = await cli('set', 'home.session.fenced', '1', '--wait', 'replicated')
    const said = refused.program.stderr.toString()
    return refused.exit.code === 4 && (said.includes('LEVEL_UNREACHABLE') || said.includes('FENCED'))
  })
  house = { ...house, relay: await RelayProcess.start({ data: `${house.directory}/relay`, port: house.relay.port }) }
  await until('it acts again', async () => (await session(2_000))?.level === 'replicated', 90_000)
})
