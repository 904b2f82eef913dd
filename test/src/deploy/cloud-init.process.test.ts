import { spawn, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import * as fs from 'node:fs'
import { createServer, type Server } from 'node:https'
import type { AddressInfo } from 'node:net'
import * as os from 'node:os'
import * as path from 'node:path'
import { selfSigned } from '@sealmesh/relay/data/certificate'
import { dataDirectory, prepareDataDirectory } from '@sealmesh/relay/data/data-directory'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { parse } from 'yaml'
import { REPOSITORY } from '../processes/program.ts'

/** The user data for a fresh server, with its first start played against a web server of the owner's. */

interface UserData {
  readonly packages: readonly string[]
  readonly write_files: readonly { path: string; permissions: string; content: string }[]
  readonly runcmd: readonly (readonly string[])[]
}

const FILE = path.join(REPOSITORY, 'infra/cloud-init/relay.yaml')
const text = fs.readFileSync(FILE, 'utf8')
const data = parse(text) as UserData
const SETUP = '/usr/local/sbin/sealmesh-relay-setup'
const contentOf = (file: string): string => data.write_files.find((each) => each.path === file)?.content ?? ''

const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'sealmesh-cloud-'))
const web = path.join(directory, 'web')
const setup = path.join(directory, 'setup')
let server: Server
const asked: string[] = []

beforeAll(async () => {
  const relay = dataDirectory(path.join(directory, 'relay'), {})
  await prepareDataDirectory(relay)
  const { key, cert } = await selfSigned(relay, 'localhost', Date.now())
  server = createServer({ key, cert }, (request, response) => {
    asked.push(request.url ?? '')
    const file = path.join(web, path.basename(request.url ?? ''))
    if (fs.existsSync(file)) response.end(fs.readFileSync(file))
    else response.writeHead(404).end()
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  fs.writeFileSync(setup, contentOf(SETUP))
})

afterAll(async () => {
  await new Promise((resolve) => server.close(resolve))
  fs.rmSync(directory, { recursive: true, force: true })
})

test('it is cloud-config, and runs nothing that it does not write or install', () => {
  expect(text.startsWith('#cloud-config\n')).toBe(true)
  expect(data.packages).toEqual(expect.arrayContaining(['nodejs', 'nftables', 'unattended-upgrades', 'curl']))
  const written = data.write_files.map((each) => each.path)
  for (const [program = '', , , service = ''] of data.runcmd) {
    if (program === 'systemctl') expect(data.packages).toContain(service)
    else expect(written).toContain(program)
  }
})

test('cloud-init knows every key', ({ skip }) => {
  const { status, stderr, error } = spawnSync('cloud-init', ['schema', '-c', FILE], { encoding: 'utf8' })
  skip(error !== undefined, 'there is no cloud-init here')
  expect(status, stderr).toBe(0)
})

test('the firewall lets in its owner and the port of the relay, and drops the rest', ({ skip }) => {
  const rules = contentOf('/etc/nftables.conf')
  expect(rules).toMatch(/hook input .*policy drop/)
  const [, port = ''] = /--port (\d+)/.exec(contentOf('/etc/sealmesh-relay.conf')) ?? []
  expect(rules).toContain(`tcp dport { 22, ${port} } accept`)
  const file = path.join(directory, 'nftables.conf')
  fs.writeFileSync(file, rules)
  const { status, stderr, error } = spawnSync('nft', ['-c', '-f', file], { encoding: 'utf8' })
  skip(error !== undefined, 'there is no nft here')
  expect(status, stderr).toBe(0)
})

test('the script of its first start has no fault that a tool finds', () => {
  const checked = spawnSync('shellcheck', [setup], { encoding: 'utf8' })
  const { status, stdout } =
    checked.error === undefined ? checked : spawnSync('sh', ['-n', setup], { encoding: 'utf8' })
  expect([status, stdout]).toEqual([0, ''])
})

test('the first start fetches what the sums name, and installs it only if it is that', async ({ skip }) => {
  skip(spawnSync('curl', ['--version']).error !== undefined, 'there is no curl here')
  // Stands for install.sh: what was handed to it is all that matters here.
  const files = {
    'install.sh': 'echo "$@"; ls "$2"\n',
    'sealmesh-relay-1.2.3-linux.tar.gz': 'a relay',
    'sealmesh-node-1.2.3.tgz': 'not wanted',
  }
  fs.mkdirSync(web)
  for (const [name, content] of Object.entries(files)) fs.writeFileSync(path.join(web, name), content)
  const sums = Object.entries(files).map(([name, content]) => `${sha256(content)}  ${name}\n`)
  fs.writeFileSync(path.join(web, 'SHA256SUMS'), sums.join(''))

  const right = sha256(sums.join(''))
  const { status, out } = await firstStart(right)
  expect(status, out).toBe(0)
  expect(out).toMatch(/^--from \S+ --port 7443\n/)
  expect(out).toContain('sealmesh-relay-1.2.3-linux.tar.gz')
  expect(asked.map((url) => path.basename(url)).toSorted()).toEqual([
    'SHA256SUMS',
    'install.sh',
    'sealmesh-relay-1.2.3-linux.tar.gz',
  ])

  for (const changed of ['install.sh', 'sealmesh-relay-1.2.3-linux.tar.gz', 'SHA256SUMS']) {
    const file = path.join(web, changed)
    const before = fs.readFileSync(file)
    fs.appendFileSync(file, 'echo from the web server\n')
    const refused = await firstStart(right)
    expect(refused.status, changed).not.toBe(0)
    expect(refused.out).not.toContain('--from')
    fs.writeFileSync(file, before)
  }
})

const sha256 = (content: string): string => createHash('sha256').update(content).digest('hex')

/** Not in one breath with the server, which answers meanwhile. */
function firstStart(sums: string): Promise<{ status: number | null; out: string }> {
  const conf = path.join(directory, 'conf')
  const { port } = server.address() as AddressInfo
  const own = contentOf('/etc/sealmesh-relay.conf')
    .replace('https://files.example.org', `https://localhost:${port}`)
    .replace(/^SEALMESH_SUMS=.*$/m, `SEALMESH_SUMS=${sums}`)
  fs.writeFileSync(conf, own)
  const env = { ...process.env, CURL_CA_BUNDLE: path.join(directory, 'relay/tls.crt'), NO_PROXY: '*' }
  const child = spawn('sh', [setup, conf], { env, stdio: ['ignore', 'pipe', 'pipe'] })
  let out = ''
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (chunk: Buffer) => {
      out += chunk.toString()
    })
  return new Promise((resolve) => child.once('close', (status) => resolve({ status, out })))
}
