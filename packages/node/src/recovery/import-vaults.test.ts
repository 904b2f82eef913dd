import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { toHex } from '@sealmesh/protocol/bytes'
import { documentIdOf } from '@sealmesh/protocol/crdt/block-codec'
import type { ChunkId, NodeId, VaultId } from '@sealmesh/protocol/ids'
import { vaultKeyOf } from '@sealmesh/protocol/snapshots/sealed'
import type { Sodium } from '@sealmesh/protocol/sodium'
import { type VaultSnapshot, vaultOf } from '@sealmesh/protocol/wire/vault'
import { loadSodium } from '@sealmesh/sodium/load'
import { pino } from 'pino'
import { afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { Compaction } from '../documents/compaction.ts'
import type { Documents } from '../documents/documents.ts'
import type { TestNode } from '../documents/fixture.ts'
import { type Running, set, sync, TestHomes, typeText } from '../documents/test-homes.ts'
import { KeyStore } from '../keys/key-store.ts'
import type { LogKeeper } from '../membership/log-keeper.ts'
import { imageOf } from '../snapshots/image-of-home.ts'
import { type VaultPort, vaultSink } from '../snapshots/vault-client.ts'
import { writeSnapshot } from '../snapshots/write-snapshot.ts'
import type { VaultAnswer, VaultQuestion } from '../uplink/vault-question.ts'
import { BaseStore } from '../store/base-store.ts'
import { importVaults, vaultsAt } from './import-vaults.ts'

/** A vault in memory: every login of it is who `as` says. */
class MemoryVault {
  readonly vaults = new Map<string, { chunks: Map<ChunkId, Uint8Array>; snapshots: VaultSnapshot[] }>()

  as(owner: string): VaultPort {
    const own = this.vaults.get(owner) ?? { chunks: new Map<ChunkId, Uint8Array>(), snapshots: [] }
    this.vaults.set(owner, own)
    const answer = (question: VaultQuestion): unknown => {
      switch (question.type) {
        case 'vaultNames':
          return question.chunks.flatMap((id, place) => (own.chunks.has(id) ? [] : [place]))
        case 'vaultPut':
          return void own.chunks.set(question.chunk, question.bytes)
        case 'vaultKeep': {
          const number = own.snapshots.length + 1
          return void own.snapshots.push({ number, atMs: number, chunks: 1, bytes: 1, root: question.root })
        }
        case 'vaultList':
          return [...this.vaults].map(([vault, { snapshots }]) => ({ vault: vault as VaultId, snapshots }))
        case 'vaultGet':
          return this.vaults.get(question.vault)?.chunks.get(question.chunk) ?? null
      }
    }
    return { vault: (question) => Promise.resolve(answer(question) as VaultAnswer<typeof question>) }
  }
}

let sodium: Sodium
let homes: TestHomes
let home: Running
let office: Running
let vault: MemoryVault
let directory: string
const kit = (): ReturnType<Sodium['sealKeys']> => sodium.sealKeys(new Uint8Array(32).fill(77))

beforeAll(async () => {
  sodium = await loadSodium()
})
beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'sealmesh-import-'))
  homes = await TestHomes.make(sodium)
  home = await homes.start('home', homes.mesh.home)
  office = await homes.start('office', homes.mesh.office)
  vault = new MemoryVault()
  const { agent } = homes.mesh
  const to = { type: 'node', node: homes.mesh.office.id } as const
  homes.mesh.append({ type: 'grant', agent, layer: 'semantic', to, access: 'write' }, 'agent')
})
afterEach(async () => {
  await homes.remove()
  rmSync(directory, { recursive: true, force: true })
})

const owner = (node: TestNode): string => vaultOf(node.identity.loginKey, sodium)

