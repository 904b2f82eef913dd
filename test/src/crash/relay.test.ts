import * as fs from 'node:fs'
import * as os from 'node:os'
import * as path from 'node:path'
import { seededDice } from '@sealmesh/protocol/test-dice'
import { loadSodium } from '@sealmesh/sodium/load'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { buildShim, mustSkipPowerCuts, powerDisk } from '../power-cut/power.ts'
import { withDoubles } from '../processes/doubles.ts'
import { RelayProcess } from '../processes/relay.ts'
import { testSeed } from '../processes/seed.ts'
import { CRASH_TEST_MS, KILLS, POWER_CUTS } from './amount.ts'
import { Mail } from './mail.ts'

const PACKETS_BETWEEN_CRASHES = 400

/** What a relay called stored, it has to hand over, whatever happens to it until the reader comes. */
describe('a relay', () => {
  let directory = ''
  let relay: RelayProcess
  let mail: Mail
  beforeEach(async () => {
    directory = fs.mkdtempSync(path.join(os.tmpdir(), 'sealmesh-relay-crash-'))
    relay = await RelayProcess.start({ data: path.join(directory, 'data') })
    mail = new Mail(await loadSodium())
    await mail.introduce(relay.address, relay.claim ?? '')
  })
  afterEach(async () => {
    await relay.kill()
    fs.rmSync(directory, { recursive: true, force: true })
  })

  const restart = async (env: Readonly<Record<string, string>> = {}) => {
    relay = await RelayProcess.start({ data: path.join(directory, 'data'), port: relay.port, env })
  }
  /** `stored` is more than before by a number from the dice when it dies. */
  const dieUnderLoad = async (dice: () => number) => {
    await mail.reached(mail.stored.size + 1 + Math.floor(dice() * PACKETS_BETWEEN_CRASHES))
    await relay.kill()
  }
  /** Every broken promise, in words. */
  const broken = async (): Promise<string[]> => {
    const got = await mail.drain(relay.address)
    return [
      ...[...mail.stored].filter((packet) => !got.has(packet)).map((packet) => `${packet} was stored and is missing`),
      ...[...got].filter(([, times]) => times > 1).map(([packet, times]) => `${packet} came ${times} times`),
      ...[...got.keys()].filter((packet) => !mail.wasSent(packet)).map((packet) => `${packet} was never sent`),
    ]
  }

  test(`killed ${KILLS} times under load loses and doubles no stored packet`, { timeout: CRASH_TEST_MS }, async () => {
    const dice = seededDice(testSeed())
    const sending = mail.send(relay.address)
    for (let kill = 0; kill < KILLS; kill++) {
      await dieUnderLoad(dice)
      await restart()
      sending.dialNow()
    }
    await sending.close()
    expect(await broken()).toEqual([])
  })

  describe.skipIf(mustSkipPowerCuts())('on a disk without power', () => {
    const powered = () => powerDisk(path.join(directory, 'data'), path.join(directory, 'side'), buildShim(directory))

    test(`${POWER_CUTS} times loses no stored packet`, { timeout: CRASH_TEST_MS }, async () => {
      const dice = seededDice(testSeed())
      await relay.stop()
      const disk = powered()
      await restart(disk.environment)
      const sending = mail.send(relay.address)
      for (let cut = 0; cut < POWER_CUTS; cut++) {
        await dieUnderLoad(dice)
        expect(disk.watched()).toBeGreaterThan(0)
        disk.cut(dice)
        await restart(disk.environment)
        sending.dialNow()
      }
      await sending.close()
      expect(await broken()).toEqual([])
    })

    test('loses stored packets when the same relay does not sync', { timeout: CRASH_TEST_MS }, async () => {
      const dice = seededDice(testSeed())
      await relay.stop()
      const disk = powered()
      await restart({
        ...withDoubles({ level: new URL('../power-cut/unsynced-level.ts', import.meta.url) }),
        ...disk.environment,
      })
      const sending = mail.send(relay.address)
      await dieUnderLoad(dice)
      await sending.close()
      disk.cut()
      await restart()
      const got = await mail.drain(relay.address)
      expect([...mail.stored].filter((packet) => !got.has(packet)).length).toBeGreaterThan(0)
    })
  })
})
