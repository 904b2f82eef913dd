import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import * as fs from 'node:fs'
import { get } from 'node:https'
import * as os from 'node:os'
import * as path from 'node:path'
import { type Installation, renderUnit } from '@sealmesh/relay/service/unit'
import { afterAll, expect, test } from 'vitest'
import { BIN, REPOSITORY } from '../processes/program.ts'
import { until } from '../processes/wait.ts'
import { endSandboxed, sandboxWorks, startSandboxed } from './sandbox.ts'
import { allowedCalls, readUnitFile, settingOf } from './unit-file.ts'

/** The relay's unit, before somebody else's machine starts it. */

const INSTALLATION: Installation = {
  scope: 'system',
  node: '/usr/bin/node',
  program: '/opt/sealmesh/current/node_modules/@sealmesh/relay/bin/sealmesh-relay.js',
  data: undefined,
  port: undefined,
  tls: undefined,
  options: [],
}
/** Ours, where this test runs. */
const HERE: Installation = { ...INSTALLATION, node: process.execPath, program: BIN.relay }
const CERTIFICATE = { cert: '/etc/a.pem', key: '/etc/b.pem' }
/** What is left at this level, of 100, is what a relay is for: the network; and the compiler in Node. */
const EXPOSURE_MAX = 15

const NO_NAMESPACES = 'this needs root and namespaces'
const NO_SYSTEMD = 'there is no systemd-analyze with --threshold here'
const analyzes = spawnSync('systemd-analyze', ['--help'], { encoding: 'utf8' }).stdout?.includes('--threshold')
const traces = spawnSync('strace', ['-f', 'true']).status === 0

const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'sealmesh-unit-'))
const started: ChildProcess[] = []

afterAll(async () => {
  await endSandboxed(started)
  fs.rmSync(directory, { recursive: true, force: true })
})

test('the unit in infra/ is what `service install` writes for the place that install.sh uses', () => {
  const kept = fs.readFileSync(path.join(REPOSITORY, 'infra/systemd/sealmesh-relay.service'), 'utf8')
  expect(kept).toBe(renderUnit(INSTALLATION))
})

test.for<[string, Installation]>([
  ['plain', HERE],
  ['on a privileged port', { ...HERE, port: 443 }],
  ['with a certificate and a place of its own', { ...HERE, data: '/srv/relay', tls: CERTIFICATE }],
  ['for one user', { ...HERE, scope: 'user', options: ['--public-host', 'a b%c$d'] }],
])('systemd finds nothing wrong with the unit: %s', ([, installation], { skip }) => {
  skip(!analyzes, NO_SYSTEMD)
  const words = ['verify', '--man=no', `--${installation.scope}`, written(installation)]
  const env = { ...process.env, XDG_RUNTIME_DIR: directory }
  const { status, stderr } = spawnSync('systemd-analyze', words, { encoding: 'utf8', env })
  expect(stderr.split('\n').filter((line) => line.includes('sealmesh-relay'))).toEqual([])
  expect(status).toBe(0)
})

test.for<[string, Installation]>([
  ['plain', HERE],
  ['on a privileged port', { ...HERE, port: 443 }],
])('what systemd counts as exposure stays small: %s', ([, installation], { skip }) => {
  skip(!analyzes, NO_SYSTEMD)
  const words = ['security', '--offline=yes', '--no-pager', `--threshold=${EXPOSURE_MAX}`, written(installation)]
  const { status, stdout } = spawnSync('systemd-analyze', words, { encoding: 'utf8' })
  expect(status, stdout).toBe(0)
})

