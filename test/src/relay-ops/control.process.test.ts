import { X509Certificate } from 'node:crypto'
import { chmodSync, copyFileSync, lstatSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { request } from 'node:http'
import * as path from 'node:path'
import { connect } from 'node:tls'
import type { Sodium } from '@sealmesh/protocol/sodium'
import type { RelayStatus } from '@sealmesh/relay/control/status'
import { loadSodium } from '@sealmesh/sodium/load'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { until } from '../processes/wait.ts'
import { type Member, TestMesh } from '../relay/mesh.ts'
import {
  healthOf,
  portOf,
  type RunningRelay,
  startRelay,
  TestLink,
  temporaryDirectory,
} from '../relay/running-relay.ts'
import { logOf, relayVerb } from './relay-verb.ts'

/** The owner's verbs against a real relay: limits, evictions, admission, and a relay that is not there. */

let sodium: Sodium
let directory: ReturnType<typeof temporaryDirectory>
let relay: RunningRelay
let mesh: TestMesh
let [alice, bob]: Member[] = []
const links: TestLink[] = []

beforeEach(async () => {
  sodium = await loadSodium()
  directory = temporaryDirectory()
})
afterEach(async () => {
  await Promise.all(links.splice(0).map(({ link }) => link.close()))
  await relay.program.kill()
  directory.remove()
})

async function begin(...flags: readonly string[]): Promise<void> {
  relay = await startRelay(directory.data, ...flags)
  mesh = new TestMesh(sodium, `control ${process.pid}`)
  alice = mesh.member('alice', relay.claim === null ? {} : { code: relay.claim })
  bob = mesh.member('bob')
}
const verb = (...words: string[]) => relayVerb(directory.data, ...words)
function open(member: Member | undefined): TestLink {
  const link = new TestLink(relay.address, member as Member, sodium)
  links.push(link)
  return link
}
const writeConfig = (text: string): void => {
  mkdirSync(directory.data, { recursive: true, mode: 0o700 })
  writeFileSync(path.join(directory.data, 'relay.toml'), text)
}
async function store(sender: TestLink, packets: number, bytes = 10_000): Promise<string[]> {
  const outcomes: string[] = []
  for (let n = 0; n < packets; n++) {
    const packet = mesh.packet([(bob as Member).mailbox], Date.now() + 3_600_000, bytes)
    sender.link.send(packet.bytes)
    outcomes.push(await sender.answered(packet.id))
  }
  return outcomes
}
const meshName = async (): Promise<string> => (await healthOf(relay)).meshes[0]?.mesh ?? ''

describe('limits', () => {
  test('change while it runs by the verb and by SIGHUP, and a mailbox over its new quota refuses and keeps', async () => {
    writeConfig('[limits]\nmailbox_packets_max = 100\n')
    await begin('--limit', 'stall_ms=20000')
    const sender = await open(alice).live()
    expect(await store(sender, 5)).toEqual(Array.from({ length: 5 }, () => 'stored'))

    writeConfig('[limits]\nmailbox_packets_max = 5\nstall_ms = 2000\n[listen]\nport = 1\n[log]\nlevel = "debug"\n')
    const { json } = await verb('limits', 'reload', '--json')
    // The command line stays above the file.
    expect(json).toEqual({
      changed: [
        { key: 'limits.mailbox_packets_max', from: 100, to: 5 },
        { key: 'log.level', from: 'info', to: 'debug' },
      ],
      restart: [],
    })
    expect(await store(sender, 1)).toEqual(['QUOTA_PACKETS'])
    const { storedPackets, near } = await healthOf(relay)
    expect(storedPackets).toBe(5)
    expect(near).toEqual([{ limit: 'mailbox_packets_max', mesh: await meshName(), used: 5, max: 5 }])
    const { out } = await verb('limits')
    expect(out).toMatch(/^mailbox_packets_max +5 +file$/m)
    expect(out).toMatch(/^stall_ms +20000 +ms +flag$/m)
    expect(out).toMatch(/^mesh_bytes_max +2147483648 +bytes +default$/m)

    writeConfig('[limits]\nmailbox_packets_max = 7\n')
    relay.program.child.kill('SIGHUP')
    await until('it has read them', () => logOf(relay.program).filter(({ changed }) => changed !== undefined)[1])
    expect(await store(sender, 3)).toEqual(['stored', 'stored', 'QUOTA_PACKETS'])
    const said = logOf(relay.program).find(({ changed }) => changed !== undefined)
    expect(said).toMatchObject({ changed: json['changed'] })
  })

  test('in a file that is wrong change nothing, and the answer names file, line and key', async () => {
    await begin()
    const before = (await verb('limits', '--json')).out
    writeConfig('[log]\nlevel = "silent"\n[limits]\nmailbox_packets_max = 0\n')
    const { json, code } = await verb('limits', 'reload', '--json')
    expect(code).toBe(2)
    expect(json['code']).toBe('CONFIG_INVALID')
    expect(json['message']).toContain('relay.toml:4 limits.mailbox_packets_max: expected a whole number between 1')
    expect((await verb('limits', '--json')).out).toBe(before)
    expect(logOf(relay.program).some(({ level }) => level === 50)).toBe(true)
    expect((await verb('config', 'check', '--json')).code).toBe(2)
  })
})

describe('evict', () => {
  test('ends a mesh’s connections, with --mailboxes drops what is stored, and asks first', async () => {
    await begin()
    const sender = await open(alice).live()
    await store(sender, 3)
    const name = await meshName()
    expect(name).toMatch(/^[0-9a-f]{10}$/)
    const unasked = await verb('evict', name, '--mailboxes', '--json')
    expect(unasked.json).toMatchObject({ code: 'USAGE', next: 'the same with --yes' })
    expect(unasked.json['message']).toContain('End 1 connections')
    expect((await healthOf(relay)).storedPackets).toBe(3)
    // The beginning of a name is enough.
    expect((await verb('evict', name.slice(0, 6), '--mailboxes', '--yes', '--json')).json).toEqual({
      connections: 1,
      packets: 3,
    })
    await until('it is told', () => sender.events.find((event) => event.type === 'down'))
    expect(await sender.refusal()).toBe('RELAY_CLOSED')
    expect(await healthOf(relay)).toMatchObject({ storedPackets: 0, dropped: { EVICTED: 3 } })
    expect((await verb('evict', 'ffff', '--yes', '--json')).json).toMatchObject({ code: 'ITEM_NOT_FOUND' })
  })

  test('takes a login by the name that the log has for it', async () => {
    await begin()
    const [first, second] = [await open(alice).live(), await open(bob).live()]
    const logins = logOf(relay.program).filter(({ msg }) => msg === 'a node is connected')
    expect((await verb('evict', String(logins[1]?.['login']), '--yes', '--json')).json).toMatchObject({
      connections: 1,
    })
    await until('it is told', () => second.has('down'))
    expect(first.has('down')).toBe(false)
  })
})

describe('admission', () => {
  test('of a mesh that was removed is over, also after a restart, and comes back by its name', async () => {
    await begin()
    const here = await open(alice).live()
    const name = await meshName()
    expect((await verb('admit', 'remove', name, '--json')).json).toMatchObject({ code: 'USAGE' })
    expect((await verb('admit', 'remove', name, '--yes', '--json')).json).toEqual({ mesh: name, connections: 1 })
    expect(await here.refusal()).toBe('MESH_NOT_ADMITTED')
    await here.link.close()
    await relay.program.kill()
    relay = await startRelay(directory.data)
    expect(await open(bob).refusal()).toBe('MESH_NOT_ADMITTED')
    expect((await verb('admit', 'ls')).out).toContain('not admitted any more')
    expect((await verb('admit', 'add', name, '--json')).json).toEqual({ mesh: name })
    await open(mesh.member('carol')).live()
  })

  test('by a list opens to whom its owner names, and to no code', async () => {
    await begin()
    const { json } = await verb('claim', '--json')
    await relay.program.stop()
    await begin('--admission', 'list')
    expect(relay.claim).toBeNull()
    const early = mesh.member('dora', { code: String(json['claim']) })
    expect(await open(early).refusal()).toBe('CLAIM_INVALID')
    expect((await verb('claim', '--json')).json).toMatchObject({ code: 'USAGE' })
    expect((await verb('admit', 'add', mesh.id, '--json')).code).toBe(0)
    await open(bob).live()
    expect((await verb('admit', 'ls', '--json')).json).toMatchObject({ admission: 'list', meshes: [{ connected: 1 }] })
  })
})

test('the socket is its owner’s alone, also where the path is too long for one', async () => {
  const deep = path.join(directory.path, 'd'.repeat(100))
  relay = await startRelay(deep)
  const { control } = JSON.parse(readFileSync(path.join(deep, 'running.json'), 'utf8')) as { control: string }
  expect(Buffer.byteLength(control)).toBeLessThan(103)
  expect(lstatSync(control).mode & 0o777).toBe(0o600)
  expect(lstatSync(path.dirname(control)).mode & 0o777).toBe(0o700)
  expect((await relayVerb(deep, 'status')).out).toContain('no mesh yet')
  await relay.program.stop()
  expect(() => lstatSync(path.dirname(control))).toThrow()
})

test('a request that is no verb’s is refused, and the relay goes on', async () => {
  await begin()
  const { control } = JSON.parse(readFileSync(path.join(directory.data, 'running.json'), 'utf8')) as { control: string }
  const ask = (where: string, body: string): Promise<number> =>
    new Promise((resolve, reject) => {
      const headers = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) }
      const asked = request({ socketPath: control, path: where, method: 'POST', headers }, (response) => {
        response.resume()
        resolve(response.statusCode ?? 0)
      })
      asked.on('error', reject)
      asked.end(body)
    })
  expect(await ask('/evict', '{"name":3}')).toBe(400)
  expect(await ask('/evict', 'no json')).toBe(400)
  expect(await ask('/evict', JSON.stringify({ name: 'x'.repeat(10_000) }))).toBe(400)
  expect(await ask('/nothing', '{}')).toBe(404)
  expect((await verb('status', '--json')).json).toMatchObject({ status: 'ok' } satisfies Partial<RelayStatus>)
})

