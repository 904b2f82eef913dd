import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { chmodSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import type { Sodium } from '@sealmesh/protocol/sodium'
import { askRelay } from '@sealmesh/relay/control/client'
import { dataDirectory } from '@sealmesh/relay/data/data-directory'
import { loadSodium } from '@sealmesh/sodium/load'
import { Level } from 'level'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { BIN, runProgram } from '../processes/program.ts'
import { TestMesh } from './mesh.ts'
import { type RunningRelay, startRelay, TestLink, temporaryDirectory } from './running-relay.ts'

/** What a relay refuses to start with, each by its code and exit; and its certificate, pinned or not. */
let sodium: Sodium
let directory: ReturnType<typeof temporaryDirectory>
const relays: RunningRelay[] = []
const links: TestLink[] = []

beforeEach(async () => {
  sodium = await loadSodium()
  directory = temporaryDirectory()
})
afterEach(async () => {
  await Promise.all(links.splice(0).map(({ link }) => link.close()))
  for (const relay of relays.splice(0)) await relay.program.kill()
  directory.remove()
})

const start = async (...flags: string[]): Promise<RunningRelay> => {
  const relay = await startRelay(directory.data, ...flags)
  relays.push(relay)
  return relay
}

/** Runs a verb that must fail, and gives what it says on its last line. */
async function failure(...args: string[]): Promise<Record<string, unknown>> {
  const { program, exit } = await runProgram(BIN.relay, [...args, '--json'], { name: 'relay' })
  const last = program.stderr.toString().trim().split('\n').at(-1) ?? ''
  const { error } = JSON.parse(last) as { error: Record<string, unknown> }
  expect(exit.code).toBe(error['exit'])
  expect(error['message']).toBeTruthy()
  expect(error['next']).toBeTruthy()
  return error
}
const up = (...flags: string[]) => failure('up', '--data', directory.data, '--tls', 'none', '--port', '0', ...flags)

describe('a relay does not start', () => {
  test('on a port that another process has', async () => {
    const server = createServer()
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    const port = String((server.address() as AddressInfo).port)
    expect(await failure('up', '--data', directory.data, '--tls', 'none', '--port', port)).toMatchObject({
      code: 'PORT_IN_USE',
      exit: 6,
    })
    server.close()
  })
  test('on an address that this machine has not got', async () => {
    expect(await failure('up', '--data', directory.data, '--host', '203.0.113.77', '--port', '0')).toMatchObject({
      code: 'ADDRESS_UNAVAILABLE',
      exit: 6,
    })
  })
  test('in a data directory that another relay is using', async () => {
    const relay = await start()
    expect(await up()).toMatchObject({ code: 'HOME_IN_USE', exit: 9 })
    expect(relay.program.running).toBe(true)
  })
  test('on a database of another format', async () => {
    await (await start()).program.stop()
    const db = new Level(join(directory.data, 'db'))
    await db.put('v', '9', { sync: true })
    await db.close()
    expect(await up()).toMatchObject({ code: 'STORE_VERSION', exit: 8 })
  })
  test('on a damaged database', async () => {
    await (await start()).program.stop()
    writeFileSync(join(directory.data, 'db', 'CURRENT'), 'nonsense')
    expect(await up()).toMatchObject({ code: 'STORE_DAMAGED', exit: 7 })
  })
  test('with a truncated key, or one that others can read', async () => {
    await (await start()).program.stop()
    const key = join(directory.data, 'relay.key')
    const text = readFileSync(key, 'utf8')
    expect(statSync(key).mode & 0o777).toBe(0o600)
    expect(statSync(directory.data).mode & 0o777).toBe(0o700)
    writeFileSync(key, text.slice(0, 40))
    expect(await up()).toMatchObject({ code: 'KEY_DAMAGED', exit: 7 })
    writeFileSync(key, text)
    chmodSync(key, 0o644)
    expect(await up()).toMatchObject({ code: 'MODES_TOO_WIDE', exit: 6 })
  })
  test('in a place where there can be no directory', async () => {
    writeFileSync(join(directory.path, 'file'), '')
    const data = join(directory.path, 'file', 'data')
    expect(await failure('up', '--data', data, '--port', '0')).toMatchObject({ code: 'HOME_UNUSABLE', exit: 6 })
  })
  test('without TLS beyond loopback, or with flags that make no sense', async () => {
    expect(await up('--host', '0.0.0.0')).toMatchObject({ code: 'USAGE', exit: 2 })
    for (const flags of [['--port', 'x'], ['--log-level', 'loud'], ['--cert', 'only.pem'], ['--nonsense']])
      expect(await failure('up', '--data', directory.data, ...flags)).toMatchObject({ code: 'USAGE', exit: 2 })
  })
})

test('claim and status say when there is no relay', async () => {
  expect(await failure('claim', '--data', directory.data)).toMatchObject({ code: 'HOME_UNUSABLE' })
  expect(await failure('status', '--data', directory.data)).toMatchObject({ code: 'RELAY_UNREACHABLE', exit: 3 })
})

describe('a self-signed certificate', () => {
  test('is pinned by the address, is the same after a restart, and answers status', async () => {
    const relay = await start('--tls', 'self-signed')
    const mesh = new TestMesh(sodium, 'tls')
    const founder = mesh.member('founder', { code: relay.claim ?? '' })
    const link = new TestLink(relay.address, founder, sodium)
    links.push(link)
    await link.live()
    const { objects } = await runProgram(BIN.relay, ['status', '--json', '--data', directory.data], { name: 'status' })
    expect(objects[0]).toMatchObject({
      address: relay.address,
      status: 'ok',
      connections: { total: 1, active: 1 },
      mailboxes: 0,
    })
    await relay.program.stop()
    const again = await start('--tls', 'self-signed', '--port', new URL(relay.address).port)
    expect(again.address).toBe(relay.address)
    expect(again.claim).toBeNull()
    await link.live()
  })
  test('T-network-1: that is another one is refused before anything is said', async () => {
    const relay = await start('--tls', 'self-signed')
    const founder = new TestMesh(sodium, 'tls').member('founder', { code: relay.claim ?? '' })
    for (const address of [
      relay.address.replace(/pin=[0-9a-f]{64}/, `pin=${createHash('sha256').update('x').digest('hex')}`),
      // Without a pin the machine's authorities decide, and none knows it.
      relay.address.replace(/&pin=[0-9a-f]{64}/, ''),
    ]) {
      const link = new TestLink(address, founder, sodium)
      links.push(link)
      expect(await link.refusal()).toBe('RELAY_WRONG_PIN')
    }
    const metrics = relay.program.stderr.toString()
    expect(metrics).not.toContain('a node is connected')
  })
  test('from files is not pinned, and a broken one is refused', async () => {
    const relay = await start('--tls', 'self-signed')
    await relay.program.stop()
    const [cert, key] = [join(directory.path, 'c.pem'), join(directory.path, 'k.pem')]
    writeFileSync(cert, readFileSync(join(directory.data, 'tls.crt')))
    writeFileSync(key, readFileSync(join(directory.data, 'tls.key')))
    const files = await start('--tls', 'files', '--cert', cert, '--key', key)
    expect(files.address).not.toContain('pin=')
    await files.program.stop()
    writeFileSync(key, 'no key')
    expect(await failure('up', '--data', directory.data, '--port', '0', '--cert', cert, '--key', key)).toMatchObject({
      code: 'KEY_DAMAGED',
    })
    rmSync(key)
    expect(await failure('up', '--data', directory.data, '--port', '0', '--cert', cert, '--key', key)).toMatchObject({
      code: 'FILE_NOT_FOUND',
    })
  })
})

test('T-curious-4: logs, metrics and health name no id, and count what happened', async () => {
  const relay = await start('--log-level', 'debug')
  const mesh = new TestMesh(sodium, 'logs')
  const [alice, bob] = [mesh.member('alice', { code: relay.claim ?? '' }), mesh.member('bob')]
  for (const member of [bob, alice]) {
    const link = new TestLink(relay.address, alice === member ? alice : bob, sodium)
    links.push(link)
    if (member === alice) await link.live()
  }
  const packet = mesh.packet([bob.mailbox, alice.mailbox], Date.now() + 60_000)
  const sender = links[1]
  sender?.link.send(packet.bytes)
  await sender?.answered(packet.id)
  const { text: metrics } = await askRelay(dataDirectory(relay.data, {}), '/metrics')
  expect(metrics).toMatch(/sealmesh_relay_packets_total\{outcome="delivered"\} [1-9]/)
  expect(metrics).toMatch(/sealmesh_relay_logins_total [1-9]/)
  expect((await fetch(`${relay.http}/readyz`)).status).toBe(200)
  for (const path of ['/metrics', '/other']) expect((await fetch(`${relay.http}${path}`)).status).toBe(404)
  await relay.program.stop()
  const said = metrics + relay.program.stderr.toString()
  expect(said).toContain('a node is connected')
  const secrets = [mesh.id, alice.mailbox, bob.mailbox, packet.id, relay.claim ?? '-']
  for (const secret of secrets) {
    expect(said).not.toContain(secret)
    expect(said).not.toContain(secret.slice(0, 12))
  }
})
