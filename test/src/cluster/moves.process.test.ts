import { createHash } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect, type NatsConnection } from '@nats-io/transport-node'
import { packetIdAt } from '@sealmesh/protocol/envelope/header'
import type { ChunkId, SlotId } from '@sealmesh/protocol/ids'
import type { Sodium } from '@sealmesh/protocol/sodium'
import { signRevocation } from '@sealmesh/protocol/wire/revocation'
import { hashOfBlob, SLOT_BLOB_BYTES } from '@sealmesh/protocol/wire/slot'
import { vaultOf } from '@sealmesh/protocol/wire/vault'
import {
  chunkSubject,
  homeSubject,
  packetSubject,
  shardOf,
  shardStream,
  VAULT_STREAM,
} from '@sealmesh/relay/cluster/subjects'
import { loadSodium } from '@sealmesh/sodium/load'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { until } from '../processes/wait.ts'
import { type Member, TestMesh } from '../relay/mesh.ts'
import { TestLink } from '../relay/running-relay.ts'
import { ClusterRelays } from './cluster-relays.ts'
import { NatsServers } from './nats-servers.ts'

/**
 * What a home keeps beside packets that wait, over a real server: what one relay was told the other one knows, also
 * when the home is killed. The tests are one story, in order; relay 0 is the home of the mesh until the last.
 */
const SLOT = '5a'.repeat(32) as SlotId
const ROUNDS = 10
const CHUNK_BYTES = 100_000
const LIVES_MS = 3_600_000

const directory = mkdtempSync(join(tmpdir(), 'sealmesh-moves-'))
const links: TestLink[] = []
let sodium: Sodium
let servers: NatsServers
let relays: ClusterRelays
let nats: NatsConnection
let mesh: TestMesh
let alice: TestLink
let bob: TestLink

beforeAll(async () => {
  sodium = await loadSodium()
  servers = await NatsServers.start(directory, 1)
  relays = await ClusterRelays.start(directory, [servers.addresses, servers.addresses])
  nats = await connect({ servers: servers.addresses.replace('nats://', '') })
  mesh = new TestMesh(sodium, 'moves')
  alice = await open(0, mesh.member('alice', { admin: true, code: await relays.claim() }))
  bob = await open(1, mesh.member('bob'))
})
afterAll(async () => {
  for (const { link } of links) await link.close()
  await nats?.close()
  await relays?.stop()
  await servers?.stop()
  rmSync(directory, { recursive: true, force: true })
})

async function open(at: number, member: Member): Promise<TestLink> {
  const link = new TestLink(relays.at(at).address, member, sodium)
  links.push(link)
  return await link.live()
}

/** How many messages lie under a subject. */
async function lying(stream: string, subject: string): Promise<number> {
  const said = await nats.request(`$JS.API.STREAM.INFO.${stream}`, JSON.stringify({ subjects_filter: subject }))
  return said.json<{ state: { subjects?: Record<string, number> } }>().state.subjects?.[subject] ?? 0
}
const waitingFor = ({ mailbox }: Member): Promise<number> =>
  lying(shardStream(shardOf(mesh.id)), packetSubject(mesh.id, mailbox))

const blobOf = (what: string): Uint8Array => new Uint8Array(Buffer.alloc(SLOT_BLOB_BYTES, what))
const hashOf = (blob: Uint8Array | null) => (blob === null ? null : hashOfBlob(blob, sodium))
const chunkOf = (what: string): { chunk: ChunkId; bytes: Uint8Array } => ({
  chunk: createHash('sha256').update(what).digest('hex') as ChunkId,
  bytes: new Uint8Array(Buffer.alloc(CHUNK_BYTES, what)),
})

test('of two at different relays that set a slot at once one succeeds, each time, and both read the same', async () => {
  let there: Uint8Array | null = null
  for (let round = 0; round < ROUNDS; round++) {
    const expected = hashOf(there)
    const answers = await Promise.all(
      [alice, bob].map(({ link }, at) =>
        link.slot({ type: 'setSlot', slot: SLOT, expected, leastAgeMs: 0, blob: blobOf(`${round} by ${at}. `) }),
      ),
    )
    expect(answers.map(({ receipt }) => receipt.result).toSorted()).toEqual(['differs', 'set'])
    there = blobOf(`${round} by ${answers.findIndex(({ receipt }) => receipt.result === 'set')}. `)
    const seen = await Promise.all([alice, bob].map(({ link }) => link.slot({ type: 'readSlot', slot: SLOT })))
    expect(seen.map(({ blob, receipt }) => [blob, receipt.counter])).toEqual([
      [there, round + 1],
      [there, round + 1],
    ])
  }
})