test('of a relay that is not there every verb says so, with the next command', async () => {
  await begin()
  await relay.program.kill()
  for (const words of [
    ['status'],
    ['limits'],
    ['limits', 'reload'],
    ['admit', 'ls'],
    ['evict', 'abcd', '--yes'],
    ['sees'],
    ['metrics'],
  ]) {
    const { json, code } = await verb(...words, '--json')
    expect([words, code, json['code']]).toEqual([words, 3, 'RELAY_UNREACHABLE'])
    expect(json['next']).toContain('sealmesh-relay up')
  }
  // A claim is a file, and waits for it.
  expect((await verb('claim')).out).toMatch(/^[0-9A-Z]{5}(-[0-9A-Z]{5}){3}\n$/)
})

test('the doctor passes a relay that is well, and names what is not, with what to do', async () => {
  await begin()
  type Report = { checks: { name: string; state: string; next: string | null }[] }
  const failed = (json: unknown): string[] =>
    (json as Report).checks.filter(({ state }) => state === 'fail').map(({ name }) => name)
  const well = await verb('doctor', '--json')
  expect(failed(well.json)).toEqual([])
  expect(well.code).toBe(0)
  expect((well.json as unknown as Report).checks.map(({ name }) => name)).toContain('fsync')
  await relay.program.kill()
  chmodSync(path.join(directory.data, 'relay.key'), 0o644)
  writeConfig('[log]\nlevel = "loud"\n')
  const ill = await verb('doctor', '--json')
  expect(failed(ill.json)).toEqual(['data', 'config', 'relay'])
  expect(ill.code).toBe(6)
  expect(ill.err).toContain('CHECKS_FAILED')
  expect((ill.json as unknown as Report).checks.find(({ name }) => name === 'data')?.next).toMatch(/^chmod go= /)
})

