import { randomBytes } from 'node:crypto'
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Failure } from '@sealmesh/protocol/errors'
import type { Mesh } from '@sealmesh/protocol/membership/mesh'
import type { Sodium } from '@sealmesh/protocol/sodium'
import { loadSodium } from '@sealmesh/sodium/load'
import { afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { type Running, set, TestHomes, valueOf } from '../documents/test-homes.ts'
import type { KeyStore } from '../keys/key-store.ts'
import { Meta } from '../store/meta.ts'
import { documentsIn, fillStore } from './fill-store.ts'
import { SnapshotReader } from './read-snapshot.ts'
import { openSnapshotFile } from './snapshot-file.ts'
import { Snapshots, type SnapshotsDeps } from './snapshots.ts'
import type { VaultPort } from './vault-client.ts'

const MINUTE_MS = 60_000
const DAY_MS = 24 * 60 * MINUTE_MS

let sodium: Sodium
let homes: TestHomes
let home: Running
let directory: string
let nowMs: number
let asked: string[]
let refusal: Failure | undefined
let open: Snapshots[]

beforeAll(async () => {
  sodium = await loadSodium()
})
beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'sealmesh-snapshots-'))
  homes = await TestHomes.make(sodium)
  home = await homes.start('home', homes.mesh.home)
  nowMs = 1_764_000_000_000
  asked = []
  refusal = undefined
  open = []
})
afterEach(async () => {
  for (const each of open) await each.close()
  await homes.remove()
  rmSync(directory, { recursive: true, force: true })
})

const relay: VaultPort = {
  vault: (question) => {
    asked.push(question.type)
    if (refusal !== undefined) return Promise.reject(refusal)
    return Promise.resolve(
      (question.type === 'vaultNames' ? question.chunks.map((_, place) => place) : undefined) as never,
    )
  },
}
const kit = () => sodium.sealKeys(new Uint8Array(32).fill(77))

async function start(change: Partial<SnapshotsDeps> = {}): Promise<Snapshots> {
  const { sign } = { sign: homes.mesh.home.keys }
  const foundingAgent = homes.mesh.agentKeys
  const keys = { sign, login: sign, foundingAgent, root: undefined, agents: () => [], agentKeys: () => undefined }
  const recovery = { loginKey: sign.publicKey, sealKey: kit().publicKey, mailbox: '' }
  const mesh = { ...homes.mesh.mesh, recovery, relays: [{ address: '', relay: '' }] } as unknown as Mesh
  const snapshots = await Snapshots.load({
    home: directory,
    configPath: join(directory, 'config.toml'),
    store: home.store,
    diary: () => home.store,
    keys: keys as unknown as KeyStore,
    node: homes.mesh.home.id,
    incarnation: () => home.documents.incarnation,
    mesh: () => Object.assign(mesh, { isInPast: () => true }),
    relay: () => Promise.resolve(relay),
    isDaily: () => true,
    meta: new Meta(home.store),
    sodium,
    random: (bytes) => randomBytes(bytes),
    now: () => nowMs,
    logger: { info: () => undefined, warn: () => undefined },
    ...change,
  })
  open.push(snapshots)
  return snapshots
}

/** As its timer would, once a minute. */
async function pass(snapshots: Snapshots, ms: number): Promise<void> {
  nowMs += ms
  snapshots.whenDue()
  await settled(snapshots)
}
async function settled(snapshots: Snapshots): Promise<void> {
  while (snapshots.state.running !== null) await new Promise(setImmediate)
}
const left = (): number => asked.filter((type) => type === 'vaultKeep').length