test('a snapshot that is left at one relay is read at the other', async () => {
  const pieces = ['root', 'one', 'two'].map(chunkOf)
  const chunks = pieces.map(({ chunk }) => chunk)
  expect(await bob.link.vault({ type: 'vaultNames', begin: true, chunks })).toEqual([0, 1, 2])
  for (const piece of pieces) await bob.link.vault({ type: 'vaultPut', ...piece })
  await bob.link.vault({ type: 'vaultKeep', root: chunkOf('root').chunk })
  expect(await readSnapshot(alice)).toEqual({ chunks: 3, bytes: 3 * CHUNK_BYTES, root: chunkOf('root').bytes })
  // Bob's socket is at one of them, his mesh's home the other.
  const carried = (side: string): RegExp =>
    new RegExp(`^sealmesh_relay_cluster_carried_connections\\{side="${side}"\\} 1$`, 'm')
  expect(await relays.at(0).metrics()).toMatch(carried('home'))
  expect(await relays.at(1).metrics()).toMatch(carried('front'))
})

test('a login that is removed through one relay is cut off at the other', async () => {
  const carol = await open(1, mesh.member('carol'))
  const draft = { mesh: mesh.id, loginKey: mesh.member('carol').keys.publicKey, adminKey: null, chain: [] }
  await alice.link.revoke(signRevocation(draft, mesh.root.secretKey, sodium))
  expect(await carol.refusal()).toBe('NODE_REVOKED')
})

test('all of it is there when the home is killed; what has expired is not, and what is sent again lies there once', async () => {
  const [dave, erin] = [mesh.member('dave'), mesh.member('erin')]
  const kept = mesh.packet([dave.mailbox], Date.now() + LIVES_MS)
  const expiresMs = Date.now() + 2_000
  const short = mesh.packet([erin.mailbox], expiresMs)
  for (const { bytes, id } of [kept, short]) {
    alice.link.send(bytes)
    expect(await alice.answered(id)).toBe('stored')
  }
  const before = await bob.link.slot({ type: 'readSlot', slot: SLOT })
  await until('it has expired', () => Date.now() > expiresMs)
  await relays.at(0).kill()
  await alice.link.close()
  await bob.link.close()

  const again = await open(1, mesh.member('alice', { admin: true }))
  const after = await again.link.slot({ type: 'readSlot', slot: SLOT })
  expect([after.blob, after.receipt.counter]).toEqual([before.blob, before.receipt.counter])
  const question = { type: 'setSlot', slot: SLOT, expected: hashOf(after.blob), blob: blobOf('x') } as const
  const early = await again.link.slot({ ...question, leastAgeMs: LIVES_MS })
  expect(early.receipt.result).toBe('young')
  const due = await again.link.slot({ ...question, leastAgeMs: 0 })
  expect(due.receipt).toMatchObject({ result: 'set', counter: before.receipt.counter + 1 })

  expect(await readSnapshot(again)).toEqual({ chunks: 3, bytes: 3 * CHUNK_BYTES, root: chunkOf('root').bytes })
  const removed = new TestLink(relays.at(1).address, mesh.member('carol'), sodium)
  links.push(removed)
  expect(await removed.refusal()).toBe('NODE_REVOKED')

  again.link.send(kept.bytes)
  expect(await again.answered(kept.id)).toBe('stored')
  expect(await waitingFor(dave)).toBe(1)
  const reader = await open(1, dave)
  expect((await reader.received(1)).map(packetIdAt)).toEqual([kept.id])
  await until('it is taken out of the stream', async () => (await waitingFor(dave)) === 0)

  const late = await open(1, erin)
  await until('it hears what it has missed', () => late.has('lost'))
  expect(late.got).toEqual([])
  expect(await waitingFor(erin)).toBe(0)
})

test('a relay that stops gives its meshes up, and counts what it did', async () => {
  await relays.begin(0)
  const records: string[] = []
  const subscription = nats.subscribe(homeSubject(mesh.id), {
    callback: (_, { data }) => {
      records.push(data.toString())
    },
  })
  await nats.flush()
  expect(await relays.at(1).metrics()).toMatch(/^sealmesh_relay_cluster_homes 1$/m)
  await relays.at(1).stop()
  expect(records).toEqual([''])
  await open(0, mesh.member('dave'))
  expect(records).toHaveLength(2)
  subscription.unsubscribe()
  const metrics = await relays.at(0).metrics()
  expect(metrics).toMatch(/^sealmesh_relay_cluster_homes 1$/m)
  expect(metrics).toMatch(/^sealmesh_relay_cluster_moves_total\{how="taken"\} 1$/m)
  expect(metrics).toMatch(/^sealmesh_relay_cluster_ready 1$/m)
  expect(metrics).toMatch(/^sealmesh_relay_cluster_batches_total\{result="stored"\} [1-9]/m)
})

async function readSnapshot({ link }: TestLink): Promise<object> {
  const vault = vaultOf(mesh.member('bob').keys.publicKey, sodium)
  const [listing] = await link.vault({ type: 'vaultList' })
  const { chunks, bytes, root: at } = listing?.snapshots.at(-1) ?? { chunks: 0, bytes: 0, root: chunkOf('').chunk }
  expect(await lying(VAULT_STREAM, chunkSubject(mesh.id, vault, at))).toBe(1)
  return { chunks, bytes, root: await link.vault({ type: 'vaultGet', vault, chunk: at }) }
}
