import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { beforeAll, expect, test } from 'vitest'
import { NodeProcess } from '../processes/node.ts'
import { BIN, runProgram } from '../processes/program.ts'
import { type Command, newClient } from './servers.ts'

/** `sealmesh mcp install` on real files: what it writes, and that it takes back just that. */

let home: string
let user: string

const CODEX = '# mine\nmodel = "o9"   # the best\r\n\n[mcp_servers.other]\ncommand = "x"\n'

beforeAll(async () => {
  const folder = mkdtempSync(join(tmpdir(), 'sm-'))
  home = join(folder, 'home')
  user = join(folder, 'user')
  await mkdir(home, { mode: 0o700 })
  mkdirSync(join(user, '.codex'), { recursive: true })
  const node = await NodeProcess.start({ home, name: 'home', relay: 'none', agent: 'claude' })
  return async () => {
    await node.stop()
    rmSync(folder, { recursive: true, force: true })
  }
})

async function mcp(...words: string[]) {
  const args = ['mcp', ...words, '--home', home]
  const { program, exit } = await runProgram(BIN.node, args, {
    name: words.join(' '),
    env: { HOME: user, NO_COLOR: '1' },
  })
  return { code: exit.code, out: program.stdout.toString(), err: program.stderr.toString() }
}

test('shows what would change, and without a terminal wants a yes', async () => {
  const asked = await mcp('install', 'codex', '--agent', 'claude')
  expect(asked.code).toBe(2)
  expect(asked.out).toContain('+ [mcp_servers.sealmesh]')
  expect(asked.err).toContain('mcp install codex --agent claude --yes')
  expect(existsSync(join(user, '.codex', 'config.toml'))).toBe(false)
  expect(existsSync(join(home, 'tokens', 'claude'))).toBe(false)
})

test('a file is the same before and after, byte for byte, with its mode and behind its link', async () => {
  const real = join(user, 'dotfiles.toml')
  const file = join(user, '.codex', 'config.toml')
  writeFileSync(real, CODEX)
  chmodSync(real, 0o640)
  symlinkSync(real, file)
  expect(await mcp('install', 'codex', '--agent', 'claude', '--yes')).toMatchObject({ code: 0 })
  // A second time: the same entry, and still the first file behind it.
  expect(await mcp('install', 'codex', '--agent', 'claude', '--compat', 'server-memory', '--yes')).toMatchObject({
    code: 0,
  })
  expect(readFileSync(file, 'utf8')).toContain('"--compat", "server-memory"')
  expect(readFileSync(file, 'utf8').startsWith(CODEX)).toBe(true)
  expect(statSync(real).mode & 0o777).toBe(0o640)
  const token = readFileSync(join(home, 'tokens', 'claude'), 'utf8').trim()
  expect(statSync(join(home, 'tokens', 'claude')).mode & 0o777).toBe(0o600)
  // The entry names the token's agent, never the token.
  expect(readFileSync(file, 'utf8')).not.toContain(token)
  expect((await mcp('ls')).out).toMatch(/codex +sealmesh +claude .* yes/)
  expect(await mcp('uninstall', 'codex')).toMatchObject({ code: 0 })
  expect(readFileSync(file, 'utf8')).toBe(CODEX)
  expect(existsSync(join(home, 'tokens', 'claude'))).toBe(false)
  expect(await mcp('uninstall', 'codex')).toMatchObject({ code: 5 })
})

test('a file that was not there is gone again; one that was edited since keeps the edit', async () => {
  const project = join(user, 'shop')
  mkdirSync(project)
  const file = join(project, '.mcp.json')
  expect(await mcp('install', 'claude-code', '--project', project, '--agent', 'claude', '--yes')).toMatchObject({
    code: 0,
  })
  expect(await mcp('uninstall', 'claude-code', '--project', project)).toMatchObject({ code: 0 })
  expect(existsSync(file)).toBe(false)

  expect(await mcp('install', 'claude-code', '--project', project, '--agent', 'claude', '--yes')).toMatchObject({
    code: 0,
  })
  const edited = JSON.parse(readFileSync(file, 'utf8')) as { mcpServers: Record<string, object> }
  edited.mcpServers['newer'] = { command: 'y' }
  writeFileSync(file, JSON.stringify(edited))
  expect(await mcp('uninstall', 'claude-code', '--project', project)).toMatchObject({ code: 0 })
  expect(JSON.parse(readFileSync(file, 'utf8'))).toEqual({ mcpServers: { newer: { command: 'y' } } })
})

