import { randomBytes } from 'node:crypto'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Sodium } from '@sealmesh/protocol/sodium'
import { selfSigned } from '@sealmesh/relay/data/certificate'
import { dataDirectory } from '@sealmesh/relay/data/data-directory'
import { loadSodium } from '@sealmesh/sodium/load'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { BIN, Program, REPOSITORY } from '../processes/program.ts'
import { until } from '../processes/wait.ts'
import { TestMesh } from '../relay/mesh.ts'
import { TestLink } from '../relay/running-relay.ts'
import { ClusterRelays } from './cluster-relays.ts'
import { operated } from './nats-credentials.ts'
import { NatsServers } from './nats-servers.ts'

/** Relays that reach NATS by TLS and have to say who they are, with no more rights than docs/relay/cluster.md gives. */
const directory = mkdtempSync(join(tmpdir(), 'sealmesh-secured-'))
const password = randomBytes(16).toString('hex')
const { publish, subscribe } = documentedRights()
let sodium: Sodium
let certificate: string
let tls: string
const ends: (() => Promise<void>)[] = []

beforeAll(async () => {
  sodium = await loadSodium()
  const own = dataDirectory(join(directory, 'certificate'), {})
  mkdirSync(own.path, { mode: 0o700 })
  await selfSigned(own, '127.0.0.1', Date.now())
  certificate = own.tlsCertificate
  tls = `tls { cert_file: ${JSON.stringify(own.tlsCertificate)}, key_file: ${JSON.stringify(own.tlsKey)} }`
})
afterAll(async () => {
  for (const end of ends.toReversed()) await end()
  rmSync(directory, { recursive: true, force: true })
})

/** The rights that the page tells its readers to give. */
function documentedRights(): { publish: string[]; subscribe: string[] } {
  const page = readFileSync(join(REPOSITORY, 'docs/relay/cluster.md'), 'utf8')
  const [, publish = '', subscribe = ''] = /permissions \{ publish: \[(.*?)\], subscribe: \[(.*?)\] \}/.exec(page) ?? []
  const listed = (text: string): string[] => JSON.parse(`[${text}]`) as string[]
  return { publish: listed(publish), subscribe: listed(subscribe) }
}

async function secured(name: string, blocks: string): Promise<{ home: string; address: string }> {
  const home = join(directory, name)
  mkdirSync(home)
  const servers = await NatsServers.start(home, 1, `${tls}\n${blocks}`)
  ends.push(() => servers.stop())
  return { home, address: servers.addresses.replace('nats:', 'tls:') }
}

/** What is stored through one relay is read through another. */
async function carries({ home, address }: { home: string; address: string }, env: Record<string, string>) {
  const relays = await ClusterRelays.start(home, [address, address], { SEALMESH_NATS_CA: certificate, ...env })
  ends.push(() => relays.stop())
  const mesh = new TestMesh(sodium, 'secured')
  const [alice, bob] = [mesh.member('alice', { code: await relays.claim() }), mesh.member('bob')]
  const sender = await new TestLink(relays.at(0).address, alice, sodium).live()
  const packet = mesh.packet([bob.mailbox], Date.now() + 3_600_000)
  sender.link.send(packet.bytes)
  expect(await sender.answered(packet.id)).toBe('stored')
  const reader = await new TestLink(relays.at(1).address, bob, sodium).live()
  expect(await reader.received(1)).toEqual([packet.bytes])
  await Promise.all([sender.link.close(), reader.link.close()])
  return relays
}

test('with a user and a password', async () => {
  const rights = `permissions { publish: ${JSON.stringify(publish)}, subscribe: ${JSON.stringify(subscribe)} }`
  const log = join(directory, 'nats.log')
  const place = await secured(
    'password',
    `authorization { user: relay, password: "${password}", ${rights} }\nlog_file: ${JSON.stringify(log)}`,
  )
  const relays = await carries(place, { SEALMESH_NATS_USER: 'relay', SEALMESH_NATS_PASSWORD: password })
  for (const { program } of relays.all) expect(program.stderr.toString()).not.toContain(password)
  /** How often the server says so; whoever only looks whether it listens is one of them. */
  const failures = (why: string): number => readFileSync(log, 'utf8').split(`${why} error`).length

  for (const [env, why] of [
    [
      { SEALMESH_NATS_CA: certificate, SEALMESH_NATS_USER: 'relay', SEALMESH_NATS_PASSWORD: 'guessed' },
      'authentication',
    ],
    // A server that nobody vouches for is told nothing.
    [{ SEALMESH_NATS_USER: 'relay', SEALMESH_NATS_PASSWORD: password }, 'TLS handshake'],
  ] as const) {
    const args = ['up', '--tls', 'none', '--port', '0', '--data', join(place.home, why), '--cluster', place.address]
    const before = failures(why)
    const stranger = new Program(BIN.relay, args, { name: 'stranger', env })
    try {
      await until(`${why} fails again and again`, () => failures(why) > before + 1)
    } finally {
      await stranger.kill()
    }
  }
})

test('with a credentials file', async () => {
  const { blocks, credentials } = operated(publish, subscribe)
  const place = await secured('credentials', blocks)
  const file = join(directory, 'relay.creds')
  writeFileSync(file, credentials, { mode: 0o600 })
  await carries(place, { SEALMESH_NATS_CREDENTIALS: file })
})