test('a certificate that was renewed is shown after a reload, and one that cannot be used changes nothing', async () => {
  const [cert, key] = [path.join(directory.path, 'cert.pem'), path.join(directory.path, 'key.pem')]
  const made: string[] = []
  for (const name of ['one', 'two']) {
    const other = path.join(directory.path, name)
    relay = await startRelay(other, '--tls', 'self-signed')
    await relay.program.stop()
    made.push(other)
  }
  const take = (from: string | undefined): void => {
    copyFileSync(path.join(from ?? '', 'tls.crt'), cert)
    copyFileSync(path.join(from ?? '', 'tls.key'), key)
  }
  const fingerprintOf = (from: string | undefined): string =>
    new X509Certificate(readFileSync(path.join(from ?? '', 'tls.crt'))).fingerprint256
  const shown = (): Promise<string> =>
    new Promise((resolve, reject) => {
      const socket = connect({ port: Number(portOf(relay)), host: '127.0.0.1', rejectUnauthorized: false }, () => {
        resolve(socket.getPeerCertificate().fingerprint256)
        socket.destroy()
      })
      socket.on('error', reject)
    })
  take(made[0])
  await begin('--tls', 'files', '--cert', cert, '--key', key)
  expect(await shown()).toBe(fingerprintOf(made[0]))
  take(made[1])
  expect((await verb('limits', 'reload', '--json')).code).toBe(0)
  expect(await shown()).toBe(fingerprintOf(made[1]))
  writeFileSync(key, 'no key')
  writeConfig('[limits]\nstall_ms = 3000\n')
  expect((await verb('limits', 'reload', '--json')).json).toMatchObject({ code: 'KEY_DAMAGED' })
  expect(await shown()).toBe(fingerprintOf(made[1]))
  expect((await verb('limits')).out).toMatch(/^stall_ms +10000 +ms +default$/m)
})