describe('the vault is left a snapshot', () => {
  test('some time after a start, and then once a day, also over restarts', async () => {
    await home.documents.write(homes.semantic, [set('a', '1')])
    const first = await start()
    await pass(first, 9 * MINUTE_MS)
    expect(left()).toBe(0)
    await pass(first, 2 * MINUTE_MS)
    expect(left()).toBe(1)
    await pass(first, DAY_MS - 5 * MINUTE_MS)
    expect(left()).toBe(1)
    const again = await start()
    await pass(again, MINUTE_MS)
    await pass(again, 3 * MINUTE_MS)
    expect(left()).toBe(1)
    await pass(again, 10 * MINUTE_MS)
    expect(left()).toBe(2)
    expect(again.state.last).toMatchObject({ vault: { atMs: nowMs }, failed: null })
  })

  test('not when its owner said no, the mesh has no kit to seal to, or this node was removed', async () => {
    const { mesh } = homes.mesh
    const gone = { ...mesh.nodes.get(homes.mesh.home.id), revocations: [{}] }
    const removed = new Map(mesh.nodes).set(homes.mesh.home.id, gone as never)
    const bare = { ...mesh, recovery: null, relays: [{}] } as unknown as Mesh
    const recovery = { sealKey: kit().publicKey }
    for (const change of [
      { isDaily: () => false },
      { mesh: () => bare },
      { mesh: () => ({ ...bare, recovery, nodes: removed }) as unknown as Mesh },
      { mesh: () => ({ ...bare, recovery, relays: [] }) as unknown as Mesh },
    ])
      await pass(await start(change), 2 * DAY_MS)
    expect(asked).toEqual([])
  })

  test('again an hour after a try that failed, and says with which code it did', async () => {
    const snapshots = await start()
    refusal = new Failure('QUOTA_VAULT', 'no room')
    await pass(snapshots, 11 * MINUTE_MS)
    expect(snapshots.state).toMatchObject({ failure: { code: 'QUOTA_VAULT' }, last: { vault: null } })
    expect(snapshots.state.last.failed).toEqual({ atMs: nowMs, code: 'QUOTA_VAULT' })
    refusal = undefined
    await pass(snapshots, 59 * MINUTE_MS)
    expect(left()).toBe(0)
    await pass(snapshots, 2 * MINUTE_MS)
    expect(left()).toBe(1)
    expect(snapshots.state.last.failed).toBeNull()
  })

  test('never with the diary, and one at a time', async () => {
    const snapshots = await start()
    expect(() => snapshots.start({ path: null, withDiary: true })).toThrow(
      expect.objectContaining({ code: 'DIARY_PRIVATE' }),
    )
    snapshots.start({ path: null, withDiary: false })
    expect(() => snapshots.start({ path: null, withDiary: false })).toThrow(
      expect.objectContaining({ code: 'CORE_BUSY' }),
    )
    await settled(snapshots)
  })
})

describe('a snapshot in a file', () => {
  test('is of one moment, whatever is written while it is made', async () => {
    for (let i = 0; i < 300; i++) await home.documents.write(homes.semantic, [set(`key-${i}`, 'x'.repeat(500))])
    const snapshots = await start()
    const path = join(directory, 'a.snapshot')
    snapshots.start({ path, withDiary: false })
    let writes = 0
    while (snapshots.state.running !== null)
      // Two documents in turn: an image of two moments would have the second write and not the first.
      for (const name of [homes.semantic, homes.episodic])
        await home.documents.write(name, [set('count', String((writes += 1)))])
    expect(snapshots.state).toMatchObject({ failure: null, made: { path, damaged: 0 } })
    expect(writes).toBeGreaterThan(1)
    const source = await openSnapshotFile(path)
    const snapshot = await SnapshotReader.open(source, { kit: kit() }, sodium)
    const target = await homes.start('target', homes.mesh.office)
    await fillStore(
      snapshot,
      'documents',
      target.store,
      () => true,
      () => undefined,
    )
    await source.close()
    const found = await documentsIn(target.store)
    await homes.stop(target)
    const back = await homes.start('target', homes.mesh.office)
    const [semantic, episodic] = [
      await valueOf(back.documents, homes.semantic, 'count'),
      found.size > 1 ? await valueOf(back.documents, homes.episodic, 'count') : undefined,
    ]
    expect(Number(semantic ?? 0) - Number(episodic ?? 0)).toBeOneOf([-1, 0, 1])
    expect(await valueOf(back.documents, homes.semantic, 'key-299')).toBe('x'.repeat(500))
  })

  test('that could not be finished leaves nothing', async () => {
    const snapshots = await start({
      mesh: () => ({ ...homes.mesh.mesh, recovery: null }) as unknown as Mesh,
    })
    snapshots.start({ path: join(directory, 'b.snapshot'), withDiary: false })
    await settled(snapshots)
    expect(snapshots.state.failure).toMatchObject({ code: 'KIT_MISSING' })
    expect(readdirSync(directory)).toEqual([])
  })

  test('of a database that was opened anew meanwhile is not made', async () => {
    // More than is named to the vault at once, so that it is asked while documents are still read.
    for (let i = 0; i < 120; i++) {
      const many = Array.from({ length: 100 }, (_, at) => set(`key-${i}-${at}`, randomBytes(450).toString('hex')))
      await home.documents.write(homes.semantic, many)
    }
    let reopened = false
    const snapshots = await start({
      relay: () =>
        Promise.resolve({
          vault: async (question) => {
            if (!reopened) await home.store.replaceFiles(() => Promise.resolve())
            reopened = true
            return relay.vault(question)
          },
        }),
    })
    snapshots.start({ path: null, withDiary: false })
    await settled(snapshots)
    expect(reopened).toBe(true)
    expect(snapshots.state.failure).toMatchObject({ code: 'CORE_BUSY' })
    expect(left()).toBe(0)
  })
})
