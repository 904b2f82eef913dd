import * as fs from 'node:fs'
import * as path from 'node:path'
import { seededDice } from '@sealmesh/protocol/test-dice'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { scrubFiles } from '@sealmesh/node/health/scrub-files'
import type { RunningNode } from '@sealmesh/node/main'
import { inspectDatabase } from '@sealmesh/node/store/level/inspect'
import { readLog } from '@sealmesh/node/store/level/log-file'
import { Failure } from '@sealmesh/protocol/errors'
import { copyFolder } from '../processes/copy-folder.ts'
import { testSeed } from '../processes/seed.ts'
import { call, RotScene } from './scene.ts'
import { deleteSomewhere, flipSomewhere, type Harm } from './vandal.ts'
import { compare, healed, scrubbed, type Tally } from './verdict.ts'

/**
 * Bits flip and files vanish in all that a stopped node stores; then it is started beside a live peer. In a full run
 * (`pnpm test:rot`) 500 flips and 20 deletions, in CI a slice of that.
 */
const FULL = process.env['SEALMESH_ROT'] === 'full'
const FLIPS = FULL ? 500 : 60
const DELETIONS = FULL ? 20 : 6
const ROUNDS = FULL ? 100 : 6
const ROUND_MS = 30_000
/** One cause may fail many rounds. */
const FAILURES_MAX = 8

const scene = new RotScene()
const pristine = () => `${scene.home}-pristine`
const seed = testSeed()
const dice = seededDice(seed)

beforeAll(async () => {
  await scene.open(FULL ? 120 : 60)
  copyFolder(scene.home, pristine())
}, 120_000)
afterAll(() => scene.close())

test(
  `${FLIPS} flipped bits and ${DELETIONS} deleted files: nothing wrong is read in silence, all is repaired or named`,
  async () => {
    const total: Tally & Record<string, number> = {
      same: 0,
      refused: 0,
      announced: 0,
      repaired: 0,
      lost: 0,
      keyFiles: 0,
    }
    const failures: Error[] = []
    for (let round = 0; round < ROUNDS; round++) {
      fs.rmSync(scene.home, { recursive: true })
      copyFolder(pristine(), scene.home)
      const harm: Harm[] = []
      for (let i = share(FLIPS, round); i > 0; i--) harm.push(flipSomewhere(scene.home, dice, i))
      for (let i = share(DELETIONS, round); i > 0; i--) harm.push(deleteSomewhere(scene.home, dice))
      const failure = await failureOf(round, harm, async () => {
        const node = await startDamaged(total)
        try {
          const tally = await compare(node, scene.truth)
          add(total, tally)
          const lost = total['lost'] ?? 0
          await scrubbed(node)
          await healed(node, scene.truth, total)
          add(total, { repaired: tally.refused + tally.announced - ((total['lost'] ?? 0) - lost) })
        } catch (error) {
          const { summary, relays, peers, warnings } = await call(node, 'status', {})
          const { damaged, events } = await call(node, 'scrub.status', {})
          const seen = JSON.stringify({ summary, relays, peers, warnings, damaged, events })
          throw new Error(`${String(error)}\n${seen}\n${scene.office.program.describe()}`, { cause: error })
        } finally {
          await node.close()
        }
        // Closed: a file that was replaced lies beside the new one for a moment.
        expect(scene.folderFaults()).toEqual([])
      })
      if (failure !== undefined) failures.push(failure)
      if (failures.length >= FAILURES_MAX) break
    }
    process.stdout.write(`${JSON.stringify(total)}\n`)
    if (failures.length > 0) throw new AggregateError(failures, failures.map(({ message }) => message).join('\n\n'))
    expect(total.same).toBeGreaterThan(0)
    expect(total['repaired']).toBeGreaterThan(0)
  },
  ROUNDS * ROUND_MS,
)

test(`each of ${FLIPS} flipped bits in the files of the databases is found by looking at them`, async () => {
  fs.rmSync(scene.home, { recursive: true })
  copyFolder(pristine(), scene.home)
  const isFound = async (database: string): Promise<boolean> => {
    if ((await inspectDatabase(database)).length > 0) return true
    for await (const { places } of scrubFiles(database)) if (places > 0) return true
    // A last record that seems cut off is what a crash leaves, too: there the pin tells, which counts the batches.
    const logs = fs.readdirSync(database).filter((name) => name.endsWith('.log'))
    return logs.some((name) => readLog(fs.readFileSync(path.join(database, name))).torn)
  }
  for (const name of ['db', 'diary']) expect(await isFound(path.join(scene.home, name)), name).toBe(false)
  for (let at = 0; at < FLIPS; at++) {
    const name = at % 4 === 0 ? 'diary' : 'db'
    const database = path.join(scene.home, name)
    const { file, bit } = flipSomewhere(database, dice, at >> 2)
    expect(await isFound(database), `seed ${seed}: bit ${bit} of ${name}/${file}`).toBe(true)
    fs.copyFileSync(path.join(pristine(), name, file), path.join(database, file))
  }
}, 300_000)

const share = (all: number, round: number): number =>
  Math.floor((all * (round + 1)) / ROUNDS) - Math.floor((all * round) / ROUNDS)

/** A key file that is gone or has two flipped bits, or a config that makes no sense, is named; its owner restores it. */
async function startDamaged(total: Record<string, number>): Promise<RunningNode> {
  for (;;) {
    try {
      return await scene.start()
    } catch (error) {
      const named = error instanceof Failure ? namedIn(error) : undefined
      if (named === undefined) throw error
      total['keyFiles'] = (total['keyFiles'] ?? 0) + 1
      fs.copyFileSync(named.replace(scene.home, pristine()), named)
    }
  }
}

function namedIn({ code, message }: Failure): string | undefined {
  if (code === 'KEY_DAMAGED') return /The key file (\S+) /.exec(message)?.[1]
  if (code === 'CONFIG_INVALID') return `${scene.home}/config.toml`
  return undefined
}

function add(total: Record<string, number>, counts: object): void {
  for (const [name, count] of Object.entries(counts)) total[name] = (total[name] ?? 0) + (count as number)
}

async function failureOf(round: number, harm: readonly Harm[], work: () => Promise<void>): Promise<Error | undefined> {
  try {
    await work()
    return undefined
  } catch (error) {
    const what = harm.map(({ kind, file, bit }) => `${kind} ${file}${bit === null ? '' : ` bit ${bit}`}`).join('\n')
    const why = error instanceof Error ? (error.stack ?? error.message) : String(error)
    return new Error(`seed ${seed}, round ${round}:\n${what}\n${why}`, { cause: error })
  }
}