test('put in again after its program has written, it comes out whole', async () => {
  const project = join(user, 'twice')
  mkdirSync(project)
  const file = join(project, '.mcp.json')
  writeFileSync(file, '{"mcpServers": {"other": {"command": "x"}}}')
  const install = ['install', 'claude-code', '--project', project, '--agent', 'claude', '--yes']
  expect(await mcp(...install)).toMatchObject({ code: 0 })
  const edited = JSON.parse(readFileSync(file, 'utf8')) as { starts?: number }
  edited.starts = 2
  writeFileSync(file, JSON.stringify(edited))
  for (const more of [[], ['--tools', 'memory_get']]) expect(await mcp(...install, ...more)).toMatchObject({ code: 0 })
  expect(await mcp('uninstall', 'claude-code', '--project', project)).toMatchObject({ code: 0 })
  expect(JSON.parse(readFileSync(file, 'utf8'))).toEqual({ mcpServers: { other: { command: 'x' } }, starts: 2 })
})

/** A file for each client as its people and editors leave it. */
const ODD: Readonly<Record<string, [string, Buffer]>> = {
  'claude-code': [
    '.claude.json',
    Buffer.from('\uFEFF{\r\n\t"projects": {},\r\n\t"mcpServers": {"sealmesh": {"command": "mine"}}\r\n}'),
  ],
  codex: ['.codex/config.toml', Buffer.from('# ümlaut\r\nmodel = "o9"\n[mcp_servers.sealmesh]\ncommand = "mine"')],
  cursor: ['.cursor/mcp.json', Buffer.from('// mine\n{"mcpServers": {"a": {},},}')],
}

test('of each client an odd file is shown, written, listed and put back, byte for byte', async () => {
  for (const [client, [name, bytes]] of Object.entries(ODD)) {
    const file = join(user, name)
    mkdirSync(dirname(file), { recursive: true })
    writeFileSync(file, bytes)
    const installed = await mcp('install', client, '--agent', 'claude', '--layers', 'semantic:write', '--yes', '--json')
    expect(installed).toMatchObject({ code: 0, err: '' })
    expect(JSON.parse(installed.out)).toMatchObject({
      client,
      file,
      agent: 'claude',
      changes: [{ added: expect.any(Array) }],
    })
    expect(readFileSync(file, 'utf8')).toMatch(/"--layers", *"semantic:write"|"--layers",\s+"semantic:write"/)
  }
  const { installs } = JSON.parse((await mcp('ls', '--json')).out) as { installs: { client: string; there: boolean }[] }
  expect(installs.map(({ client, there }) => [client, there])).toEqual(Object.keys(ODD).map((client) => [client, true]))
  for (const [client, [name, bytes]] of Object.entries(ODD)) {
    expect(await mcp('uninstall', client, '--json')).toMatchObject({ code: 0 })
    expect(readFileSync(join(user, name)).equals(bytes), client).toBe(true)
    rmSync(join(user, name))
  }
  expect(existsSync(join(home, 'tokens', 'claude'))).toBe(false)
})

