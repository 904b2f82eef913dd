import * as fs from 'node:fs'
import * as os from 'node:os'
import * as path from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { NodeProcess } from '../processes/node.ts'
import { pairNodes, shareLayers } from '../processes/pair.ts'
import { BIN, runProgram } from '../processes/program.ts'
import { RelayProcess } from '../processes/relay.ts'
import { until } from '../processes/wait.ts'

/** Who is editing a text, over real processes. */

const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'sealmesh-awareness-'))
let relay: RelayProcess
let home: NodeProcess
let office: NodeProcess

beforeAll(async () => {
  relay = await RelayProcess.start({ data: path.join(directory, 'relay') })
  const claim = relay.claim === undefined ? {} : { claim: relay.claim }
  home = await NodeProcess.start({ home: path.join(directory, 'home'), name: 'home', relay: relay.address, ...claim })
  office = await pairNodes(home, { home: path.join(directory, 'office'), name: 'office' })
})

afterAll(async () => {
  await office.stop()
  await home.stop()
  await relay.stop()
  fs.rmSync(directory, { recursive: true, force: true })
})

test('an editor at one machine is seen at the other, and is gone when its connection is', async () => {
  await shareLayers(home, 'home', ['procedural'], 'office')
  const umr = 'home.procedural.plan'
  const editor = await home.door()
  await editor.call('text.put', { umr, text: 'one' })
  await until('office has the text', async () => {
    const door = await office.door()
    const { item } = await door.call('get', { umr })
    await door.close()
    return item !== null
  })
  await editor.call('text.editing', { umr, agent: 'claude', cursor: { anchor: 1, head: 2 } })
  const there = await office.door()
  const [seen] = await until('office sees the editor', async () => {
    const { editors } = await there.call('text.who', { umr })
    return editors.length > 0 && editors[0]?.cursor !== null ? editors : undefined
  })
  expect(seen).toMatchObject({ umr, agent: 'claude', nodeName: 'home', here: false, cursor: { anchor: 1, head: 2 } })
  expect((await office.status()).editing).toMatchObject([{ umr, nodeName: 'home' }])
  const told = await runProgram(BIN.node, ['text', 'who', umr, '--home', office.home], { name: 'who' })
  expect(told.program.stdout.toString()).toMatch(/home +claude +2/)

  await editor.close()
  await until('office sees it gone', async () => (await there.call('text.who', { umr })).editors.length === 0)
  expect((await home.status()).editing).toEqual([])
  await there.close()
})
