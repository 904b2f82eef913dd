import { spawn } from 'node:child_process'
import * as fs from 'node:fs'
import * as os from 'node:os'
import * as path from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { strayKeys } from '../attacks/thief.ts'
import { KeyStore } from '@sealmesh/node/keys/key-store'
import { toHex } from '@sealmesh/protocol/bytes'
import { loadSodium } from '@sealmesh/sodium/load'
import { NodeProcess } from '../processes/node.ts'
import { BIN, runProgram } from '../processes/program.ts'

const sodium = await loadSodium()
const random = (bytes: number): Uint8Array => crypto.getRandomValues(new Uint8Array(bytes))
const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'sealmesh-passphrase-'))
const at = (name: string): string => path.join(directory, name)
const home = at('home')
const PASSPHRASE = 'eight words that nobody else would ever write'
const FILE = ['--passphrase-file', at('passphrase')]

async function sealmesh(...words: string[]) {
  const { exit, program } = await runProgram(BIN.node, [...words, '--home', home, '--json'], {
    name: words.join(' '),
    deadlineMs: 60_000,
  })
  const said = program.stderr.toString()
  const failure = said.startsWith('{') ? (JSON.parse(said) as { error: { code: string } }).error.code : undefined
  return { code: exit.code, failure }
}

let prekeys: Set<string>

beforeAll(async () => {
  fs.writeFileSync(at('passphrase'), `${PASSPHRASE}\n`)
  fs.writeFileSync(at('wrong'), 'another one altogether\n')
  const node = await NodeProcess.start({ home, name: 'home', agent: 'claude', relay: 'none' })
  const door = await node.door()
  await door.call('set', { umr: 'claude.semantic.day', value: '"Tuesday"' })
  const keys = await door.call('key.show', {})
  prekeys = new Set(keys.prekeys.map(({ publicKey }) => publicKey))
  await node.stop()
})

afterAll(() => fs.rmSync(directory, { recursive: true, force: true }))

test('T-disk-6: on the disk of a sealed home no prekey is found; what it had been granted lies there as before', async () => {
  expect(prekeys.size).toBeGreaterThan(0)
  expect(strayKeys(home, prekeys, sodium).length).toBeGreaterThan(0)
  expect(await sealmesh('key', 'protect', ...FILE)).toEqual({ code: 0, failure: undefined })
  expect(strayKeys(home, prekeys, sodium)).toEqual([])
  const files = fs
    .readdirSync(path.join(home, 'db'), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => fs.readFileSync(path.join(entry.parentPath, entry.name)))
  expect(Buffer.concat(files).includes('Tuesday')).toBe(true)
})

test('a sealed home starts with its passphrase only, in the foreground and detached', async () => {
  expect(await sealmesh('up')).toEqual({ code: 4, failure: 'KEYS_LOCKED' })
  expect(await sealmesh('up', '--detach')).toEqual({ code: 4, failure: 'KEYS_LOCKED' })
  expect(await sealmesh('up', '--passphrase-file', at('wrong'))).toEqual({ code: 4, failure: 'PASSPHRASE_WRONG' })
  const node = await NodeProcess.start({ home, name: 'home', args: FILE })
  // New keys while it runs, and no changing of the form behind its back.
  await (await node.door()).call('key.rotate', {})
  expect(await sealmesh('key', 'unprotect', ...FILE)).toEqual({ code: 9, failure: 'HOME_IN_USE' })
  expect(await sealmesh('key', 'backup', at('kit.age'), ...FILE)).toEqual({ code: 4, failure: 'KEYS_LOCKED' })
  await node.stop()
  expect(await sealmesh('up', '--detach', ...FILE)).toEqual({ code: 0, failure: undefined })
  const pid = Number(fs.readFileSync(path.join(home, 'run/node.pid'), 'latin1'))
  if (process.platform === 'linux')
    for (const shown of ['cmdline', 'environ'])
      expect(fs.readFileSync(`/proc/${pid}/${shown}`).includes(PASSPHRASE)).toBe(false)
  expect(await sealmesh('down')).toEqual({ code: 0, failure: undefined })
  expect(fs.readFileSync(path.join(home, 'run/node.log')).includes(PASSPHRASE)).toBe(false)
})

test('kill -9 at any moment of sealing and unsealing leaves a home that opens', async () => {
  const open = async (): Promise<string> => {
    const keys = path.join(home, 'keys')
    const locked = fs.existsSync(path.join(keys, 'passphrase.lock'))
    return toHex((await KeyStore.load(keys, { sodium, random }, locked ? PASSPHRASE : undefined)).sign.publicKey)
  }
  const own = await open()
  const deps = { sodium, random, passphraseCost: { passes: 1, memoryMiB: 8 } }
  let between = 0
  for (let round = 0; round < 4; round++) {
    const verb = round % 2 === 0 ? 'protect' : 'unprotect'
    const isLocked = fs.existsSync(path.join(home, 'keys/passphrase.lock'))
    if (verb === 'protect' && isLocked) await KeyStore.unprotect(path.join(home, 'keys'), deps, PASSPHRASE)
    if (verb === 'unprotect' && !isLocked) await KeyStore.protect(path.join(home, 'keys'), deps, PASSPHRASE)
    const child = spawn(process.execPath, [BIN.node, 'key', verb, ...FILE, '--home', home], { stdio: 'ignore' })
    const ended = new Promise((resolve) => child.once('exit', resolve))
    // From when its lock is taken to when it is let go: where in between is chance.
    for (let look = 0; look < 4_000 && child.exitCode === null; look++) {
      await new Promise((resolve) => setTimeout(resolve, 2))
      const names = fs.readdirSync(path.join(home, 'keys'), { recursive: true }).map(String)
      const lines = names.filter((name) => name.endsWith('.key')).map((name) => lineOf(path.join(home, 'keys', name)))
      const clear = lines.filter((line) => line.includes('-seed-1')).length
      if (clear === 0 || clear === lines.length) continue
      between++
      break
    }
    child.kill('SIGKILL')
    await ended
    expect(await open(), `round ${round}`).toBe(own)
  }
  expect(between).toBeGreaterThan(0)
  if (fs.existsSync(path.join(home, 'keys/passphrase.lock')))
    expect(await sealmesh('key', 'unprotect', ...FILE)).toEqual({ code: 0, failure: undefined })
  const node = await NodeProcess.start({ home, name: 'home' })
  await node.stop()
})

function lineOf(file: string): string {
  try {
    return fs.readFileSync(file, 'latin1')
  } catch {
    return '' // It was renamed since.
  }
}
