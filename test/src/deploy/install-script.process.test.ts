import { spawnSync } from 'node:child_process'
import * as fs from 'node:fs'
import * as os from 'node:os'
import * as path from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { REPOSITORY } from '../processes/program.ts'
import { RelayProcess } from '../processes/relay.ts'
import { packAll, PACKING_MS } from './packed.ts'

/** install.sh on the files of a system that does not run; `pnpm rehearse-vps` is the same on one that does. */

const SCRIPT = path.join(REPOSITORY, 'infra/install.sh')
const PROGRAM = 'opt/sealmesh/current/node_modules/@sealmesh/relay/bin/sealmesh-relay.js'
const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'sealmesh-install-'))
const tarballs = path.join(directory, 'tarballs')
const root = path.join(directory, 'root')
const debian = spawnSync('dpkg', ['--version']).status === 0

beforeAll(() => {
  fs.mkdirSync(path.join(root, 'etc'), { recursive: true })
  fs.writeFileSync(path.join(root, 'etc/os-release'), 'NAME="Debian GNU/Linux"\nVERSION_ID="13"\nID=debian\n')
  if (debian) packAll(tarballs, { bundle: true })
}, PACKING_MS)

afterAll(() => fs.rmSync(directory, { recursive: true, force: true }))

function script(...words: string[]) {
  const { status, stdout, stderr } = spawnSync('sh', [SCRIPT, ...words], { encoding: 'utf8' })
  return { status, stdout, stderr }
}

/** Every file below with when it was last changed. */
function tree(): Record<string, number> {
  const files = fs.readdirSync(root, { recursive: true, encoding: 'utf8' })
  return Object.fromEntries(files.map((file) => [file, fs.lstatSync(path.join(root, file)).mtimeMs]))
}

test.each(['install.sh', 'rehearse.sh', 'rehearse-boot.sh'])(
  '%s is a script without a fault that a tool finds',
  (name) => {
    const file = path.join(REPOSITORY, 'infra', name)
    const checked = spawnSync('shellcheck', [file], { encoding: 'utf8' })
    // Without shellcheck its grammar at least.
    const { status, stdout } =
      checked.error === undefined ? checked : spawnSync('bash', ['-n', file], { encoding: 'utf8' })
    expect([status, stdout]).toEqual([0, ''])
  },
)

test('it installs once, keeps its options, changes nothing again, upgrades, and goes', async ({ skip }) => {
  skip(!debian, 'this needs dpkg')
  const words = ['--from', tarballs, '--root', root]
  const before = tree()
  const shown = script(...words, '--dry-run')
  expect(shown).toMatchObject({ status: 0, stderr: '', stdout: expect.stringContaining('nothing was changed') })
  expect(tree()).toEqual(before)

  expect(script(...words, '--port', '443')).toMatchObject({ status: 0, stderr: '' })
  const unit = path.join(root, 'etc/systemd/system/sealmesh-relay.service')
  expect(fs.readFileSync(unit, 'utf8')).toContain(` /${PROGRAM} up --data %S/sealmesh-relay --port 443\n`)
  const relay = await RelayProcess.start({ data: path.join(directory, 'data'), bin: path.join(root, PROGRAM) })
  await relay.stop()

  const installed = tree()
  expect(script(...words)).toMatchObject({ status: 0, stdout: expect.stringContaining('is installed') })
  expect(tree()).toEqual(installed)

  const [old = ''] = fs.readdirSync(path.join(root, 'opt/sealmesh/releases'))
  anotherBundle('99.0.0')
  expect(script(...words)).toMatchObject({ status: 0, stdout: expect.stringContaining('sealmesh-relay 99.0.0') })
  expect(fs.readlinkSync(path.join(root, 'opt/sealmesh/current'))).toMatch(/^releases\/99\.0\.0-/)
  expect(fs.readdirSync(path.join(root, 'opt/sealmesh/releases'))).toContain(old)
  expect(fs.readFileSync(unit, 'utf8')).toContain('--port 443\n')

  fs.rmSync(path.join(tarballs, 'sealmesh-relay-99.0.0-linux.tar.gz'))
  expect(script(...words)).toMatchObject({ status: 1, stderr: expect.stringContaining('--downgrade') })

  const data = path.join(root, 'var/lib/sealmesh-relay')
  fs.mkdirSync(data, { recursive: true })
  expect(script('--uninstall', '--root', root)).toMatchObject({ status: 0 })
  expect(
    Object.keys(tree()).filter((file) => /opt.sealmesh|sealmesh-relay\.service|bin.sealmesh-relay/.test(file)),
  ).toEqual([])
  expect(fs.existsSync(data)).toBe(true)
  expect(script('--uninstall', '--purge', '--root', root)).toMatchObject({ status: 0 })
  expect(fs.existsSync(data)).toBe(false)
})

/** The same relay under another version. */
function anotherBundle(version: string): void {
  const name = `sealmesh-relay-${version}-linux.tar.gz`
  const commands = [
    `mkdir x && tar -xzf sealmesh-relay-*-linux.tar.gz -C x`,
    `sed -i 's/"version": "[^"]*"/"version": "${version}"/' x/node_modules/@sealmesh/relay/package.json`,
    `tar -I 'gzip -1' -cf ${name} -C x node_modules && rm -r x && sha256sum sealmesh-relay-*-linux.tar.gz >SHA256SUMS`,
  ]
  expect(spawnSync('sh', ['-ec', commands.join('\n')], { cwd: tarballs, encoding: 'utf8' })).toMatchObject({
    status: 0,
  })
}

test('it refuses tarballs that were changed on the way, and systems that it does not know', ({ skip }) => {
  skip(!debian, 'this needs dpkg')
  const damaged = path.join(directory, 'damaged')
  fs.mkdirSync(damaged)
  for (const file of fs.readdirSync(tarballs)) fs.copyFileSync(path.join(tarballs, file), path.join(damaged, file))
  const [bundle = ''] = fs.readdirSync(damaged).filter((file) => file.endsWith('-linux.tar.gz'))
  fs.appendFileSync(path.join(damaged, bundle), 'x')
  const empty = tree()
  const refused = script('--from', damaged, '--root', root)
  expect(refused).toMatchObject({ status: 1, stderr: expect.stringContaining('not what SHA256SUMS says') })
  fs.rmSync(path.join(damaged, 'SHA256SUMS'))
  expect(script('--from', damaged, '--root', root).stderr).toContain('SHA256SUMS does not name')
  expect(script('--from', tarballs, '--root', damaged).stderr).toContain('this is for Debian')
  expect(tree()).toEqual(empty)
})

test.each([
  [[], '--from says where'],
  [['--from'], '--from needs a value'],
  [['--frm', 'x'], 'there is no option --frm'],
  [['--from', 'x', '--port', '1; reboot'], 'plain characters only'],
  [['--from', 'x', '--purge'], '--purge belongs to --uninstall'],
])('%j is refused, with the next step', (words, why) => {
  const { status, stdout, stderr } = script(...words)
  expect([status, stdout]).toEqual([1, ''])
  expect(stderr).toContain(why)
  expect(stderr).toContain('\n  next: ')
})