async function leave(node: TestNode, running: Running, atMs: number): Promise<void> {
  const foundingAgent = sodium.signKeys('agent', new Uint8Array(32).fill(atMs))
  const keys = {
    sign: node.keys,
    login: node.keys as never,
    foundingAgent,
    root: undefined,
    agents: () => [],
    agentKeys: () => undefined,
  }
  const image = imageOf(
    { store: running.store, keys, identity: false, config: () => Promise.resolve(undefined) },
    () => undefined,
  )
  await writeSnapshot(
    image,
    vaultSink(vault.as(owner(node))),
    {
      mesh: homes.mesh.id,
      node: node.id,
      incarnation: running.documents.incarnation,
      key: vaultKeyOf(node.keys.secretKey, sodium),
      sign: node.keys.secretKey,
      kit: kit().publicKey,
      atMs,
      random: (bytes) => randomBytes(bytes),
      sodium,
    },
    () => undefined,
    new AbortController().signal,
  )
}

/** Into an empty home of a third machine. */
async function recover() {
  const target = await homes.start('desk', homes.mesh.laptop)
  const { store } = target
  const keys = await KeyStore.create(
    join(directory, 'keys'),
    { sodium, random: (n) => randomBytes(n) },
    { root: false },
  )
  const log = { mesh: homes.mesh.mesh, receive: () => Promise.resolve({ added: 0, refused: 0 }) }
  const deps = {
    store,
    log: log as unknown as LogKeeper,
    keys,
    node: homes.mesh.laptop.id,
    seal: kit(),
    sodium,
    logger: pino({ level: 'silent' }),
    cachePath: join(directory, 'cache'),
    onProgress: () => undefined,
  }
  const imported = await importVaults(await vaultsAt(vault.as('recovery'), deps), deps)
  await homes.stop(target)
  return { imported, desk: await homes.start('desk', homes.mesh.laptop), keys }
}

async function write(running: Running, from: number, rounds: number): Promise<void> {
  for (let i = from; i < from + rounds; i++) {
    await running.documents.write(homes.semantic, [set(`key-${i % 20}`, `value ${i}`)])
    if (i % 10 === 0) await running.documents.editText(homes.semantic, typeText(0, `line ${i}\n`))
  }
}

async function compact(running: Running, node: NodeId): Promise<void> {
  const compaction = new Compaction({
    documents: running.documents,
    node,
    mesh: () => homes.mesh.mesh,
    receipted: () => running.documents.vectorOf(homes.semantic),
    log: { info: () => {}, warn: () => {} },
    historyMs: -60_000,
    historyBytes: 0,
    floorBytes: 0,
  })
  expect(await compaction.compact(homes.semantic)).toBe(true)
}

async function stateOf(documents: Documents) {
  const document = await documents.open(homes.semantic)
  return { digest: toHex(document.digest()), vector: document.vector, text: document.text('notes') }
}

