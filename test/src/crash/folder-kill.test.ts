import * as fs from 'node:fs'
import * as path from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { seededDice } from '@sealmesh/protocol/test-dice'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { type Household, startHousehold } from '../processes/household.ts'
import { NodeProcess } from '../processes/node.ts'
import { shareLayers } from '../processes/pair.ts'
import { testSeed } from '../processes/seed.ts'
import { until } from '../processes/wait.ts'
import { CRASH_TEST_MS, FOLDER_KILLS } from './amount.ts'
import { Editor } from './editor.ts'

/** Of what is edited between two kills some is read, some is on its way, some is being written. */
const BETWEEN_KILLS_MS = 900
const DOWN_MS = 400

let household: Household
let nodes: Record<'home' | 'office', NodeProcess>
let editors: readonly Editor[] = []
beforeEach(async () => {
  household = await startHousehold('folder-kill')
  nodes = { home: household.home, office: household.office }
})
afterEach(async () => {
  for (const editor of editors) editor.stop()
  await Promise.all([nodes.home.kill(), nodes.office.kill(), household.relay.kill()])
  fs.rmSync(household.directory, { recursive: true, force: true })
})

test(`kill -9 of a node, ${FOLDER_KILLS} times while both folders are edited, loses no line, halves no file, deletes none`, {
  timeout: CRASH_TEST_MS,
}, async () => {
  const dice = seededDice(testSeed())
  const { home, office, directory } = household
  await shareLayers(home, 'home', ['files'], 'office:write')
  editors = await Promise.all(
    [home, office].map(async (node) => {
      const folder = path.join(fs.realpathSync(directory), `notes-${node.name}`)
      fs.mkdirSync(folder)
      const door = await node.door()
      await door.call('folder.add', { agent: 'home', layer: 'files', path: folder, allow: [] })
      const editor = new Editor(node.name, folder, dice)
      editor.begin()
      return editor
    }),
  )
  const [atHome, atOffice] = editors as [Editor, Editor]
  const working = editors.map((editor) => editor.work())
  for (let kill = 0; kill < FOLDER_KILLS; kill++) {
    await pause(dice() * BETWEEN_KILLS_MS)
    const name = dice() < 0.5 ? 'home' : 'office'
    await nodes[name].kill()
    await pause(dice() * DOWN_MS)
    nodes[name] = await NodeProcess.start({ home: nodes[name].home, name })
  }
  for (const editor of editors) editor.stop()
  const isQuiet = async (): Promise<boolean> => {
    const states = (await Promise.all(Object.values(nodes).map(statusOf))).map(({ state }) => state)
    const clear = editors.every(({ folder }) => leftovers(folder).length === 0)
    return clear && states.every((state) => state === 'in step') && atHome.digest() === atOffice.digest()
  }
  await Promise.all(working)
  await until('both folders are equal, and nothing is under way', isQuiet, 60_000).catch(async (cause) => {
    throw new Error(JSON.stringify(await Promise.all(Object.values(nodes).map(statusOf))), { cause })
  })
  const written = editors.flatMap(({ written: words }) => [...words])
  const removed = new Set(editors.flatMap(({ removed: words }) => [...words]))
  // What a program wrote to a file that was just being replaced when the node was killed is in the trash.
  const trash = Object.values(nodes).flatMap(({ home: at }) => textsIn(path.join(at, 'trash')))
  const there = new Set([...atHome.lines(), ...trash.flatMap((text) => text.split('\n'))])
  expect(written.filter((word) => !removed.has(word) && !there.has(word))).toEqual([])
  expect(editors.flatMap(({ broken }) => broken)).toEqual([])
  expect(written.length).toBeGreaterThan(FOLDER_KILLS * 10)
})

async function statusOf(node: NodeProcess) {
  const door = await node.door()
  const [folder] = (await door.call('folder.status', {})).folders
  await door.close()
  if (folder === undefined) throw new Error('no folder')
  return folder
}

function textsIn(directory: string): string[] {
  if (!fs.existsSync(directory)) return []
  const names = fs
    .readdirSync(directory, { encoding: 'utf8', recursive: true })
    .map((name) => path.join(directory, name))
  return names.filter((name) => fs.statSync(name).isFile()).map((name) => fs.readFileSync(name, 'utf8'))
}

/** What was being written when a process was killed, or was replaced a moment ago. */
const leftovers = (folder: string): string[] =>
  fs
    .readdirSync(folder, { encoding: 'utf8', recursive: true })
    .filter((name) => path.basename(name).startsWith('.sealmesh-'))
