import * as path from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { endHousehold, startHousehold } from '../processes/household.ts'
import type { NodeProcess } from '../processes/node.ts'
import { untilInSync } from '../processes/pair.ts'
import { BIN, runProgram } from '../processes/program.ts'
import { RelayProcess } from '../processes/relay.ts'
import { until } from '../processes/wait.ts'

/** Rights that are given and taken back, on real processes. */

let directory: string
let relay: RelayProcess
let home: NodeProcess
let office: NodeProcess

beforeAll(async () => {
  const started = await startHousehold('grants')
  directory = started.directory
  relay = started.relay
  home = started.home
  office = started.office
})

afterAll(async () => await endHousehold({ directory, relay, home, office }))

const cli = (node: NodeProcess, ...words: string[]) =>
  runProgram(BIN.node, [...words, '--home', node.home], { name: words.slice(0, 2).join(' ') })

async function valueOf(node: NodeProcess, umr: string): Promise<string | undefined> {
  const door = await node.door()
  const { item } = await door.call('get', { umr })
  await door.close()
  return item?.type === 'register' ? item.value : undefined
}

const write = async (node: NodeProcess, umr: string, value: string): Promise<void> => {
  const door = await node.door()
  await door.call('set', { umr, value })
  await door.close()
}

test('a right to write that ends keeps what was receipted, and voids what its holder wrote without knowing', async () => {
  const shared = await cli(home, 'share', 'set', 'home', 'semantic=office:write', 'episodic=office', '--yes')
  expect(shared.exit.code).toBe(0)
  await until('office may write', async () => {
    await write(office, 'home.semantic.before', '"of office"')
    return true
  })
  await write(home, 'home.semantic.shared', '"of home"')
  await until('home has it', async () => (await valueOf(home, 'home.semantic.before')) === '"of office"')
  await until('office has it', async () => (await valueOf(office, 'home.semantic.shared')) === '"of home"')
  await untilInSync(home, office)

  // Out of each other's reach, one ends the grant and the other writes on.
  const { port } = relay
  await relay.kill()
  const ended = await cli(home, 'share', 'set', 'home', 'semantic=none')
  expect(ended.exit.code).toBe(0)
  const said = ended.program.stderr.toString()
  expect(said).toMatch(/office is sent nothing more of home\.semantic: it has receipted \d+ blocks, which is all/)
  expect(said).toContain('what was sent cannot be unsent')
  expect(said).toContain('office may write home.semantic no more')
  await write(office, 'home.semantic.before', '"changed in ignorance"')
  await write(office, 'home.semantic.alone', '1')
  await write(home, 'home.semantic.secret', '"after the end"')

  relay = await RelayProcess.start({ data: path.join(directory, 'relay'), port })
  // What is still granted flows, so that all that was on its way has arrived with it.
  await write(home, 'home.episodic.marker', '1')
  await until('the marker has arrived', async () => (await valueOf(office, 'home.episodic.marker')) === '1')
  await until('office knows', async () => (await valueOf(office, 'home.semantic.alone')) === undefined)
  for (const node of [home, office]) {
    expect(await valueOf(node, 'home.semantic.before')).toBe('"of office"')
    expect(await valueOf(node, 'home.semantic.shared')).toBe('"of home"')
    expect(await valueOf(node, 'home.semantic.alone')).toBeUndefined()
  }
  expect(await valueOf(office, 'home.semantic.secret')).toBeUndefined()
  const refused = await cli(office, 'set', 'home.semantic.again', '1', '--json')
  expect(JSON.parse(refused.program.stderr.toString())).toMatchObject({ error: { code: 'NOT_A_WRITER' } })
})

test('a second grant lets all count that its writer wrote, also without knowing that the first had ended', async () => {
  const seen = await cli(home, 'share', 'preview', 'home', 'semantic=office:write')
  expect(seen.program.stdout.toString()).toContain('counts again: 2 blocks that were written without the right')
  await cli(home, 'share', 'set', 'home', 'semantic=office:write', '--yes')
  await until('office may write again', async () => {
    await write(office, 'home.semantic.again', '2')
    return true
  })
  await until('home has it', async () => (await valueOf(home, 'home.semantic.again')) === '2')
  await until('office has what it missed', async () => (await valueOf(office, 'home.semantic.secret')) !== undefined)
  // 02-membership.md §12: a right counts for its node's blocks whenever it was given.
  for (const node of [home, office]) expect(await valueOf(node, 'home.semantic.alone')).toBe('1')
})

test('a preview names exactly the items that then arrive, and sends nothing', async () => {
  for (const id of ['x', 'y', 'z']) await write(home, `home.procedural.${id}`, '"a value"')
  const door = await home.door()
  await door.call('text.put', { umr: 'home.procedural.page', text: 'words' })
  const changes = [{ layer: 'procedural', to: 'office' }]
  const { layers } = await door.call('share.preview', { agent: 'home', changes })
  const blocks = (await home.status()).agents
    .find(({ name }) => name === 'home')
    ?.layers.find(({ layer }) => layer === 'procedural')?.blocks
  expect(layers).toEqual(
    [
      {
        layer: 'procedural',
        now: [],
        gains: [{ node: 'office', access: 'read' }],
        loses: [],
        registers: 3,
        texts: 1,
        bytes: 3 * '"a value"'.length + 'words'.length,
        blocks,
        revives: 0,
        umrs: ['page', 'x', 'y', 'z'].map((id) => `home.procedural.${id}`).toSorted(),
      },
    ].map((layer) => ({ ...layer, umrs: expect.arrayContaining(layer.umrs) })),
  )
  expect(await valueOf(office, 'home.procedural.x')).toBeUndefined()
  await door.call('share.set', { agent: 'home', changes })
  const there = await office.door()
  await until('all of it is there', async () => {
    const { items } = await there.call('ls', { prefix: 'home.procedural.' })
    return items.length === 4 && items.every(({ umr }) => layers[0]?.umrs.includes(umr))
  })
  await there.close()
  await door.close()
})

test('a slip in the name of a layer is refused before anything is written, unless it is meant', async () => {
  const slip = await cli(home, 'set', 'home.semnatic.day', 'x', '--json')
  expect(JSON.parse(slip.program.stderr.toString())).toMatchObject({
    error: { code: 'LAYER_UNKNOWN', message: expect.stringContaining('did you mean semantic?') },
  })
  const meant = await cli(home, 'set', 'home.semnatic.day', 'x', '--new-layer')
  expect(meant.exit.code).toBe(0)
  const region = await cli(home, 'set', 'home.hippo.exp_001', 'seen')
  expect(region.exit.code).toBe(0)
  expect(await valueOf(home, 'home.episodic.exp_001')).toBe('"seen"')
})