test('the lists that are installed hold for the server that the entry starts', async () => {
  const file = join(user, '.cursor', 'mcp.json')
  mkdirSync(dirname(file), { recursive: true })
  for (const umr of ['claude.semantic.a', 'claude.episodic.a']) {
    const { exit } = await runProgram(BIN.node, ['set', umr, 'here', '--home', home], { name: 'set' })
    expect(exit.code).toBe(0)
  }
  const lists = ['--tools', 'memory_get,memory_put', '--layers', 'semantic', '--peers', 'codex,#news']
  expect(await mcp('install', 'cursor', '--agent', 'claude', ...lists, '--yes')).toMatchObject({ code: 0 })
  const { mcpServers } = JSON.parse(readFileSync(file, 'utf8')) as { mcpServers: Record<string, Command> }
  const session = await newClient(mcpServers['sealmesh'] ?? { command: '', args: [] })
  try {
    expect(await session.tools()).toEqual(['memory_get', 'memory_put'])
    expect(await session.resources()).toEqual(['sealmesh://memory/{+umr}'])
    const get = async (umr: string) => (await session.call('memory_get', { umr })).structured
    expect(await get('claude.semantic.a')).toMatchObject({ item: { umr: 'claude.semantic.a' } })
    expect(await get('claude.episodic.a')).toEqual({ item: null })
    expect(await session.call('memory_put', { umr: 'claude.semantic.a', value: 1 })).toMatchObject({ isError: true })
  } finally {
    await session.close()
  }
  expect(await mcp('uninstall', 'cursor')).toMatchObject({ code: 0 })
})

test('what is no file of text that can be read is refused and stays as it is', async () => {
  const file = join(user, '.cursor', 'mcp.json')
  mkdirSync(dirname(file), { recursive: true })
  const nowhere = join(user, 'nowhere.json')
  const odd: Readonly<Record<string, () => void>> = {
    'a link that leads nowhere': () => symlinkSync(nowhere, file),
    'a folder': () => mkdirSync(file),
    'bytes that are no UTF-8': () => writeFileSync(file, Buffer.from([0x7b, 0xff, 0x7d])),
    // The superuser may read it all the same.
    ...(process.getuid?.() === 0
      ? {}
      : { 'a file that may not be read': () => writeFileSync(file, '{}', { mode: 0 }) }),
  }
  for (const [what, make] of Object.entries(odd)) {
    make()
    const before = lstatSync(file)
    const refused = await mcp('install', 'cursor', '--agent', 'claude', '--yes', '--json')
    expect(refused.code, what).not.toBe(0)
    expect(refused.err, what).toMatch(/CLIENT_CONFIG_INVALID|HOME_UNUSABLE/)
    const after = lstatSync(file)
    expect([after.ino, after.mtimeMs, after.mode], what).toEqual([before.ino, before.mtimeMs, before.mode])
    expect(existsSync(nowhere)).toBe(false)
    expect(existsSync(join(home, 'tokens', 'claude'))).toBe(false)
    rmSync(file, { recursive: true })
  }
})

test('what cannot be read is left alone, and a token that somebody else has is not taken', async () => {
  const file = join(user, '.cursor', 'mcp.json')
  mkdirSync(join(user, '.cursor'), { recursive: true })
  for (const broken of ['{ "mcpServers": ', '{ "mcpServers": [] }']) {
    writeFileSync(file, broken)
    const refused = await mcp('install', 'cursor', '--agent', 'claude', '--yes')
    expect(refused).toMatchObject({ code: 4 })
    expect(refused.err).toContain('CLIENT_CONFIG_INVALID')
    expect(readFileSync(file, 'utf8')).toBe(broken)
  }
  writeFileSync(file, '{}')
  // The one of mcp install is worth nothing any more where somebody makes another; the next step mends that.
  expect(await mcp('install', 'cursor', '--agent', 'claude', '--yes')).toMatchObject({ code: 0 })
  const rotated = ['agents', 'token', 'claude', '--rotate', '--home', home]
  expect((await runProgram(BIN.node, rotated, { name: 'token' })).exit.code).toBe(0)
  const stale = await mcp('--agent', 'claude')
  expect(stale).toMatchObject({ code: 4, out: '' })
  expect(stale.err).toContain(`agents token claude --rotate --home ${home} > ${join(home, 'tokens', 'claude')}`)
  expect(await mcp('uninstall', 'cursor')).toMatchObject({ code: 0 })
  expect(existsSync(join(home, 'tokens', 'claude'))).toBe(false)

  // That other one is somebody's, and stays.
  const refused = await mcp('install', 'cursor', '--agent', 'claude', '--yes')
  expect(refused).toMatchObject({ code: 9 })
  expect(refused.err).toContain('AGENT_TOKEN_EXISTS')
  expect(readFileSync(file, 'utf8')).toBe('{}')
})