test('every system call and kind of socket that the relay uses is one that the unit lets through', async ({ skip }) => {
  skip(!analyzes || !traces, 'this needs systemd-analyze and strace')
  const unit = readUnitFile(renderUnit(HERE))
  const trace = path.join(directory, 'trace')
  const words = [process.execPath, BIN.relay, 'up', '--json', '--port', '0', '--data', path.join(directory, 'traced')]
  const relay = watched(spawn('strace', ['-f', '-o', trace, ...words], { stdio: ['ignore', 'pipe', 'pipe'] }))
  const { http } = await until('the relay is up', relay.ready)
  expect(await healthOf(http)).toMatchObject({ status: 'ok' })
  const pid = Number(fs.readFileSync(trace, 'utf8').split(' ', 1)[0])
  process.kill(pid, 'SIGTERM')
  await until('the relay has stopped', () => relay.child.exitCode !== null)

  const calls = fs.readFileSync(trace, 'utf8')
  const used = new Set([...calls.matchAll(/^\d+ +([a-z0-9_]+)\(/gm)].map(([, name = '']) => name))
  const allowed = allowedCalls(unit)
  expect(used.has('fsync') && used.has('listen')).toBe(true)
  expect([...used].filter((name) => !allowed.has(name))).toEqual([])
  const families = (settingOf(unit, 'RestrictAddressFamilies') ?? '').split(' ')
  for (const [, family = ''] of calls.matchAll(/ socket\((AF_[A-Z0-9]+)/g)) expect(families).toContain(family)
})

test('the relay starts in what the unit leaves it, answers, and keeps its files to itself', async ({ skip }) => {
  skip(!sandboxWorks, NO_NAMESPACES)
  const { ready, state } = start({ ...HERE, options: ['--json', '--port', '0', '--host', '127.0.0.1'] }, false)
  const { http } = await until('the relay is up', ready)
  expect(await healthOf(http)).toMatchObject({ status: 'ok' })
  const files = fs.readdirSync(state, { recursive: true, encoding: 'utf8' })
  expect(files).toEqual(expect.arrayContaining(['relay.key', 'tls.key', 'claims', 'db/LOG']))
  for (const file of ['', ...files]) expect(fs.statSync(path.join(state, file)).mode & 0o077, file).toBe(0)
})

test('on port 443 it starts with the one right that the unit then asks for, and not without', async ({ skip }) => {
  skip(!sandboxWorks, NO_NAMESPACES)
  const options = ['--json', '--public-host', 'relay.example.org']
  const allowed = start({ ...HERE, port: 443, options }, true)
  const { address } = await until('the relay is up', allowed.ready)
  expect(address).toMatch(/^wss:\/\/relay\.example\.org:443#/)
  const refused = start({ ...HERE, options: [...options, '--port', '443'] }, true)
  await until('the port is refused', () => refused.child.exitCode !== null)
  expect(refused.errors()).toMatch(/EACCES|"code":"/)
})

interface Ready {
  readonly address: string
  readonly http: string
}

function start(installation: Installation, alone: boolean) {
  const parent = fs.mkdtempSync(path.join(directory, 'state-'))
  fs.chmodSync(parent, 0o755)
  const state = path.join(parent, 'sealmesh-relay')
  return { state, ...watched(startSandboxed(readUnitFile(renderUnit(installation)), { parent, alone })) }
}

function watched(child: ChildProcess) {
  started.push(child)
  let [out, err] = ['', '']
  child.stdout?.on('data', (text: Buffer) => {
    out += text.toString()
  })
  child.stderr?.on('data', (text: Buffer) => {
    err += text.toString()
  })
  const ready = (): Ready | undefined => {
    if (child.exitCode !== null) throw new Error(`it ended: ${err}`)
    return out.includes('\n') ? (JSON.parse(out) as Ready) : undefined
  }
  return { child, ready, errors: () => err }
}

function healthOf(http: string): Promise<unknown> {
  return new Promise((resolve, reject) => {
    get(`${http}/healthz`, { rejectUnauthorized: false }, (response) => {
      let body = ''
      response.on('data', (text: Buffer) => {
        body += text.toString()
      })
      response.on('end', () => resolve(JSON.parse(body)))
    }).on('error', reject)
  })
}

function written(installation: Installation): string {
  const file = path.join(fs.mkdtempSync(path.join(directory, 'unit-')), 'sealmesh-relay.service')
  fs.writeFileSync(file, renderUnit(installation))
  return file
}
