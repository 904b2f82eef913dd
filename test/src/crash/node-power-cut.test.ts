import * as fs from 'node:fs'
import * as path from 'node:path'
import { seededDice } from '@sealmesh/protocol/test-dice'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { buildShim, mustSkipPowerCuts, powerDisk } from '../power-cut/power.ts'
import { withDoubles } from '../processes/doubles.ts'
import { untilInSync } from '../processes/pair.ts'
import { testSeed } from '../processes/seed.ts'
import { CRASH_TEST_MS, POWER_CUTS } from './amount.ts'
import { brokenPromises, countVisible, Load, readAll } from './load.ts'
import { Scene } from './scene.ts'

const WRITES_BETWEEN_CUTS = 200

describe.skipIf(mustSkipPowerCuts())('a power cut under a node', () => {
  let scene: Scene
  let library = ''
  beforeEach(async () => {
    scene = await new Scene().open()
    const tools = path.join(scene.directory, 'tools')
    fs.mkdirSync(tools)
    library = buildShim(tools)
  })
  afterEach(async () => await scene.close())

  test(`takes nothing that it acknowledged or sent, ${POWER_CUTS} times`, { timeout: CRASH_TEST_MS }, async () => {
    const dice = seededDice(testSeed())
    const load = new Load(Scene.PREFIX)
    const visible = await countVisible(scene.office, Scene.PREFIX)
    await scene.home.stop()
    const disk = powerDisk(scene.homeOf('home'), path.join(scene.directory, 'side'), library)
    await scene.restartHome(disk.environment)
    for (let cut = 0; cut < POWER_CUTS; cut++) {
      await loadAndKill(load, dice)
      expect(disk.watched()).toBeGreaterThan(0)
      disk.cut(dice)
      await scene.restartHome(disk.environment)
      expect(brokenPromises(load, await readAll(scene.home, Scene.PREFIX))).toEqual([])
    }
    await untilInSync(scene.home, scene.office)
    const home = await readAll(scene.home, Scene.PREFIX)
    // Nothing left the node before it was durable there, or the office would know more than home.
    expect(await readAll(scene.office, Scene.PREFIX)).toEqual(home)
    expect([...visible].filter(([, times]) => times > 1)).toEqual([])
  })

  test('takes acknowledged writes when the same node does not sync', { timeout: CRASH_TEST_MS }, async () => {
    const dice = seededDice(testSeed())
    const load = new Load(Scene.PREFIX)
    // Alone, or the office would give back what home has lost.
    await scene.office.stop()
    await scene.home.stop()
    const disk = powerDisk(scene.homeOf('home'), path.join(scene.directory, 'side'), library)
    const unsynced = withDoubles({ level: new URL('../power-cut/unsynced-level.ts', import.meta.url) })
    await scene.restartHome({ ...unsynced, ...disk.environment })
    await loadAndKill(load, dice)
    disk.cut()
    await scene.restartHome()
    const broken = brokenPromises(load, await readAll(scene.home, Scene.PREFIX))
    expect(broken.filter((promise) => promise.includes('missing')).length).toBeGreaterThan(0)
  })

  async function loadAndKill(load: Load, dice: () => number): Promise<void> {
    const running = load.run(scene.home)
    const enough = load.acknowledgements + 1 + Math.floor(dice() * WRITES_BETWEEN_CUTS)
    await Promise.race([load.reached(enough), running])
    await scene.home.kill()
    await running
  }
})