describe('what two machines left', () => {
  // Who wrote last is the newest; who has compacted has let go of what the other one had.
  for (const compacted of ['nobody', 'home', 'office'] as const)
    for (const newest of ['home', 'office'] as const)
      test(`comes together, also what only one had: compacted by ${compacted}, newest of ${newest}`, async () => {
        await write(home, 0, 60)
        await sync(home.documents, office.documents, homes.semantic)
        if (compacted === 'home') await compact(home, homes.mesh.home.id)
        if (compacted === 'office') await compact(office, homes.mesh.office.id)
        await write(home, 100, 25)
        await write(office, 200, 25)
        await leave(homes.mesh.home, home, newest === 'home' ? 20 : 10)
        await leave(homes.mesh.office, office, newest === 'home' ? 10 : 20)
        const { imported, desk } = await recover()
        expect(imported.map(({ unplaced, code, documents }) => [unplaced, code, documents])).toEqual([
          [0, null, 1],
          [0, null, 1],
        ])
        await sync(home.documents, office.documents, homes.semantic, undefined, homes.mesh.home.id)
        await sync(office.documents, home.documents, homes.semantic, undefined, homes.mesh.office.id)
        expect(await stateOf(desk.documents)).toEqual(await stateOf(home.documents))
        expect((await desk.documents.open(homes.semantic)).read('key-1')?.value).toBeDefined()
      })

  test('is taken from an older snapshot where the newest was lost or spoilt', async () => {
    await write(home, 0, 30)
    await leave(homes.mesh.home, home, 10)
    await write(home, 30, 5)
    await leave(homes.mesh.home, home, 20)
    const own = vault.vaults.get(owner(homes.mesh.home))!
    own.chunks.delete(own.snapshots[1]!.root)
    const { imported } = await recover()
    expect(imported).toMatchObject([{ atMs: 10, code: null, documents: 1 }])
  })

  test('T-relay-12: by a relay under a name that is not theirs, or by who is no member, is not taken', async () => {
    await write(home, 0, 10)
    await leave(homes.mesh.home, home, 10)
    const own = vault.vaults.get(owner(homes.mesh.home))!
    vault.vaults.set(owner(homes.mesh.office), own)
    const thief = sodium.signKeys('sign', new Uint8Array(32).fill(99))
    await leave({ ...homes.mesh.laptop, keys: thief }, home, 30)
    const { imported } = await recover()
    const of = (node: TestNode) => imported.find((each) => each.node === node.id)
    expect(of(homes.mesh.home)).toMatchObject({ code: null })
    expect(of(homes.mesh.office)).toMatchObject({ atMs: null, code: 'SNAPSHOT_INVALID' })
    expect(of(homes.mesh.laptop)).toMatchObject({ atMs: null, code: 'SNAPSHOT_INVALID' })
  })

  test('T-relay-12: with a block that its author has not signed is left out, whoever says to be the latest', async () => {
    await write(home, 0, 10)
    await leave(homes.mesh.home, home, 10)
    const keys = sodium.signKeys('sign', new Uint8Array(32).fill(99))
    const forger = await homes.start('forger', { ...homes.mesh.home, keys })
    await forger.documents.write(homes.semantic, [set('key-1', 'forged')])
    await leave(homes.mesh.office, forger, 99)
    const { imported, desk } = await recover()
    const of = (node: TestNode) => imported.find((each) => each.node === node.id)
    expect(of(homes.mesh.home)).toMatchObject({ atMs: 10, code: null, refused: 0, unplaced: 0 })
    expect(of(homes.mesh.office)).toMatchObject({ atMs: null, code: 'SNAPSHOT_INVALID', agents: [] })
    expect(await stateOf(desk.documents)).toEqual(await stateOf(home.documents))
  })

  // What nobody signs of a document: here its base, which says what counts below it.
  for (const who of [
    'a member without a grant',
    'a machine that was removed',
    'another writer than the holder',
  ] as const)
    test(`T-relay-12: gives blocks only, from ${who}`, async () => {
      const node = who === 'a member without a grant' ? homes.mesh.laptop : homes.mesh.office
      await write(home, 0, 30)
      await sync(home.documents, office.documents, homes.semantic)
      await compact(office, homes.mesh.office.id)
      await write(home, 30, 10)
      await leave(homes.mesh.home, home, 10)
      await leave(node, office, 99)
      if (who === 'a machine that was removed')
        homes.mesh.append({ type: 'revoke', node: node.id, reason: 'test', cuts: [] }, 'root')
      const { imported, desk } = await recover()
      expect(imported).toHaveLength(2)
      expect(imported).toMatchObject([{ code: null }, { code: null }])
      const id = documentIdOf(homes.semantic, sodium)
      expect(await new BaseStore(desk.store).read(id)).toBeUndefined()
      expect(await stateOf(desk.documents)).toEqual(await stateOf(home.documents))
    })

  test('comes from who may not read it where nobody else has left it, block by block', async () => {
    const laptop = await homes.start('laptop', homes.mesh.laptop)
    await write(home, 0, 30)
    await sync(home.documents, laptop.documents, homes.semantic)
    await leave(homes.mesh.laptop, laptop, 99)
    const { imported, desk } = await recover()
    expect(imported).toMatchObject([{ code: null, unplaced: 0 }])
    expect(await stateOf(desk.documents)).toEqual(await stateOf(home.documents))
  })

  test('brings the keys of its agents along', async () => {
    await write(home, 0, 3)
    await leave(homes.mesh.home, home, 10)
    const { imported, keys } = await recover()
    const agent = toHex(sodium.signKeys('agent', new Uint8Array(32).fill(10)).publicKey)
    expect(imported).toMatchObject([{ agents: [agent] }])
    expect(keys.agents()).toContain(agent)
  })
})
