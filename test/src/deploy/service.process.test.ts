import * as fs from 'node:fs'
import * as os from 'node:os'
import * as path from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { BIN, runProgram } from '../processes/program.ts'

/** `sealmesh-relay service` as a person types it, on the files of a system that does not run. */

const root = fs.mkdtempSync(path.join(os.tmpdir(), 'sealmesh-service-'))
const unit = path.join(root, 'etc/systemd/system/sealmesh-relay.service')

afterAll(() => fs.rmSync(root, { recursive: true, force: true }))

async function service(...words: string[]) {
  const { exit, objects, program } = await runProgram(BIN.relay, ['service', ...words], { name: 'service' })
  return { exit: exit.code, said: objects[0], out: program.stdout.toString(), err: program.stderr.toString() }
}

test('a unit is shown, written once, and removed once', async () => {
  const shown = await service('install', '--dry-run', '--port', '443')
  expect(shown).toMatchObject({ exit: 0, out: expect.stringContaining('\nAmbientCapabilities=CAP_NET_BIND_SERVICE\n') })
  expect(fs.readdirSync(root)).toEqual([])

  const words = ['--root', root, '--json']
  const written = await service('install', ...words, '--port', '443')
  expect(written.said).toMatchObject({ changed: true, running: false, next: expect.stringContaining(BIN.relay) })
  expect(fs.readFileSync(unit, 'utf8')).toBe(shown.out)
  expect((await service('install', ...words, '--port', '443')).said).toMatchObject({ changed: false })
  expect(await service('install', '--root', root, '--', '--tls', 'none')).toMatchObject({ exit: 0 })
  expect(fs.readFileSync(unit, 'utf8')).toMatch(/^ExecStart=.* up --data %S\/sealmesh-relay --tls none$/m)

  expect((await service('uninstall', ...words)).said).toMatchObject({ changed: true })
  expect(fs.existsSync(unit)).toBe(false)
  expect((await service('uninstall', ...words)).said).toMatchObject({ changed: false })
})

test.each([
  [['install', '--port', '70000', '--dry-run'], 2, '--port is a whole number'],
  [['install', '--cert', '/etc/a.pem', '--dry-run'], 2, 'needs its file and its key'],
  [['install', '--data', '/with space', '--dry-run'], 2, 'whole paths of plain characters'],
  [['instal'], 2, 'unknown command'],
])('%j ends with %i and says why', async (words, exit, why) => {
  const done = await service(...words)
  expect([done.exit, done.out]).toEqual([exit, ''])
  expect(done.err).toContain(why)
})

test('where no systemd runs, its state cannot be asked for, and that is said', async ({ skip }) => {
  skip(fs.existsSync('/run/systemd/system'), 'systemd runs here')
  const done = await service('status', '--json')
  expect([done.exit, done.out]).toEqual([6, ''])
  expect(JSON.parse(done.err)).toMatchObject({ error: { code: 'SERVICE_UNUSABLE', exit: 6 } })
})
