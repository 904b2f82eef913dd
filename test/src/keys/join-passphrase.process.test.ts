import * as fs from 'node:fs'
import * as os from 'node:os'
import * as path from 'node:path'
import { prepareHome, resolveHome } from '@sealmesh/node/keys/home'
import { KeyStore } from '@sealmesh/node/keys/key-store'
import { loadSodium } from '@sealmesh/sodium/load'
import { afterAll, expect, test } from 'vitest'
import { NodeProcess } from '../processes/node.ts'
import { BIN, runProgram } from '../processes/program.ts'
import { RelayProcess } from '../processes/relay.ts'

const random = (bytes: number): Uint8Array => crypto.getRandomValues(new Uint8Array(bytes))
const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'sealmesh-join-passphrase-'))
const at = (name: string): string => path.join(directory, name)
const FILE = ['--passphrase-file', at('passphrase')]
const running: { stop(): Promise<unknown> }[] = []

afterAll(async () => {
  for (const each of running.toReversed()) await each.stop()
  fs.rmSync(directory, { recursive: true, force: true })
})

async function join(...words: string[]) {
  const args = ['join', ...words, '--home', at('office'), '--name', 'office', '--json']
  const { exit, program } = await runProgram(BIN.node, args, { name: 'joining' })
  return { code: exit.code, said: program.stderr.toString() }
}

test('a home whose keys were given a passphrase after a join that failed joins with it', async () => {
  fs.writeFileSync(at('passphrase'), 'eight words that nobody else would ever write\n')
  fs.writeFileSync(at('wrong'), 'another one altogether\n')
  const relay = await RelayProcess.start({ data: at('relay') })
  running.push(relay)
  const claim = relay.claim === undefined ? {} : { claim: relay.claim }
  const home = await NodeProcess.start({
    home: at('home'),
    name: 'home',
    agent: 'claude',
    relay: relay.address,
    ...claim,
  })
  running.push(home)
  // What such a try leaves.
  const left = resolveHome(at('office'), {})
  await prepareHome(left)
  await KeyStore.create(left.keys, { sodium: await loadSodium(), random }, { root: false })
  const sealing = ['key', 'protect', ...FILE, '--home', at('office')]
  expect((await runProgram(BIN.node, sealing, { name: 'sealing' })).exit.code).toBe(0)

  await home.untilStatus('connected', ({ relays }) => relays.some(({ state }) => state === 'live'))
  const door = await home.door()
  const link = (await door.call('pair.start', { autoConfirm: true })).link ?? ''
  for (const [words, code] of [
    [[link], 'KEYS_LOCKED'],
    [[link, '--passphrase-file', at('wrong')], 'PASSPHRASE_WRONG'],
    [['-', '--passphrase-file', '-'], 'USAGE'],
  ] as const)
    expect((await join(...words)).said).toContain(code)
  expect(await join(link, ...FILE)).toMatchObject({ code: 0 })
  await door.close()
  running.push(await NodeProcess.start({ home: at('office'), name: 'office', args: FILE }))
  // What it was given while it joined is sealed like the rest.
  const files = fs.readdirSync(left.keys, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile())
  const lines = files.map((entry) => fs.readFileSync(path.join(entry.parentPath, entry.name), 'latin1'))
  expect(lines.filter((line) => line.includes('-seed-1'))).toEqual([])
})
