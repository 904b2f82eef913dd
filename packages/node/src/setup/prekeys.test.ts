import { randomBytes } from 'node:crypto'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { toHex } from '@sealmesh/protocol/bytes'
import { mintIncarnation } from '@sealmesh/protocol/crdt/incarnation'
import { OwnMailboxes } from '@sealmesh/protocol/envelope/daily-mailboxes'
import type { MeshId, NodeId, RecordHash } from '@sealmesh/protocol/ids'
import { PACKET_EXPIRY_MS_MAX, PREKEY_LIFE_MS, PREKEY_ROTATE_MS, PREKEY_SKEW_MS } from '@sealmesh/protocol/limits'
import { livePrekey } from '@sealmesh/protocol/membership/access'
import type { Mesh, MeshNode, Prekey } from '@sealmesh/protocol/membership/mesh'
import type { RecordBody } from '@sealmesh/protocol/membership/record'
import { loadSodium } from '@sealmesh/sodium/load'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { KeyStore } from '../keys/key-store.ts'
import type { LogKeeper } from '../membership/log-keeper.ts'
import { PacketPort } from '../sync/packet-port.ts'
import { ensurePrekeys } from './identity.ts'

const sodium = await loadSodium()
const random = (bytes: number): Uint8Array => randomBytes(bytes)
const [HOME, OFFICE] = ['aa'.repeat(32) as NodeId, 'bb'.repeat(32) as NodeId]
const HOUR_MS = 60 * 60_000
const DAY_MS = 24 * HOUR_MS
const START_MS = 1_800_000_000_000
const SKEWS_MS = [-PREKEY_SKEW_MS, 0, PREKEY_SKEW_MS]

let directory: string
let keys: KeyStore
let prekeys: Prekey[]
/** The receiver's own clock. */
let nowMs: number

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'sealmesh-prekeys-'))
  keys = await KeyStore.create(join(directory, 'keys'), { sodium, random }, { root: false })
  prekeys = []
  nowMs = START_MS
})
afterEach(() => rm(directory, { recursive: true }))

const theirs = new OwnMailboxes(sodium.signKeys('login', random(32)).secretKey, sodium)
const sender = { sign: sodium.signKeys('sign', random(32)), login: sodium.signKeys('login', random(32)) }
const nodeOf = (id: NodeId, own: { sign: typeof sender.sign; login: { publicKey: Uint8Array } }, held: Prekey[]) =>
  ({
    id,
    signKey: own.sign.publicKey,
    loginKey: own.login.publicKey,
    prekeys: held,
    revocations: [],
    lapsed: false,
  }) as unknown as MeshNode
const meshNow = () =>
  ({
    id: 'cc'.repeat(32) as MeshId,
    heads: [],
    nodes: new Map([
      [HOME, nodeOf(HOME, keys, prekeys)],
      [OFFICE, nodeOf(OFFICE, sender, [])],
    ]),
  }) as unknown as Mesh

const log = {
  get mesh() {
    return meshNow()
  },
  append: (body: RecordBody) => {
    if (body.type !== 'prekey') throw new Error(body.type)
    prekeys = [{ ...body, record: toHex(random(32)) as RecordHash }, ...prekeys]
    return Promise.resolve()
  },
} as unknown as LogKeeper

const turn = (): Promise<void> => ensurePrekeys(log, keys, HOME, nowMs)
const portOf = (node: NodeId, signKey: typeof sender.sign.secretKey, mailboxes: OwnMailboxes, now: () => number) =>
  new PacketPort({
    sodium,
    node,
    incarnation: mintIncarnation(node, random(8), sodium),
    signKey,
    mailboxes,
    prekeys: () => (node === HOME ? keys.prekeys() : []),
    mesh: meshNow,
    random,
    now,
  })
const receiver = () => portOf(HOME, keys.sign.secretKey, keys.mailboxes, () => nowMs)
const senderAt = (skewMs: number) => portOf(OFFICE, sender.sign.secretKey, theirs, () => nowMs + skewMs)

test('for half a year there is a live prekey by every clock within an hour, and no more than five are held', async () => {
  for (; nowMs < START_MS + 180 * DAY_MS; nowMs += 6 * HOUR_MS) {
    await turn()
    const own = meshNow().nodes.get(HOME)!
    for (const skewMs of SKEWS_MS) expect(livePrekey(own, nowMs + skewMs)).toBeDefined()
    expect(keys.prekeys().length).toBeLessThanOrEqual(PREKEY_LIFE_MS / PREKEY_ROTATE_MS + 1)
  }
  // What has ended has no file any more.
  const files = await readdir(join(directory, 'keys', 'prekeys'))
  expect(files.toSorted()).toEqual(
    keys
      .prekeys()
      .map(({ publicKey }) => `${toHex(publicKey)}.key`)
      .toSorted(),
  )
  expect(prekeys.length).toBeGreaterThan(20)
})

test('what a clock an hour off has sealed opens until its prekey has ended by either clock', async () => {
  await turn()
  const packets = new Map<number, Uint8Array>()
  for (const skewMs of SKEWS_MS) {
    // At the last moment at which that clock still uses it.
    nowMs = START_MS + PREKEY_LIFE_MS - 1 - skewMs
    packets.set(skewMs, senderAt(skewMs).seal(HOME, new Uint8Array(10))!.bytes)
  }
  const ended = START_MS + PREKEY_LIFE_MS
  for (const at of [ended - 1, ended + PREKEY_SKEW_MS]) {
    nowMs = at
    await turn()
    for (const bytes of packets.values()) expect(receiver().open(bytes).ok).toBe(true)
  }
})

test('T-disk-1: once it is destroyed, a packet to it has a code of its own, and one to a lost key has another', async () => {
  await turn()
  const old = senderAt(0).seal(HOME, new Uint8Array(10))!.bytes
  nowMs = START_MS + PREKEY_LIFE_MS + PREKEY_SKEW_MS + 1
  // The file is there as long as nobody has looked; what came too late is then refused for that.
  expect(receiver().open(old)).toMatchObject({ error: { code: 'PACKET_EXPIRED' } })
  await turn()
  expect(receiver().open(old)).toMatchObject({ error: { code: 'PACKET_PREKEY_EXPIRED' } })
  // The newest file is lost, and its time is not over.
  const fresh = senderAt(0).seal(HOME, new Uint8Array(10))!.bytes
  await keys.destroyPrekey(prekeys[0]!.publicKey)
  expect(receiver().open(fresh)).toMatchObject({ error: { code: 'PACKET_BOX_CLOSED' } })
})

test('T-curious-5: what a packet says of its end follows from when it was sealed, and from nothing of its recipient', async () => {
  await turn()
  const ends = new Set<number>()
  for (let days = 0; days < 28; days += 3) {
    nowMs = START_MS + days * DAY_MS
    const opened = receiver().open(senderAt(0).seal(HOME, new Uint8Array(10))!.bytes)
    expect(opened.ok && opened.value.expiresMs).toBe(nowMs + PACKET_EXPIRY_MS_MAX)
    if (opened.ok) ends.add(opened.value.expiresMs)
  }
  expect(ends.size).toBe(10)
})
