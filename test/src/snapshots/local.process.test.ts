import * as fs from 'node:fs'
import * as os from 'node:os'
import * as path from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { NodeProcess } from '../processes/node.ts'
import { pairNodes, shareLayers, untilInSync } from '../processes/pair.ts'
import { BIN, runProgram } from '../processes/program.ts'
import { RelayProcess } from '../processes/relay.ts'
import { until } from '../processes/wait.ts'

/** Snapshots of one machine in files: what is in them, what opens them, and what becomes of the machine after one. */

const KIT_MS = 120_000
const WRITES = 400

let directory: string
let relay: RelayProcess
let home: NodeProcess
let office: NodeProcess
const at = (name: string): string => path.join(directory, name)

async function sealmesh(...words: string[]) {
  const options = { name: words.slice(0, 2).join(' '), deadlineMs: KIT_MS }
  const { exit, objects, program } = await runProgram(BIN.node, [...words, '--json'], options)
  const error = program.stderr.toString()
  const failure = error.startsWith('{') ? (JSON.parse(error) as { error: { code: string } }).error.code : undefined
  return { code: exit.code, last: objects.at(-1), failure }
}
const withKit = ['--kit', '', '--passphrase-file', '']
const valueOf = async (node: NodeProcess, umr: string): Promise<string | undefined> => {
  const door = await node.door()
  const { item } = await door.call('get', { umr })
  await door.close()
  return item !== null && 'value' in item
    ? item.value
    : item !== null && 'content' in item
      ? (item.content ?? '-')
      : undefined
}

beforeAll(async () => {
  directory = fs.mkdtempSync(path.join(os.tmpdir(), 'sealmesh-snapshots-'))
  fs.writeFileSync(at('passphrase'), 'seven words that nobody else would write\n')
  withKit.splice(0, 4, '--kit', at('kit.age'), '--passphrase-file', at('passphrase'))
  relay = await RelayProcess.start({ data: at('relay') })
  const claim = relay.claim === undefined ? {} : { claim: relay.claim }
  const args = ['--kit', at('kit.age'), '--passphrase-file', at('passphrase')]
  home = await NodeProcess.start({
    home: at('home'),
    name: 'home',
    agent: 'claude',
    relay: relay.address,
    args,
    ...claim,
  })
  await home.program.line((line) => (line['kit'] === at('kit.age') ? line : undefined), KIT_MS)
  office = await pairNodes(home, { home: at('office'), name: 'office' })
  const door = await home.door()
  await door.call('agents.add', { name: 'claude', standby: ['office'] })
  await shareLayers(home, 'claude', ['semantic'], 'standby')
  for (let i = 0; i < WRITES; i++)
    await door.call('set', { umr: `claude.semantic.fact-${i}`, value: JSON.stringify(`value ${i} ${'x'.repeat(200)}`) })
  await door.call('set', { umr: 'claude.procedural.private', value: '"kept to itself"' })
  await door.call('set', { umr: 'claude.diary.monday', value: '"what nobody else is told"' })
  await untilInSync(home, office)
}, 2 * KIT_MS)

afterAll(async () => {
  await office?.kill()
  await home?.kill()
  await relay?.stop()
  fs.rmSync(directory, { recursive: true, force: true })
})

describe('a snapshot in a file', () => {
  test('is made while the node runs, sealed, and verified without it', async () => {
    const made = await sealmesh('snapshot', 'create', at('first.snapshot'), '--home', at('home'))
    expect(made).toMatchObject({ code: 0, last: { made: { path: at('first.snapshot'), damaged: 0 } } })
    expect(await sealmesh('snapshot', 'create', at('first.snapshot'), '--home', at('home'))).toMatchObject({
      code: 9,
      failure: 'FILE_EXISTS',
    })
    const bytes = fs.readFileSync(at('first.snapshot')).toString('latin1')
    for (const plain of ['value 7', 'kept to itself', 'what nobody else is told', 'claude', 'semantic'])
      expect(bytes.includes(plain)).toBe(false)
    for (const by of [withKit, ['--home', at('home')]]) {
      const verified = await sealmesh('snapshot', 'verify', at('first.snapshot'), ...by)
      expect(verified).toMatchObject({ code: 0, last: { name: 'home', diary: 0 } })
      expect(verified.last?.['blocks']).toBeGreaterThanOrEqual(WRITES)
    }
    expect((await home.status()).snapshots.fileAt).not.toBeNull()
  })

  test('opens for nobody else', async () => {
    expect(await sealmesh('snapshot', 'verify', at('first.snapshot'), '--home', at('office'))).toMatchObject({
      code: 4,
      failure: 'SNAPSHOT_SEALED',
    })
    expect(await sealmesh('snapshot', 'verify', at('first.snapshot'), '--home', at('nowhere'))).toMatchObject({
      code: 4,
      failure: 'SNAPSHOT_SEALED',
    })
  })

  test('T-disk-5: that is torn or changed anywhere is refused, and leaves what is there as it is', async () => {
    const whole = fs.readFileSync(at('first.snapshot'))
    const spoilt: [string, Buffer][] = [
      ['no snapshot', Buffer.from('something else')],
      ['torn', whole.subarray(0, whole.length - 40)],
      ['half', whole.subarray(0, whole.length >> 1)],
      ['with something behind it', Buffer.concat([whole, Buffer.alloc(9)])],
    ]
    for (const place of [21, 60, 3_000, whole.length - 700, whole.length - 20]) {
      const changed = Buffer.from(whole)
      changed[place]! ^= 0x10
      spoilt.push([`changed at ${place}`, changed])
    }
    for (const [what, bytes] of spoilt) {
      fs.writeFileSync(at('spoilt.snapshot'), bytes)
      const words = ['snapshot', 'restore', at('spoilt.snapshot'), '--home', at('empty'), ...withKit]
      // A restore proves as much as a verification, and takes a second of scrypt: only some go through both.
      const { code, failure } =
        what === 'torn'
          ? await sealmesh(...words)
          : await sealmesh('snapshot', 'verify', at('spoilt.snapshot'), '--home', at('home'))
      expect([what, code === 0, failure?.startsWith('SNAPSHOT_')]).toEqual([what, false, true])
    }
    expect(fs.existsSync(path.join(at('empty'), 'keys'))).toBe(false)
    expect(
      await sealmesh('snapshot', 'restore', at('first.snapshot'), '--home', at('office'), ...withKit),
    ).toMatchObject({
      failure: 'HOME_IN_USE',
    })
  })
})

