import { spawn } from 'node:child_process'
import { once } from 'node:events'
import * as fs from 'node:fs'
import * as os from 'node:os'
import * as path from 'node:path'
import * as readline from 'node:readline'
import { fileURLToPath } from 'node:url'
import { metaKey } from '@sealmesh/node/store/keys'
import { openStore } from '@sealmesh/node/store/store'
import { fromUtf8 } from '@sealmesh/protocol/bytes'
import { seededDice } from '@sealmesh/protocol/test-dice'
import { afterAll, describe, expect, test } from 'vitest'
import { buildShim, mustSkipPowerCuts, powerDisk } from '../power-cut/power.ts'
import { testSeed } from '../processes/seed.ts'

const ROUNDS = 20
const WRITER = fileURLToPath(new URL('../../dist/store/store-writer.js', import.meta.url))
const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'sealmesh-survives-'))

afterAll(() => fs.rmSync(directory, { recursive: true, force: true }))

/** Lets the writer acknowledge `enough`, then kills it in the middle of whatever it does. */
async function writeAndKill(home: string, first: number, enough: number, environment = {}): Promise<number[]> {
  const child = spawn(process.execPath, [WRITER, home, String(first)], {
    env: { ...process.env, ...environment },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const exited = once(child, 'exit')
  const acknowledged: number[] = []
  for await (const line of readline.createInterface({ input: child.stdout })) {
    acknowledged.push(Number(line))
    if (acknowledged.length >= enough) child.kill('SIGKILL')
  }
  await exited
  return acknowledged
}

/** What a start finds of these; a value that is there is whole. */
async function readBack(home: string, numbers: Iterable<number>): Promise<Set<number>> {
  const store = await openStore(home)
  const held = new Set<number>()
  for (const number of numbers) {
    const value = await store.get(metaKey(String(number)))
    if (value === undefined) continue
    expect(fromUtf8(value)).toBe(`${number}:${'v'.repeat(number % 200)}`)
    held.add(number)
  }
  await store.close()
  return held
}

test(`${ROUNDS} kills lose nothing that the store acknowledged`, { timeout: 120_000 }, async () => {
  const dice = seededDice(testSeed())
  const home = path.join(directory, 'killed')
  const acknowledged: number[] = []
  for (let round = 1; round <= ROUNDS; round++) {
    acknowledged.push(...(await writeAndKill(home, round * 1_000_000, 50 + Math.floor(dice() * 1_000))))
    expect(await readBack(home, acknowledged)).toEqual(new Set(acknowledged))
  }
})

describe.skipIf(mustSkipPowerCuts())('with the power cut', () => {
  test(`${ROUNDS} times lose nothing that the store acknowledged`, { timeout: 120_000 }, async () => {
    const library = buildShim(directory)
    const dice = seededDice(testSeed())
    const [root, side] = [path.join(directory, 'root'), path.join(directory, 'side')]
    const acknowledged: number[] = []
    for (let round = 1; round <= ROUNDS; round++) {
      const disk = powerDisk(root, side, library)
      const home = path.join(disk.root, 'db')
      acknowledged.push(
        ...(await writeAndKill(home, round * 1_000_000, 50 + Math.floor(dice() * 1_000), disk.environment)),
      )
      expect(disk.watched()).toBe(1)
      disk.cut(dice)
      expect(await readBack(home, acknowledged)).toEqual(new Set(acknowledged))
      // What the parent has just opened and closed went to the real disk: it is durable now.
      fs.rmSync(side, { recursive: true })
    }
  })
})
