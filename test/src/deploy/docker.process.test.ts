import { type ChildProcess, spawnSync } from 'node:child_process'
import * as fs from 'node:fs'
import * as os from 'node:os'
import * as path from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { parse } from 'yaml'
import { BIN, Program, REPOSITORY } from '../processes/program.ts'
import { until } from '../processes/wait.ts'
import { readDockerfile } from './dockerfile.ts'
import { endSandboxed, runSandboxed, sandboxWorks, STATE, startSandboxed, stopSandboxed } from './sandbox.ts'

/** What can be said of the image without an engine to build it: its files, its commands, and who runs them. */

const DOCKER = path.join(REPOSITORY, 'infra/docker')
const instructions = readDockerfile(fs.readFileSync(path.join(DOCKER, 'Dockerfile'), 'utf8'))
const last = instructions.at(-1)?.stage
const final = (name: string) => instructions.find((each) => each.stage === last && each.name === name)
const IMAGE_PROGRAM = '/opt/sealmesh/node_modules/@sealmesh/relay/bin/sealmesh-relay.js'

const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'sealmesh-docker-'))
const started: ChildProcess[] = []

afterAll(async () => {
  await endSandboxed(started)
  fs.rmSync(directory, { recursive: true, force: true })
})

describe('the image', () => {
  test('every file that it copies is here, and is not kept from the builder', () => {
    const ignore = fs.readFileSync(path.join(DOCKER, 'Dockerfile.dockerignore'), 'utf8').split('\n')
    const copied = instructions
      .filter(({ name, text }) => name === 'COPY' && !text.startsWith('--from'))
      .flatMap(({ text }) => text.split(/\s+/).slice(0, -1))
    expect(copied.length).toBeGreaterThan(5)
    for (const file of copied) {
      expect(fs.existsSync(path.join(REPOSITORY, file)), file).toBe(true)
      expect(ignore, 'after *, which keeps everything back').toContain(`!${file}`)
    }
    expect(ignore.filter((line) => !/^(#|$)/.test(line))[0]).toBe('*')
  })

  test('the stage that runs is another than the one that builds, and takes one folder from it', () => {
    const taken = instructions.filter(({ stage, name }) => stage === last && name === 'COPY')
    expect(taken.map(({ text }) => text)).toEqual(['--from=build /src/out/relay /opt/sealmesh'])
    expect(instructions.filter(({ name }) => name === 'FROM').map(({ text }) => text)).toEqual([
      'node:20-bookworm-slim AS build',
      'node:20-bookworm-slim',
    ])
  })

  test('nothing in it runs as root, and its data is a volume', () => {
    expect(final('USER')?.text).toMatch(/^[1-9]\d{3,}:[1-9]\d{3,}$/)
    expect(final('VOLUME')?.text).toBe('/data')
    expect(final('STOPSIGNAL')?.text).toBe('SIGTERM')
  })
})

test('its command line starts as nobody on a read-only root, is found healthy, and stops at its signal', async ({
  skip,
}) => {
  skip(!sandboxWorks, 'this needs root and namespaces')
  const own = (words: readonly string[] = []): string[] =>
    words.map((word) => (word === IMAGE_PROGRAM ? BIN.relay : word))
  const [runtime = '', ...entry] = own(final('ENTRYPOINT')?.words)
  const command = [...entry, ...own(final('CMD')?.words), '--json', '--port', '0', '--data', '%S/data']
  expect([runtime, entry, final('CMD')?.words]).toEqual(['node', [BIN.relay], ['up']])
  const parent = fs.mkdtempSync(path.join(directory, 'state-'))
  fs.chmodSync(parent, 0o755)
  const settings = {
    ExecStart: [process.execPath, ...command].join(' '),
    StateDirectory: 'data',
    StateDirectoryMode: '0700',
    ProtectSystem: 'strict',
    PrivateTmp: 'yes',
    PrivateDevices: 'yes',
    NoNewPrivileges: 'yes',
    LimitNOFILE: '65536',
    LimitCORE: '0',
  }
  const unit = new Map(Object.entries(settings).map(([name, value]) => [name, [value]]))
  const child = startSandboxed(unit, { parent, alone: false })
  started.push(child)
  let out = ''
  child.stdout?.on('data', (text: Buffer) => {
    out += text.toString()
  })
  await until('the relay is up', () => out.includes('"address"'))

  const [checker = '', ...check] = own(final('HEALTHCHECK')?.words)
  expect(checker).toBe('node')
  // In a container it runs beside the relay.
  const health = () =>
    runSandboxed(child, [process.execPath, ...check], {
      PATH: process.env['PATH'],
      SEALMESH_RELAY_DATA: `${STATE}/data`,
    })
  expect(health()).toBe(0)
  const stopped = new Promise((resolve) => child.once('exit', resolve))
  stopSandboxed(child, 'SIGTERM')
  expect(await stopped).toBe(0)
  const env = { ...process.env, SEALMESH_RELAY_DATA: path.join(parent, 'data') }
  expect(spawnSync(process.execPath, check, { env }).status).toBe(3)
})

interface Compose {
  readonly services: Readonly<Record<string, Service>>
  readonly volumes: Readonly<Record<string, unknown>>
}
interface Service {
  readonly build?: { readonly context: string; readonly dockerfile: string }
  readonly command?: readonly string[]
  readonly volumes: readonly string[]
  readonly read_only: boolean
  readonly cap_drop: readonly string[]
  readonly security_opt: readonly string[]
  readonly network_mode?: string
}

describe.each(['compose.yaml', 'compose.pinned.yaml'])('%s', (name) => {
  const { services, volumes } = parse(fs.readFileSync(path.join(DOCKER, name), 'utf8')) as Compose

  test('names files and volumes that are there', () => {
    for (const { build, volumes: used } of Object.values(services)) {
      if (build) expect(fs.existsSync(path.join(DOCKER, build.context, build.dockerfile))).toBe(true)
      for (const [from = ''] of used.map((each) => each.split(':'))) {
        if (from.startsWith('.')) expect(fs.statSync(path.join(DOCKER, from)).isFile()).toBe(true)
        else expect(Object.keys(volumes)).toContain(from)
      }
    }
  })

  test('gives each service a root that it cannot write, and no right beyond what it needs', () => {
    for (const service of Object.values(services)) {
      expect(service).toMatchObject({ read_only: true, cap_drop: ['ALL'], security_opt: ['no-new-privileges:true'] })
    }
  })

  test('its options of the relay are ones that the relay knows', () => {
    const command = services['relay']?.command ?? []
    const help = spawnSync(process.execPath, [BIN.relay, 'up', '--help'], { encoding: 'utf8' }).stdout
    for (const option of command.filter((word) => word.startsWith('--'))) expect(help).toContain(`  ${option} `)
    expect(command[0]).toBe('up')
  })
})

test('a relay without TLS is reached by nobody but the Caddy beside it, and prints what nodes dial', async () => {
  const { services } = parse(fs.readFileSync(path.join(DOCKER, 'compose.yaml'), 'utf8')) as Compose
  expect(services['caddy']?.network_mode).toBe('service:relay')
  expect(fs.readFileSync(path.join(DOCKER, 'Caddyfile'), 'utf8')).toContain('reverse_proxy 127.0.0.1:7443\n')
  const command = (services['relay']?.command ?? []).map((word) =>
    word.replace(/\$\{SEALMESH_DOMAIN:[^}]*\}/, 'relay.example.org'),
  )
  const parent = fs.mkdtempSync(path.join(directory, 'caddy-'))
  const relay = new Program(BIN.relay, [...command, '--json', '--port', '0', '--data', path.join(parent, 'data')], {
    name: 'relay behind Caddy',
  })
  try {
    const said = await relay.line((line) => (typeof line['address'] === 'string' ? line : undefined))
    expect(said['address']).toMatch(/^wss:\/\/relay\.example\.org#relay=[0-9a-f]{64}$/)
    expect(said['http']).toMatch(/^http:\/\/127\.0\.0\.1:/)
  } finally {
    await relay.stop()
  }
})

test('Caddy takes the Caddyfile', ({ skip }) => {
  const words = ['validate', '--adapter', 'caddyfile', '--config', path.join(DOCKER, 'Caddyfile')]
  const env = { ...process.env, SEALMESH_DOMAIN: 'relay.example.org', HOME: directory }
  const { status, stderr, error } = spawnSync('caddy', words, { encoding: 'utf8', env })
  skip(error !== undefined, 'there is no caddy here')
  expect(status, stderr).toBe(0)
})
