import * as fs from 'node:fs'
import * as os from 'node:os'
import * as path from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { NodeProcess } from '../processes/node.ts'
import { pairNodes } from '../processes/pair.ts'
import { BIN, runProgram } from '../processes/program.ts'
import { RelayProcess } from '../processes/relay.ts'
import { until } from '../processes/wait.ts'

/** config.toml and a running node. */

const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'sealmesh-config-'))
const homePath = path.join(directory, 'home')
let relay: RelayProcess
let home: NodeProcess
let office: NodeProcess

const config = path.join(homePath, 'config.toml')
const cli = (...words: string[]) =>
  runProgram(BIN.node, [...words, '--home', homePath], { name: words.slice(0, 2).join(' ') })
const errorOf = ({ program }: Awaited<ReturnType<typeof cli>>) => JSON.parse(program.stderr.toString()) as unknown

beforeAll(async () => {
  fs.mkdirSync(homePath, { mode: 0o700 })
  fs.writeFileSync(
    config,
    '[agents.home.share]\nsemantic = ["office:write", "laptop"]\n\n[aliases]\njournal = "episodic"\n',
  )
  relay = await RelayProcess.start({ data: path.join(directory, 'relay') })
  const claim = relay.claim === undefined ? {} : { claim: relay.claim }
  home = await NodeProcess.start({ home: homePath, name: 'home', relay: relay.address, ...claim })
})

afterAll(async () => {
  await office.stop()
  await home.stop()
  await relay.stop()
  fs.rmSync(directory, { recursive: true, force: true })
})

async function grants(): Promise<string[]> {
  const door = await home.door()
  const listed = await door.call('share.ls', {})
  await door.close()
  return listed.grants.map(({ layer, to, access }) => `${layer}=${to}:${access}`)
}

test('a default waits for its recipient, makes its grant once, and shares nothing again that a person took back', async () => {
  expect(await grants()).toEqual([])
  office = await pairNodes(home, { home: path.join(directory, 'office'), name: 'office' })
  await until('the default has been applied', async () => (await grants()).includes('semantic=office:write'))
  const reloaded = await cli('config', 'reload', '--json')
  expect(JSON.parse(reloaded.program.stdout.toString())).toEqual({ waiting: ['home.semantic=laptop'] })
  await cli('share', 'set', 'home', 'semantic=none')
  expect((await cli('config', 'reload')).exit.code).toBe(0)
  expect(await grants()).toEqual([])
})

test('the names of the owner count at the door', async () => {
  expect((await cli('set', 'home.journal.first', 'x')).exit.code).toBe(0)
  const listed = await cli('ls', 'home.journal.', '--json')
  expect(listed.program.stdout.toString()).toContain('home.episodic.first')
})

test('config set changes the file, keeps what is there, and the node reads it', async () => {
  expect((await cli('config', 'set', 'agents.home.share.procedural', 'office')).exit.code).toBe(0)
  expect(fs.readFileSync(config, 'utf8')).toContain('journal = "episodic"')
  await until('the new default has been applied', async () => (await grants()).includes('procedural=office:read'))
  expect(fs.existsSync(path.join(homePath, 'config.schema.json'))).toBe(true)
})

test('a broken config leaves the old one in force in a running node, and stops one that starts', async () => {
  const good = fs.readFileSync(config, 'utf8')
  fs.writeFileSync(config, `${good}\n[nodes]\n`)
  const line = good.split('\n').length + 1
  const where = `${config}:${line}:2 nodes: unknown key, did you mean node?`
  const failure = { error: { code: 'CONFIG_INVALID', message: expect.stringContaining(where) } }
  expect(errorOf(await cli('config', 'reload', '--json'))).toMatchObject(failure)
  expect((await cli('set', 'home.journal.second', 'x')).exit.code).toBe(0)
  expect(errorOf(await cli('config', 'check', '--json'))).toMatchObject(failure)
  await home.stop()
  const start = await cli('up', '--json')
  expect(start.exit.code).toBe(2)
  expect(errorOf(start)).toMatchObject(failure)
  fs.writeFileSync(config, good)
  home = await NodeProcess.start({ home: homePath, name: 'home' })
})

test('SIGHUP makes it read the config again', async () => {
  fs.appendFileSync(config, '\n[agents.home.aliases]\ndays = "semantic"\n')
  home.program.child.kill('SIGHUP')
  await until('the alias counts', async () => {
    await cli('set', 'home.days.third', 'x')
    const listed = await cli('ls', 'home.semantic.', '--json')
    return listed.program.stdout.toString().includes('home.semantic.third')
  })
})
