import * as fs from 'node:fs'
import * as path from 'node:path'
import type { Level } from '@sealmesh/protocol/failover/levels'
import { Scene } from '../crash/scene.ts'
import { buildShim, powerDisk } from '../power-cut/power.ts'
import { withDoubles } from '../processes/doubles.ts'
import { until } from '../processes/wait.ts'
import { held, NodeLoad, type Promised } from './node-load.ts'
import { Tally } from './tally.ts'

export interface Cuts {
  readonly cuts: number
  /** Acknowledged writes before each. */
  readonly writes: number
  readonly dice: () => number
  readonly progress?: (line: string) => void
}

/**
 * The power of a node's machine goes in the middle of its work, again and again. Its standby stands still while it is
 * looked what it has of its own: nobody gives back what it lost.
 */
export async function nodeCuts({ cuts, writes, dice, progress }: Cuts): Promise<Tally> {
  const tally = new Tally()
  const { scene, library } = await openScene()
  try {
    await standBy(scene)
    await scene.home.stop()
    const disk = powerDisk(scene.homeOf('home'), path.join(scene.directory, 'side'), library)
    await scene.restartHome(disk.environment)
    const all = new Map<string, Promised>()
    while (tally.cuts < cuts) {
      const load = new NodeLoad(`${Scene.PREFIX}c${tally.cuts}-`)
      await dieUnderLoad(scene, load, writes * (0.5 + dice()), ['relayed', 'replicated'])
      if (disk.watched() === 0) throw new Error('the shim watched nothing')
      for (const [umr, promised] of load.promised) {
        tally.promise(promised.level)
        all.set(umr, promised)
      }
      // While home has no power, its standby has what was called replicated.
      await check(scene, 'office', load.promised, tally, ['replicated'])
      scene.office.program.child.kill('SIGSTOP')
      disk.cut(dice)
      tally.cuts += 1
      await scene.restartHome(disk.environment)
      await check(scene, 'home', load.promised, tally, ['local', 'relayed', 'replicated'])
      const { rolledBack } = await knownLoss(scene)
      if (rolledBack) tally.torn.push(`cut ${tally.cuts}: home holds less than it once did`)
      scene.office.program.child.kill('SIGCONT')
      progress?.(`node: ${tally.cuts} of ${cuts} cuts, ${tally.total} writes, ${tally.broken.length} broken`)
    }
    await check(scene, 'home', all, tally, ['local', 'relayed', 'replicated'])
    return tally
  } finally {
    await scene.close()
  }
}

/** The same writer, whose database waits for no disk: what is lost then was never safe. */
export async function unsyncedNodeCuts({ cuts, writes, dice }: Cuts): Promise<Tally> {
  const tally = new Tally()
  for (; tally.cuts < cuts; tally.cuts += 1) {
    const { scene, library } = await openScene()
    try {
      await scene.office.stop()
      await scene.home.stop()
      const disk = powerDisk(scene.homeOf('home'), path.join(scene.directory, 'side'), library)
      const unsynced = withDoubles({ level: new URL('../power-cut/unsynced-level.ts', import.meta.url) })
      await scene.restartHome({ ...unsynced, ...disk.environment })
      const load = new NodeLoad(Scene.PREFIX)
      await dieUnderLoad(scene, load, writes * (0.5 + dice()), [])
      tally.promise('local', load.promised.size)
      disk.cut()
      await scene.restartHome()
      await check(scene, 'home', load.promised, tally, ['local'])
    } finally {
      await scene.close()
    }
  }
  return tally
}

/** A relay that loses its power while it keeps writes for a standby that is off, and whose writer is off afterwards. */
export async function relayedCuts({ cuts, writes, dice, progress }: Cuts): Promise<Tally> {
  const tally = new Tally()
  const { scene, library } = await openScene()
  try {
    await scene.relay.stop()
    const disk = powerDisk(scene.relayData, path.join(scene.directory, 'side'), library)
    await scene.restartRelay(disk.environment)
    while (tally.cuts < cuts) {
      await scene.office.kill()
      const load = new NodeLoad(`${Scene.PREFIX}r${tally.cuts}-`)
      const running = load.run(scene.home, ['relayed'])
      await Promise.race([load.reached(writes * (0.5 + dice()), BEYOND), running])
      await scene.relay.kill()
      if (disk.watched() === 0) throw new Error('the shim watched nothing')
      // What has its answer has it; what has none goes to the relay when that is back.
      const relayed = new Map([...load.promised].filter(([, { level }]) => level === 'relayed'))
      await scene.home.kill()
      await running
      tally.promise('relayed', relayed.size)
      disk.cut(dice)
      tally.cuts += 1
      await scene.restartRelay(disk.environment)
      await scene.restartOffice()
      await mailRead(scene, relayed)
      await check(scene, 'office', relayed, tally, ['relayed'])
      await scene.restartHome()
      progress?.(`relayed: ${tally.cuts} of ${cuts} cuts, ${tally.total} writes, ${tally.broken.length} broken`)
    }
    return tally
  } finally {
    await scene.close()
  }
}

async function openScene(): Promise<{ scene: Scene; library: string }> {
  const scene = await new Scene().open()
  const tools = path.join(scene.directory, 'tools')
  fs.mkdirSync(tools)
  return { scene, library: buildShim(tools) }
}

async function standBy(scene: Scene): Promise<void> {
  const door = await scene.home.door()
  await door.call('agents.add', { name: 'home', standby: ['office'] })
  await door.close()
}

async function dieUnderLoad(scene: Scene, load: NodeLoad, writes: number, levels: readonly Level[]): Promise<void> {
  const running = load.run(scene.home, levels)
  await Promise.race([load.reached(writes, levels.length > 0 ? BEYOND : 0), running])
  await scene.home.kill()
  await running
}

async function check(
  scene: Scene,
  where: 'home' | 'office',
  promised: ReadonlyMap<string, Promised>,
  tally: Tally,
  levels: readonly Level[],
): Promise<void> {
  const due = [...promised].filter(([, { level }]) => levels.includes(level))
  const there = await held(
    scene[where],
    due.map(([umr]) => umr),
  )
  for (const [umr, { value, level }] of due) tally.found(`${umr} (${level}) at ${where}`, value, there.get(umr))
}

async function knownLoss(scene: Scene): Promise<{ rolledBack: boolean }> {
  const door = await scene.home.door()
  const { rolledBack } = await door.call('scrub.status', {})
  await door.close()
  return { rolledBack: rolledBack !== null }
}

/** Until all of it is out of the mailbox, or nothing more comes. */
async function mailRead(scene: Scene, promised: ReadonlyMap<string, Promised>): Promise<void> {
  const umrs = [...promised.keys()]
  const isHere = async (): Promise<boolean> => (await held(scene.office, umrs)).size === umrs.length
  await until('the mailbox is read', isHere, MAIL_MS).catch(() => undefined) // What is missing then is counted.
}

const MAIL_MS = 20_000
/** Before each cut, writes that were called relayed or replicated. */
const BEYOND = 60
