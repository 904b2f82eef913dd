import * as path from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { endHousehold, startHousehold } from '../processes/household.ts'
import { withDoubles } from '../processes/doubles.ts'
import { NodeProcess } from '../processes/node.ts'
import { untilInSync } from '../processes/pair.ts'
import { BIN, runProgram } from '../processes/program.ts'
import { RelayProcess } from '../processes/relay.ts'
import { until } from '../processes/wait.ts'

/** A machine that was silent for too long, over real processes. */

let directory: string
let relay: RelayProcess
let home: NodeProcess
let office: NodeProcess

beforeAll(async () => {
  const started = await startHousehold('lapse')
  directory = started.directory
  relay = started.relay
  home = started.home
  office = started.office
})

afterAll(async () => await endHousehold({ directory, relay, home, office }))

const read = async (node: NodeProcess, umr: string): Promise<unknown> => {
  const door = await node.door()
  const { item } = await door.call('get', { umr })
  await door.close()
  return item?.type === 'register' ? JSON.parse(item.value) : null
}

const write = async (node: NodeProcess, umr: string, value: string): Promise<void> => {
  const door = await node.door()
  await door.call('set', { umr, value: JSON.stringify(value) })
  await door.close()
}

const eventsOf = async (node: NodeProcess, type: 'compaction' | 'caught-up') => {
  const door = await node.door()
  try {
    return (await door.call('events', { follow: false, types: [type], after: '00000000.0' })).events.filter(
      (event) => event.type === type,
    )
  } finally {
    await door.close()
  }
}

test('what a lapsed machine wrote in its silence is listed when it returns, and what it writes then counts', async () => {
  const door = await home.door()
  await door.call('share.set', { agent: 'home', changes: [{ layer: 'semantic', to: 'office:write' }] })
  await until('office may write', async () => {
    await write(office, 'home.semantic.before', 'heard').catch(() => undefined)
    return (await read(home, 'home.semantic.before')) === 'heard'
  })
  await untilInSync(home, office)

  // Office goes silent, with a write that reaches nobody.
  await relay.stop()
  await write(office, 'home.semantic.before', 'unheard')
  await office.stop()
  const said = await runProgram(BIN.node, ['lapse', 'office', '--yes', '--home', home.home], { name: 'lapse' })
  expect(said.program.stderr.toString() + said.program.stdout.toString()).toMatch(/office has lapsed/)

  relay = await RelayProcess.start({ data: path.join(directory, 'relay'), port: relay.port })
  office = await NodeProcess.start({ home: office.home, name: 'office' })
  await until('office knows that it had lapsed', async () => (await read(office, 'home.semantic.before')) === 'heard')
  for (const node of [home, office]) {
    await until('both list the write that nobody heard', async () => {
      const each = await node.door()
      const { aside } = await each.call('late.ls', {})
      await each.close()
      return aside.some(({ reason, nodeName }) => reason === 'LAPSED' && nodeName === 'office')
    })
  }
  expect(await read(home, 'home.semantic.before')).toBe('heard')

  await write(office, 'home.semantic.after', 'back')
  await until('what office writes now counts', async () => (await read(home, 'home.semantic.after')) === 'back')

  // And what was set aside can be merged by choice.
  const { aside } = await door.call('late.ls', {})
  await door.call('late.merge', { block: aside[0]?.block ?? '' })
  await until('the choice reaches office', async () => (await read(office, 'home.semantic.before')) === 'unheard')
  await door.close()
})

test('a machine that lapsed, and whose peers compacted, comes back and shows everything', async () => {
  const eager = withDoubles({
    './documents/compaction.js': new URL('../processes/eager-compaction.ts', import.meta.url),
  })
  for (let i = 0; i < 8; i++) await write(home, `home.episodic.key-${i}`, 'old')
  const door = await home.door()
  await door.call('share.set', { agent: 'home', changes: [{ layer: 'episodic', to: 'office:write' }] })
  await door.close()
  await until('office has them', async () => (await read(office, 'home.episodic.key-7')) === 'old')
  await until('office may write', async () => {
    await write(office, 'home.episodic.office', 'heard').catch(() => undefined)
    return (await read(home, 'home.episodic.office')) === 'heard'
  })
  await untilInSync(home, office)

  // Office goes silent with words that reach nobody; home goes on, and lets go of what it keeps for office.
  await relay.stop()
  await write(office, 'home.episodic.key-1', 'unheard')
  await office.stop()
  await runProgram(BIN.node, ['lapse', 'office', '--yes', '--home', home.home], { name: 'lapse' })
  for (let i = 0; i < 8; i += 2) {
    const there = await home.door()
    await there.call('rm', { umr: `home.episodic.key-${i}` })
    await there.close()
  }
  for (let i = 0; i < 8; i++) await write(home, 'home.episodic.since', `${i}`)
  await home.stop()
  home = await NodeProcess.start({ home: home.home, name: 'home', env: eager })
  await until('home has compacted', async () => (await eventsOf(home, 'compaction')).length > 0)

  relay = await RelayProcess.start({ data: path.join(directory, 'relay'), port: relay.port })
  office = await NodeProcess.start({ home: office.home, name: 'office' })
  await until('office has what home has', async () => (await read(office, 'home.episodic.since')) === '7')
  await untilInSync(home, office)
  expect(await read(office, 'home.episodic.key-1')).toBe('old')
  expect(await read(office, 'home.episodic.key-2')).toBe(null)
  const [event] = await eventsOf(office, 'caught-up')
  expect(event?.detail['gone']).toBe(4)

  const there = await office.door()
  const { aside } = await there.call('late.ls', {})
  const unheard = aside.find(({ layer }) => layer === 'episodic')
  expect(unheard?.reason).toBe('LAPSED')
  await there.call('late.merge', { block: unheard?.block ?? '' })
  await there.close()
  await until('the choice reaches home', async () => (await read(home, 'home.episodic.key-1')) === 'unheard')
  // Home waits for it again: what office has not receipted is still there for it.
  await office.stop()
  await write(home, 'home.episodic.key-3', 'while office is away')
  office = await NodeProcess.start({ home: office.home, name: 'office' })
  await until('office hears of it', async () => (await read(office, 'home.episodic.key-3')) === 'while office is away')
  expect(await eventsOf(office, 'caught-up')).toEqual([])
})
