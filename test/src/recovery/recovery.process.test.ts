import * as fs from 'node:fs'
import * as os from 'node:os'
import * as path from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { NodeProcess } from '../processes/node.ts'
import { pairNodes, shareLayers, untilInSync } from '../processes/pair.ts'
import { BIN, runProgram } from '../processes/program.ts'
import { RelayProcess } from '../processes/relay.ts'
import { until } from '../processes/wait.ts'

/**
 * The founding machine is lost with its disk. What is left: the kit that was written on the first day, the relay, and
 * a machine that joined later, of which the kit knows nothing and which is no admin.
 */

/** Guessing a passphrase is to cost a second of a whole core, and a core that is shared has few of these. */
const KIT_MS = 120_000

let directory: string
let relay: RelayProcess
let office: NodeProcess
let desk: NodeProcess
const at = (name: string): string => path.join(directory, name)
const running: NodeProcess[] = []

async function sealmesh(...words: string[]) {
  const { exit, objects, program } = await runProgram(BIN.node, [...words, '--json'], {
    name: words[0] ?? '',
    deadlineMs: KIT_MS,
  })
  return { code: exit.code, last: objects.at(-1), failure: parsed(program.stderr.toString()) }
}

const parsed = (text: string): string | undefined =>
  text.startsWith('{') ? (JSON.parse(text) as { error: { code: string } }).error.code : undefined

beforeAll(async () => {
  directory = fs.mkdtempSync(path.join(os.tmpdir(), 'sealmesh-recovery-'))
  fs.writeFileSync(at('passphrase'), 'seven words that nobody else would write\n')
  relay = await RelayProcess.start({ data: at('relay') })
  const claim = relay.claim === undefined ? {} : { claim: relay.claim }
  const kit = ['--kit', at('kit.age'), '--passphrase-file', at('passphrase')]
  const home = await NodeProcess.start({
    home: at('home'),
    name: 'home',
    agent: 'claude',
    relay: relay.address,
    args: kit,
    ...claim,
  })
  running.push(home)
  await home.program.line((line) => (line['kit'] === at('kit.age') ? line : undefined), KIT_MS)
  office = await pairNodes(home, { home: at('office'), name: 'office' })
  running.push(office)
  const door = await home.door()
  await door.call('agents.add', { name: 'claude', standby: ['office'] })
  await shareLayers(home, 'claude', ['semantic'], 'standby')
  await door.call('set', { umr: 'claude.semantic.deploy-day', value: '"Tuesday"' })
  await untilInSync(home, office)
  expect((await home.status()).warnings).toEqual([])
  await until('the relay has the log', async () => (await door.call('key.show', {})).logCopied)
  await home.kill()
  fs.rmSync(at('home'), { recursive: true })
}, 2 * KIT_MS)

afterAll(async () => {
  for (const node of running) await node.kill()
  await relay?.stop()
  fs.rmSync(directory, { recursive: true, force: true })
})

test('T-disk-5: a wrong passphrase, and a file that is no kit, bring nothing back and leave no keys', async () => {
  fs.writeFileSync(at('wrong'), 'another one altogether')
  const wrong = await sealmesh('recover', at('kit.age'), '--passphrase-file', at('wrong'), '--home', at('none'))
  expect(wrong).toMatchObject({ code: 4, failure: 'PASSPHRASE_WRONG' })
  const none = await sealmesh('recover', at('wrong'), '--passphrase-file', at('passphrase'), '--home', at('none'))
  expect(none).toMatchObject({ code: 7, failure: 'KIT_INVALID' })
  expect(fs.existsSync(at('none'))).toBe(false)
})

test('with kit and relay a new machine is an admin, and learns of machines that joined after the kit was made', async () => {
  const words = ['recover', at('kit.age'), '--passphrase-file', at('passphrase'), '--home', at('desk')]
  expect(await sealmesh(...words, '--name', 'home')).toMatchObject({ failure: 'NAME_TAKEN' })
  const { code, last } = await sealmesh(...words, '--name', 'desk')
  expect(code).toBe(0)
  expect(last).toMatchObject({
    event: 'recovered',
    name: 'desk',
    agents: ['claude'],
    members: expect.arrayContaining([
      { name: 'home', admin: true },
      { name: 'office', admin: false },
    ]),
  })
  desk = await NodeProcess.start({ home: at('desk'), name: 'desk' })
  running.push(desk)
  // The other machine has never heard of it, and was told by the records that came through the relay.
  await office.untilStatus('aware of desk', ({ peers }) => peers.some(({ name }) => name === 'desk'))
  await desk.untilStatus(
    'in step with office',
    ({ peers }) => peers.find(({ name }) => name === 'office')?.state === 'in sync',
  )
})

test('what the lost machine shared is there, and its agent acts again', async () => {
  const door = await desk.door()
  await until('the item is here', async () => {
    const { item } = await door.call('get', { umr: 'claude.semantic.deploy-day' })
    return item !== null && 'value' in item && item.value === '"Tuesday"'
  })
  expect(await door.call('takeover', { agent: 'claude' })).toMatchObject({ holder: 'desk', term: 2 })
  await door.call('set', { umr: 'claude.semantic.deploy-day', value: '"Friday"' })
  const there = await office.door()
  await until('office reads it', async () => {
    const { item } = await there.call('get', { umr: 'claude.semantic.deploy-day' })
    return item !== null && 'value' in item && item.value === '"Friday"'
  })
})

test('it removes the lost machine, lets another in, and makes the kit anew', async () => {
  const door = await desk.door()
  expect(await door.call('device.revoke', { node: 'home', reason: 'stolen' })).toMatchObject({ relayTold: true })
  const shed = await pairNodes(desk, { home: at('shed'), name: 'shed' })
  running.push(shed)
  await office.untilStatus('aware of both', ({ peers }) => {
    const states = new Map(peers.map(({ name, state }) => [name, state]))
    return states.has('shed') && states.get('home') === 'removed'
  })
  const words = ['key', 'backup', at('kit.age'), '--passphrase-file', at('passphrase'), '--home', at('desk')]
  expect(await sealmesh(...words)).toMatchObject({ code: 9, failure: 'FILE_EXISTS' })
  expect(await sealmesh(...words.with(2, at('second.age')))).toMatchObject({ code: 0 })
  expect(await sealmesh('key', 'check', at('second.age'), '--passphrase-file', at('passphrase'))).toMatchObject({
    code: 0,
    last: { agents: expect.arrayContaining(['claude', 'desk']) },
  })
  expect((await desk.status()).warnings).toEqual([])
})
