import { afterAll, beforeAll, expect, test } from 'vitest'
import { endHousehold, startHousehold } from '../processes/household.ts'
import type { NodeProcess } from '../processes/node.ts'
import { shareLayers } from '../processes/pair.ts'
import { BIN, runProgram } from '../processes/program.ts'
import type { RelayProcess } from '../processes/relay.ts'
import { until } from '../processes/wait.ts'

/** Who is editing a text, over real processes. */

let directory: string
let relay: RelayProcess
let home: NodeProcess
let office: NodeProcess

beforeAll(async () => {
  const started = await startHousehold('awareness')
  directory = started.directory
  relay = started.relay
  home = started.home
  office = started.office
})

afterAll(async () => await endHousehold({ directory, relay, home, office }))

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