describe('a restored machine', () => {
  test('is what it was then, learns what it has written since from others, and counts nothing twice', async () => {
    const door = await home.door()
    await door.call('set', { umr: 'claude.semantic.fact-0', value: '"after the snapshot"' })
    await door.call('set', { umr: 'claude.semantic.late', value: '"also after it"' })
    await untilInSync(home, office)
    const before = (await home.status()).node
    await home.stop()
    const words = ['snapshot', 'restore', at('first.snapshot'), '--home', at('home')]
    expect(await sealmesh(...words)).toMatchObject({ code: 9, failure: 'ALREADY_JOINED' })
    const { code, last } = await sealmesh(...words, '--replace')
    expect(code).toBe(0)
    const replaced = String(last?.['replaced'])
    expect(fs.readdirSync(replaced)).toEqual(expect.arrayContaining(['db', 'keys', 'diary']))
    expect(fs.existsSync(path.join(at('home'), 'restoring'))).toBe(false)
    home = await NodeProcess.start({ home: at('home'), name: 'home' })
    const after = await home.status()
    expect(after.node.id).toBe(before.id)
    expect(after.node.incarnation).not.toBe(before.incarnation)
    expect(after.warnings.map(({ code }) => code)).toContain('HOME_ROLLED_BACK')
    expect(await valueOf(home, 'claude.procedural.private')).toBe('"kept to itself"')
    // The content of the diary is in no snapshot that was not asked for it, and what the home had stays.
    expect(await valueOf(home, 'claude.diary.monday')).toBe('what nobody else is told')
    await until('what was written later has come back', async () => {
      const values = [await valueOf(home, 'claude.semantic.fact-0'), await valueOf(home, 'claude.semantic.late')]
      return values.join() === '"after the snapshot","also after it"'
    })
    await home.untilStatus('whole again', ({ warnings }) => warnings.length === 0)
    const again = await home.door()
    await again.call('set', { umr: 'claude.semantic.fact-1', value: '"written anew"' })
    await until('office has it', async () => (await valueOf(office, 'claude.semantic.fact-1')) === '"written anew"')
    for (const node of [home, office]) expect((await node.status()).findings).toEqual([])
  })

  test('of a kit alone, in an empty home, is the same machine, with its diary when that was asked for', async () => {
    const made = await sealmesh('snapshot', 'create', at('second.snapshot'), '--with-diary', '--home', at('home'))
    expect(made.code).toBe(0)
    const { id } = (await home.status()).node
    await home.kill()
    fs.rmSync(at('home'), { recursive: true })
    const restored = await sealmesh('snapshot', 'restore', at('second.snapshot'), '--home', at('home'), ...withKit)
    expect(restored).toMatchObject({ code: 0, last: { replaced: null, diaryKept: false } })
    home = await NodeProcess.start({ home: at('home'), name: 'home' })
    expect((await home.status()).node.id).toBe(id)
    expect(await valueOf(home, 'claude.diary.monday')).toBe('what nobody else is told')
    const door = await home.door()
    await door.call('set', { umr: 'claude.semantic.fact-2', value: '"with keys of a snapshot"' })
    await until(
      'office has it',
      async () => (await valueOf(office, 'claude.semantic.fact-2')) === '"with keys of a snapshot"',
    )
    expect(await door.call('key.show', {})).toMatchObject({ root: true })
  })
})
