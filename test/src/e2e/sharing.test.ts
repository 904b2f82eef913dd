import * as fs from 'node:fs'
import * as path from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { endHousehold, startHousehold } from '../processes/household.ts'
import { NodeProcess } from '../processes/node.ts'
import { shareLayers } from '../processes/pair.ts'
import { BIN, runProgram } from '../processes/program.ts'
import type { RelayProcess } from '../processes/relay.ts'
import { until } from '../processes/wait.ts'

/** What leaves a machine, on real processes: all that is granted, whatever its size, and nothing else. */

let directory: string
let relay: RelayProcess
let home: NodeProcess
let office: NodeProcess

beforeAll(async () => {
  const started = await startHousehold('sharing')
  directory = started.directory
  relay = started.relay
  home = started.home
  office = started.office
})

afterAll(async () => await endHousehold({ directory, relay, home, office }))

const seen = async (node: NodeProcess, umr: string): Promise<boolean> => {
  const door = await node.door()
  try {
    return (await door.call('get', { umr })).item !== null
  } finally {
    await door.close()
  }
}

test('large registers and large texts of several layers, written at one moment, all arrive', async () => {
  await shareLayers(home, 'home', ['semantic', 'procedural', 'episodic'], 'office')
  const door = await home.door()
  const words = Array.from({ length: 30_000 }, (_, i) => `word${i}`).join(' ')
  await Promise.all([
    door.call('set', { umr: 'home.semantic.large', value: JSON.stringify('x'.repeat(45_000)) }),
    door.call('text.put', { umr: 'home.procedural.book', text: words.slice(0, 180_000) }),
    door.call('text.put', { umr: 'home.episodic.book', text: words.slice(0, 180_000) }),
    door.call('set', { umr: 'home.episodic.small', value: '1' }),
  ])
  await door.close()
  for (const umr of ['home.semantic.large', 'home.procedural.book', 'home.episodic.book', 'home.episodic.small'])
    await until(`${umr} has arrived`, async () => await seen(office, umr))
  await home.untilStatus('in sync', ({ summary }) => summary === 'in sync')
})

test('an ended grant stops the flow while the layer is written without a pause', async () => {
  await shareLayers(home, 'home', ['ontology'], 'office')
  const door = await home.door()
  let writing = true
  const writer = (async () => {
    for (let i = 0; writing; i++) await door.call('set', { umr: 'home.ontology.counter', value: String(i) })
  })()
  await until('the counter has arrived', async () => await seen(office, 'home.ontology.counter'))
  const owner = await home.door()
  await owner.call('share.set', { agent: 'home', changes: [{ layer: 'ontology', to: 'none' }] })
  await owner.call('set', { umr: 'home.ontology.after', value: '"secret"' })
  // What was granted still flows, so that all that was sent before it has arrived with it.
  await owner.call('set', { umr: 'home.semantic.marker', value: '1' })
  await until('the marker has arrived', async () => await seen(office, 'home.semantic.marker'))
  await pause(300)
  expect(await seen(office, 'home.ontology.after')).toBe(false)
  writing = false
  await writer
  await owner.close()
  await door.close()
})

test('T-peer-13: a layer that nobody was granted is not even named at the other machine', async () => {
  const door = await home.door()
  await door.call('set', { umr: 'home.session.private', value: '1' })
  await door.call('set', { umr: 'home.semantic.public', value: '1' })
  await door.close()
  await until('the granted fact has arrived', async () => await seen(office, 'home.semantic.public'))
  const there = await office.door()
  const { items } = await there.call('ls', { prefix: 'home.' })
  await there.close()
  expect(items.map(({ umr }) => umr).filter((umr) => umr.startsWith('home.session'))).toEqual([])
})

test('a home whose join failed founds a mesh of its own', async () => {
  const fresh = path.join(directory, 'fresh')
  const failed = await runProgram(BIN.node, ['join', 'nonsense', '--home', fresh, '--json'], { name: 'join' })
  expect(failed.exit.code).toBe(4)
  const node = await NodeProcess.start({ home: fresh, name: 'fresh', relay: 'none' })
  await node.stop()
})

test('importing the same folder twice writes nothing the second time', async () => {
  const folder = path.join(directory, 'memory')
  fs.mkdirSync(folder)
  fs.writeFileSync(path.join(folder, 'MEMORY.md'), '# Facts\n\n- The deploy day is Tuesday.\n- The port is 8080.\n')
  const args = ['import', folder, '--agent', 'home', '--home', home.home, '--json']
  const first = await runProgram(BIN.node, args, { name: 'import' })
  expect(first.objects.at(-1)).toMatchObject({ registers: 2 })
  const blocks = async () =>
    (await home.status()).agents.find(({ name }) => name === 'home')?.layers.find(({ layer }) => layer === 'semantic')
      ?.blocks
  const before = await blocks()
  await runProgram(BIN.node, args, { name: 'import again' })
  expect(await blocks()).toBe(before)
})
