import { seededDice } from '@sealmesh/protocol/test-dice'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { untilInSync } from '../processes/pair.ts'
import { testSeed } from '../processes/seed.ts'
import { until } from '../processes/wait.ts'
import { CRASH_TEST_MS, KILLS, KILLS_BETWEEN_NODES } from './amount.ts'
import { brokenPromises, countVisible, Load, readAll } from './load.ts'
import { Scene } from './scene.ts'

/** Enough that each kill meets writes in every state, few enough that fifty kills end in minutes. */
const WRITES_BETWEEN_KILLS = 150

describe('kill -9', () => {
  let scene: Scene
  beforeEach(async () => {
    scene = await new Scene().open()
  })
  afterEach(async () => await scene.close())

  test(`of a node, ${KILLS} times under load, loses and doubles no acknowledged write`, {
    timeout: CRASH_TEST_MS,
  }, async () => {
    const dice = seededDice(testSeed())
    const load = new Load(Scene.PREFIX)
    const visible = await countVisible(scene.office, Scene.PREFIX)
    const broken: string[] = []
    for (let kill = 0; kill < KILLS; kill++) {
      const running = load.run(scene.home)
      const enough = load.acknowledgements + 1 + Math.floor(dice() * WRITES_BETWEEN_KILLS)
      await Promise.race([load.reached(enough), running])
      await scene.home.kill()
      await running
      await scene.restartHome()
      // Read from the restarted node at once: what it promised must not need anybody else.
      if (kill % 5 === 4) broken.push(...brokenPromises(load, await readAll(scene.home, Scene.PREFIX)))
    }
    await untilInSync(scene.home, scene.office)
    const [home, office] = [await readAll(scene.home, Scene.PREFIX), await readAll(scene.office, Scene.PREFIX)]
    expect([...broken, ...brokenPromises(load, home)]).toEqual([])
    expect(office).toEqual(home)
    expect(load.acknowledged.size).toBeGreaterThan(KILLS)
    expect([...visible].filter(([, times]) => times > 1)).toEqual([])
  })

  test(`of the relay, ${KILLS_BETWEEN_NODES} times under load, holds nothing up for good`, {
    timeout: CRASH_TEST_MS,
  }, async () => {
    const dice = seededDice(testSeed())
    const load = new Load(Scene.PREFIX)
    const visible = await countVisible(scene.office, Scene.PREFIX)
    const running = load.run(scene.home)
    for (let kill = 0; kill < KILLS_BETWEEN_NODES; kill++) {
      const enough = load.acknowledgements + 1 + Math.floor(dice() * WRITES_BETWEEN_KILLS)
      await Promise.race([load.reached(enough), running])
      await scene.relay.kill()
      const before = visible.size
      await scene.restartRelay()
      // Both nodes find it again by themselves, and what waits goes on.
      await until('the office sees new writes', () => visible.size > before, 60_000)
    }
    await scene.home.stop()
    await running
    await scene.restartHome()
    await untilInSync(scene.home, scene.office)
    const [home, office] = [await readAll(scene.home, Scene.PREFIX), await readAll(scene.office, Scene.PREFIX)]
    expect(brokenPromises(load, home)).toEqual([])
    expect(office).toEqual(home)
    expect([...visible].filter(([, times]) => times > 1)).toEqual([])
  })
})
