import * as fs from 'node:fs'
import * as os from 'node:os'
import * as path from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { NodeProcess } from '../processes/node.ts'
import { pairNodes } from '../processes/pair.ts'
import { BIN, runProgram } from '../processes/program.ts'
import { RelayProcess } from '../processes/relay.ts'

/** A home whose keys were exchanged for another's: by a backup that was put back in part, or by hand. */

const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'sealmesh-keys-'))
const [officeHome, strangeHome] = [path.join(directory, 'office'), path.join(directory, 'strange')]
let relay: RelayProcess
let home: NodeProcess

beforeAll(async () => {
  relay = await RelayProcess.start({ data: path.join(directory, 'relay') })
  const claim = relay.claim === undefined ? {} : { claim: relay.claim }
  home = await NodeProcess.start({ home: path.join(directory, 'home'), name: 'home', relay: relay.address, ...claim })
})
afterAll(async () => {
  await home.stop()
  await relay.stop()
  fs.rmSync(directory, { recursive: true, force: true })
})

test('a machine with the wrong keys neither starts nor dials, and with its own again goes on', async () => {
  const office = await pairNodes(home, { home: officeHome, name: 'office' })
  await office.stop()
  const strange = await NodeProcess.start({ home: strangeHome, name: 'strange', relay: 'none' })
  await strange.stop()
  const swap = (): void => {
    const [a, b] = [path.join(officeHome, 'keys'), path.join(strangeHome, 'keys')]
    fs.renameSync(a, path.join(directory, 'aside'))
    fs.renameSync(b, a)
    fs.renameSync(path.join(directory, 'aside'), b)
  }
  const logins = async (): Promise<string[]> =>
    (await relay.metrics()).split('\n').filter((line) => !line.startsWith('#') && line.includes('login'))
  const before = await logins()
  swap()
  const { exit, program } = await runProgram(BIN.node, ['up', '--home', officeHome, '--json'], { name: 'wrong keys' })
  expect(exit.code).toBe(7)
  expect(JSON.parse(program.stderr.toString())).toMatchObject({ error: { code: 'KEY_MISMATCH' } })
  expect(await logins()).toEqual(before)
  swap()
  const again = await NodeProcess.start({ home: officeHome, name: 'office' })
  await again.untilStatus('connected', ({ relays }) => relays.some(({ state }) => state === 'live'))
  await again.stop()
})
