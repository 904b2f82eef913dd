import * as fs from 'node:fs'
import * as os from 'node:os'
import * as path from 'node:path'
import { givenFrom } from '@sealmesh/node/setup/given'
import { joinMesh } from '@sealmesh/node/setup/join'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { NodeProcess } from '../processes/node.ts'
import { BIN, runProgram } from '../processes/program.ts'
import { RelayProcess } from '../processes/relay.ts'
import { until } from '../processes/wait.ts'

/** A real relay and node; the new machine runs in this process, since its command wants a person at a terminal. */

const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'sealmesh-code-'))
let relay: RelayProcess
let home: NodeProcess

beforeAll(async () => {
  relay = await RelayProcess.start({ data: path.join(directory, 'relay') })
  const claim = relay.claim === undefined ? {} : { claim: relay.claim }
  home = await NodeProcess.start({ home: path.join(directory, 'home'), name: 'home', relay: relay.address, ...claim })
  await home.untilStatus('connected', ({ relays }) => relays.some(({ state }) => state === 'live'))
})
afterAll(async () => {
  await home.stop()
  await relay.stop()
  fs.rmSync(directory, { recursive: true, force: true })
})

const join = (name: string, code: string, onWords: (words: string[]) => void = () => undefined) =>
  joinMesh({
    home: path.join(directory, name),
    given: givenFrom(code, relay.address, true),
    name,
    onWords,
    onProgress: () => undefined,
  })

test('a code brings a machine in once the words were confirmed, and is void after one wrong try', async () => {
  const door = await home.door()
  const first = await door.call('pair.start', { autoConfirm: false, code: true })
  const wrong = (first.code ?? '').replace(/[a-z]+$/, (word) => (word === 'zoo' ? 'able' : 'zoo'))
  await expect(join('thief', wrong)).rejects.toMatchObject({ code: 'CODE_WRONG' })
  expect(await door.call('pair.status', {})).toMatchObject({ state: 'failed', error: { code: 'CODE_WRONG' } })

  const second = await door.call('pair.start', { autoConfirm: false, code: true })
  let seen: string[] = []
  const joining = join('office', second.code ?? '', (words) => {
    seen = words
  })
  const view = await until('both machines show words', async () => {
    const now = await door.call('pair.status', {})
    return now.state === 'confirm' && seen.length > 0 ? now : undefined
  })
  expect(view.words).toEqual(seen)
  await door.call('pair.confirm', { words: view.words })
  expect(await joining).toMatchObject({ meshName: 'home' })
})

test('a script is told to take the link', async () => {
  const args = ['join', '000000-able-zoo', '--relay', relay.address, '--home', path.join(directory, 'script')]
  const { exit, program } = await runProgram(BIN.node, args, { name: 'join' })
  expect(exit.code).toBe(2)
  expect(program.stderr.toString()).toContain('next: sealmesh join LINK')
  expect(fs.existsSync(path.join(directory, 'script'))).toBe(false)
})
