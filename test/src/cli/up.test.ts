import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmod, readdir, readFile, stat, truncate } from 'node:fs/promises'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import { expect, onTestFinished, test } from 'vitest'
import { temporaryFolder } from '../keys/temporary-home.ts'

/** The command line as a user has it: a real process of what was built, on a home of its own. */
const BIN = fileURLToPath(new URL('../../../packages/node/bin/sealmesh.js', import.meta.url))
const FIRST_TIME = ['--relay', 'none', '--name', 'home', '--agent', 'claude']

function start(
  args: readonly string[],
): ChildProcess & { outcome: Promise<{ exit: number | null; out: string; err: string }> } {
  const child = spawn(process.execPath, [BIN, ...args], {
    env: { PATH: process.env['PATH'], TMPDIR: process.env['TMPDIR'] },
  })
  const outcome = Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')]).then(
    ([out, err, [exit]]) => ({
      exit: exit as number | null,
      out,
      err,
    }),
  )
  return Object.assign(child, { outcome })
}

async function newHome() {
  const home = join(await temporaryFolder(), 'home')
  const sealmesh = (...args: string[]) => start([...args, '--home', home])
  onTestFinished(async () => {
    await sealmesh('down').outcome
  })
  return { home, sealmesh, run: (...args: string[]) => sealmesh(...args).outcome }
}

test('a detached node answers when the command returns, keeps what is written, and ends with down', async () => {
  const { home, run } = await newHome()
  const up = await run('up', ...FIRST_TIME, '--detach', '--json')
  expect(up).toMatchObject({ exit: 0, err: '' })
  expect(JSON.parse(up.out)).toEqual({
    home,
    socket: join(home, 'run', 'sealmesh.sock'),
    node: expect.stringMatching(/^node_[0-9a-f]{64}$/),
    mesh: expect.stringMatching(/^mesh_[0-9a-f]{64}$/),
    firstRun: true,
  })
  expect(await run('set', 'claude.semantic.day', 'Tuesday')).toMatchObject({ exit: 0 })
  expect(await run('text', 'edit', 'claude.procedural.notes', '--file', BIN)).toMatchObject({ exit: 0 })
  expect(await run('down')).toMatchObject({ exit: 0 })
  expect(JSON.parse((await run('up', '--detach', '--json')).out)).toMatchObject({ firstRun: false })
  expect(await run('get', 'claude.semantic.day')).toEqual({ exit: 0, out: 'Tuesday\n', err: '' })
  expect((await run('text', 'get', 'claude.procedural.notes')).out).toBe(await readFile(BIN, 'utf8'))
})

test('nothing that a node makes can be read by others, whatever the umask', async () => {
  const { home, run } = await newHome()
  const before = process.umask(0)
  try {
    await run('up', ...FIRST_TIME, '--detach')
  } finally {
    process.umask(before)
  }
  const wide: string[] = []
  for (const name of ['.', ...(await readdir(home, { recursive: true }))]) {
    // LevelDB's own files have wider modes, in folders that nobody else can enter.
    const inPrivateFolder = /^(db|diary|run\/lock)\//.test(name)
    if (!inPrivateFolder && ((await stat(join(home, name))).mode & 0o077) !== 0) wide.push(name)
  }
  expect(wide).toEqual([])
})

test('in the foreground it says when it is ready, and Ctrl-C ends it well', async () => {
  const { sealmesh, run } = await newHome()
  const node = sealmesh('up', ...FIRST_TIME, '--json')
  await once(node.stdout as NonNullable<typeof node.stdout>, 'data')
  expect(await run('status', '--json')).toMatchObject({ exit: 0 })
  node.kill('SIGINT')
  const { exit, out, err } = await node.outcome
  expect([exit, err]).toEqual([0, ''])
  expect(JSON.parse(out)).toMatchObject({ firstRun: true })
})

test('a second node on one home is refused with the number of the first, detached or not', async () => {
  const { run } = await newHome()
  await run('up', ...FIRST_TIME, '--detach')
  const { pid } = JSON.parse((await run('status', '--json')).out)
  for (const how of [[], ['--detach']])
    expect(await run('up', ...how)).toMatchObject({
      exit: 9,
      out: '',
      err: expect.stringMatching(new RegExp(`^error HOME_IN_USE: The process ${pid} uses`)),
    })
  expect(await run('status')).toMatchObject({ exit: 0 })
})

test('what keeps a detached node from starting is told as if it had happened here', async () => {
  const { home, run } = await newHome()
  expect(await run('up', '--detach')).toMatchObject({ exit: 3, err: expect.stringMatching(/^error NODE_NOT_SET_UP: /) })
  await run('up', ...FIRST_TIME, '--detach')
  await run('down')
  const key = join(home, 'keys', 'node-sign.key')
  await chmod(key, 0o644)
  expect(await run('up', '--detach')).toMatchObject({ exit: 6, err: expect.stringContaining(`chmod 600 ${key}`) })
  await chmod(key, 0o600)
  const whole = await readFile(key, 'utf8')
  await truncate(key, 40)
  const damaged = await run('up', '--detach', '--json')
  expect(damaged.exit).toBe(7)
  expect(JSON.parse(damaged.err)).toMatchObject({
    error: { code: 'KEY_DAMAGED', message: expect.stringContaining(key) },
  })
  expect(damaged.err + (await readFile(join(home, 'run', 'node.log'), 'utf8'))).not.toContain(
    whole.split(' ')[1]?.slice(0, 8),
  )
  expect((await readFile(key, 'utf8')).length).toBe(40)
})

test('a relay that is not reached is told, with its reason, and the node is up all the same', async () => {
  const { run } = await newHome()
  // Nothing listens on the discard port.
  const relay = `ws://127.0.0.1:9#relay=${'ab'.repeat(32)}`
  const up = await run('up', '--relay', relay, '--name', 'home', '--claim', 'x', '--detach')
  expect(up.exit).toBe(0)
  expect(up.err).toMatch(/: not reached yet: RELAY_UNREACHABLE; next: check the address/)
})

test('the claim code is not among the arguments of a node that goes on running', async () => {
  const { run } = await newHome()
  await run('up', ...FIRST_TIME, '--claim', 'PLANTED-CODE', '--detach')
  const { pid } = JSON.parse((await run('status', '--json')).out)
  expect(await readFile(`/proc/${pid}/cmdline`, 'utf8')).not.toContain('PLANTED-CODE')
})

test('a home too deep for a socket has one elsewhere, and every verb finds it', async () => {
  const deep = join(await temporaryFolder(), 'deep'.repeat(15), 'deep'.repeat(15))
  const run = (...args: string[]) => start([...args, '--home', deep]).outcome
  onTestFinished(async () => {
    await run('down')
  })
  const { socket } = JSON.parse((await run('up', ...FIRST_TIME, '--detach', '--json')).out)
  expect(Buffer.byteLength(socket)).toBeLessThan(104)
  expect(await run('set', 'claude.semantic.day', 'Tuesday')).toMatchObject({ exit: 0 })
  expect((await run('get', 'claude.semantic.day')).out).toBe('Tuesday\n')
  expect(await run('down')).toMatchObject({ exit: 0 })
})
