import { toHex } from '@sealmesh/protocol/bytes'
import type { DocumentName } from '@sealmesh/protocol/crdt/block'
import { documentIdOf } from '@sealmesh/protocol/crdt/block-codec'
import type { Sodium } from '@sealmesh/protocol/sodium'
import { loadSodium } from '@sealmesh/sodium/load'
import { afterEach, beforeAll, beforeEach, expect, test, vi } from 'vitest'
import { BaseStore } from '../store/base-store.ts'
import { afterPrefix, documentPrefix, prunedDocument } from '../store/keys.ts'
import { Compaction, type CompactionOptions } from './compaction.ts'
import type { Documents } from './documents.ts'
import { cutShort, type Running, set, sync, TestHomes, typeText, valueOf } from './test-homes.ts'

let sodium: Sodium
let homes: TestHomes
const compactions: Compaction[] = []

beforeAll(async () => {
  sodium = await loadSodium()
})

beforeEach(async () => {
  homes = await TestHomes.make(sodium)
})

afterEach(async () => {
  for (const each of compactions.splice(0)) await each.close()
  await homes.remove()
})

/** History of no length, whatever it is worth. */
const ALL: CompactionOptions = { historyMs: -60_000, historyBytes: 0, floorBytes: 0 }

function compactionOf(home: Running, others: readonly Running[] = [], options: CompactionOptions = ALL): Compaction {
  const peers = new Map(others.map((other) => [nodeOf(other), other.documents]))
  const compaction = new Compaction({
    documents: home.documents,
    node: nodeOf(home),
    mesh: () => homes.mesh.mesh,
    receipted: async (peer, name) => (await peers.get(peer)?.vectorOf(name)) ?? [],
    log: { info: () => {}, warn: (fields: unknown) => void home.warnings.push(fields) },
    ...options,
  })
  compactions.push(compaction)
  return compaction
}

const nodes = new WeakMap<Running, keyof TestHomes['mesh']>()
const nodeOf = (home: Running) => homes.mesh[nodes.get(home) as 'home' | 'office'].id

async function start(which: 'home' | 'office', options: Parameters<TestHomes['start']>[2] = {}): Promise<Running> {
  const running = await homes.start(which, homes.mesh[which], options)
  nodes.set(running, which)
  return running
}

async function restart(home: Running): Promise<Running> {
  const which = nodes.get(home) as 'home' | 'office'
  await homes.stop(home)
  return start(which)
}

async function stateOf(documents: Documents, name: DocumentName) {
  const document = await documents.open(name)
  const { received, folded, registers, conflicts } = document.counts()
  return {
    digest: toHex(document.digest()),
    vector: document.vector,
    counts: { received, folded, registers, conflicts },
    values: Object.fromEntries([...document.keys()].sort().map((key) => [key, document.read(key)?.value])),
    text: document.text('notes'),
  }
}

async function rowsOf(
  { store }: Running,
  name: DocumentName,
): Promise<{ blocks: number; pruned: number; bytes: number }> {
  const id = documentIdOf(name, sodium)
  const count = { blocks: 0, pruned: 0, bytes: 0 }
  for (const [which, prefix] of [['blocks', documentPrefix(id)] as const, ['pruned', prunedDocument(id)] as const]) {
    for await (const [, bytes] of store.read({ from: prefix, to: afterPrefix(prefix) })) {
      count[which] += 1
      count.bytes += bytes.length
    }
  }
  return count
}

/** Alternately, so that the clocks of each name the other's writes. */
async function writeBoth(home: Running, office: Running, rounds: number): Promise<void> {
  for (let round = 0; round < rounds; round++) {
    const [writer, reader] = round % 2 === 0 ? [home, office] : [office, home]
    await writer.documents.write(homes.semantic, [set(`key-${round % 5}`, `value ${round}`)])
    if (round % 7 === 0)
      await writer.documents.write(homes.semantic, [{ type: 'delete', key: `key-${(round + 2) % 5}` }])
    if (round % 11 === 0) await writer.documents.editText(homes.semantic, typeText(0, `line ${round}\n`))
    await sync(writer.documents, reader.documents, homes.semantic)
  }
}

function grantOffice(): void {
  const { agent, office } = homes.mesh
  homes.mesh.append(
    { type: 'grant', agent, layer: 'semantic', to: { type: 'node', node: office.id }, access: 'write' },
    'agent',
  )
}

test('what was overwritten goes from the disk, and what is read stays as it was, now and after a restart', async () => {
  let home = await start('home')
  for (let round = 0; round < 200; round++)
    await home.documents.write(homes.semantic, [set(`key-${round % 10}`, `${round}`)])
  await home.documents.write(homes.semantic, [{ type: 'delete', key: 'key-3' }])
  const before = await stateOf(home.documents, homes.semantic)
  expect(await compactionOf(home).compact(homes.semantic)).toBe(true)
  expect(await stateOf(home.documents, homes.semantic)).toEqual(before)
  // Nine values, and the tombstone that was the last block: of it only the header.
  expect(await rowsOf(home, homes.semantic)).toMatchObject({ blocks: 0, pruned: 10 })
  home = await restart(home)
  expect(await stateOf(home.documents, homes.semantic)).toEqual(before)
  await home.documents.write(homes.semantic, [set('key-3', 'back')])
  expect(await valueOf(home.documents, homes.semantic, 'key-3')).toBe('back')
  home = await restart(home)
  expect(await valueOf(home.documents, homes.semantic, 'key-3')).toBe('back')
  expect(await home.documents.vectorOf(homes.semantic)).toHaveLength(2)
})

test('two nodes that compact at different times stay equal, with deletes and texts and writes in between', async () => {
  grantOffice()
  let [home, office] = [await start('home'), await start('office')]
  await writeBoth(home, office, 40)
  const whole = await stateOf(home.documents, homes.semantic)
  expect(await compactionOf(home, [office]).compact(homes.semantic)).toBe(true)
  expect(await stateOf(home.documents, homes.semantic)).toEqual(whole)
  await writeBoth(home, office, 20)
  home = await restart(home)
  await writeBoth(home, office, 20)
  expect(await compactionOf(office, [home]).compact(homes.semantic)).toBe(true)
  expect(await compactionOf(home, [office]).compact(homes.semantic)).toBe(true)
  office = await restart(office)
  await writeBoth(home, office, 10)
  home = await restart(home)
  expect(await stateOf(home.documents, homes.semantic)).toEqual(await stateOf(office.documents, homes.semantic))
  expect((await rowsOf(home, homes.semantic)).bytes).toBeLessThan(100_000)
})

test('nothing goes that another reader has not receipted, and what is young or among the newest bytes stays', async () => {
  grantOffice()
  const [home, office] = [await start('home'), await start('office')]
  for (let round = 0; round < 30; round++) await home.documents.write(homes.semantic, [set('key', `${round}`)])
  expect(await compactionOf(home, [office]).compact(homes.semantic)).toBe(false)
  await sync(home.documents, office.documents, homes.semantic)
  expect(
    await compactionOf(home, [office], { ...ALL, historyBytes: 1e9, historyMs: 60_000 }).compact(homes.semantic),
  ).toBe(false)
  expect(await rowsOf(home, homes.semantic)).toMatchObject({ blocks: 30, pruned: 0 })
  expect(
    await compactionOf(home, [office], { ...ALL, historyBytes: 100, historyMs: 60_000 }).compact(homes.semantic),
  ).toBe(true)
})

test('a reader that has lapsed pins nothing', async () => {
  grantOffice()
  const home = await start('home')
  const office = await start('office')
  for (let round = 0; round < 30; round++) await home.documents.write(homes.semantic, [set('key', `${round}`)])
  expect(await compactionOf(home, [office]).compact(homes.semantic)).toBe(false)
  const { office: lapsed, home: admin } = homes.mesh
  homes.mesh.append({ type: 'lapse', node: lapsed.id, cuts: [] }, admin)
  await home.documents.meshChanged()
  // By an admin who may never have read it.
  expect(await compactionOf(home, [office]).compact(homes.semantic)).toBe(false)
  const cuts = [{ document: homes.semantic, vector: [] }]
  homes.mesh.append({ type: 'lapse', node: lapsed.id, cuts }, admin)
  await home.documents.meshChanged()
  expect(await compactionOf(home, [office]).compact(homes.semantic)).toBe(true)
})

test('who may not read a document draws no base of it', async () => {
  const [home, office] = [await start('home'), await start('office')]
  for (let round = 0; round < 30; round++) await office.documents.write(homes.semantic, [set('key', `${round}`)])
  await sync(office.documents, home.documents, homes.semantic)
  expect(await compactionOf(office, [home]).compact(homes.semantic)).toBe(false)
  // A host that has never read it has nothing that others lack: home does not wait for its receipts.
  expect(await compactionOf(home, [office]).compact(homes.semantic)).toBe(true)
})

test('a writer that has read before is waited for: it may have drawn a base of what nobody else has', async () => {
  const [home, office] = [await start('home'), await start('office')]
  await home.documents.write(homes.semantic, [set('key', 'of home')])
  expect(await compactionOf(home, [office]).compact(homes.semantic)).toBe(true)
  // Home has not heard of it yet, and reads no more: what it has goes to nobody.
  homes.mesh.assign(2, homes.mesh.office)
  for (let round = 0; round < 30; round++) await office.documents.write(homes.semantic, [set('key', `${round}`)])
  expect(await compactionOf(office, [home]).compact(homes.semantic)).toBe(false)
})

test('writes go on and are acknowledged while a base is drawn, and all of them are there afterwards', async () => {
  let home = await start('home')
  for (let round = 0; round < 600; round++)
    await home.documents.write(homes.semantic, [set(`key-${round % 200}`, `${round}`)])
  let acknowledged = 0
  let over = false
  const writer = (async () => {
    while (!over) {
      await home.documents.write(homes.semantic, [set('beside', `${acknowledged}`)])
      acknowledged += 1
    }
  })()
  expect(await compactionOf(home).compact(homes.semantic)).toBe(true)
  const during = acknowledged
  over = true
  await writer
  expect(during).toBeGreaterThan(5)
  const before = await stateOf(home.documents, homes.semantic)
  expect(before.values.beside).toBe(`${acknowledged - 1}`)
  home = await restart(home)
  expect(await stateOf(home.documents, homes.semantic)).toEqual(before)
})

test('cut short at any write to the disk, it leaves an equal document, and is done the next time', async () => {
  let home = await start('home')
  for (let round = 0; round < 40; round++) {
    await home.documents.write(homes.semantic, [set(`key-${round % 10}`, `${round}`)])
    if (round % 8 === 0) await home.documents.write(homes.semantic, [{ type: 'delete', key: `key-${round % 3}` }])
  }
  const before = await stateOf(home.documents, homes.semantic)
  for (let writes = 0; ; writes++) {
    const mend = cutShort(home, writes)
    const drawn = await compactionOf(home)
      .compact(homes.semantic)
      .catch(() => 'failed')
    const cut = mend()
    home = await restart(home)
    expect(await stateOf(home.documents, homes.semantic)).toEqual(before)
    if (cut) continue
    expect(writes).toBeGreaterThan(2)
    // The one before may have got as far as the base, and only tidying was left.
    expect([true, false]).toContain(drawn)
    break
  }
  const record = await new BaseStore(home.store).read(documentIdOf(homes.semantic, sodium))
  expect(record?.dirty).toBe(false)
  const rows = await rowsOf(home, homes.semantic)
  expect(rows.pruned).toBe(record?.rows)
  expect(rows.blocks).toBe(0)
})

test('a row that is lost or changed is damage, and is said so', async () => {
  let home = await start('home')
  for (let round = 0; round < 20; round++)
    await home.documents.write(homes.semantic, [set(`key-${round % 4}`, `${round}`)])
  await compactionOf(home).compact(homes.semantic)
  const prefix = prunedDocument(documentIdOf(homes.semantic, sodium))
  for await (const [key] of home.store.read({ from: prefix, to: afterPrefix(prefix), first: true }))
    await home.store.commit([{ type: 'delete', key }])
  home = await restart(home)
  await expect(home.documents.open(homes.semantic)).rejects.toMatchObject({ code: 'STORE_DAMAGED' })
})

test('it begins by itself when as much was overwritten as is worth it', async () => {
  const home = await start('home')
  const compaction = compactionOf(home, [], { ...ALL, floorBytes: 20_000 })
  compaction.start()
  for (let round = 0; compaction.facts.drawn === 0; round++) {
    expect(round).toBeLessThan(5_000)
    await home.documents.write(homes.semantic, [set(`key-${round % 10}`, `${round}`)])
  }
  expect((await rowsOf(home, homes.semantic)).pruned).toBeLessThanOrEqual(11)
})

test('a document that is all young history is not looked through again and again', async () => {
  const home = await start('home')
  let looks = 0
  const drawBase = home.documents.drawBase.bind(home.documents)
  home.documents.drawBase = (name, limits) => {
    looks += 1
    return drawBase(name, limits)
  }
  const compaction = compactionOf(home, [], { historyMs: 60_000, historyBytes: 1e9, floorBytes: 2_000 })
  compaction.start()
  for (let round = 0; round < 300; round++) {
    await home.documents.write(homes.semantic, [set(`key-${round % 10}`, `${round}`)])
    if (looks === 0) continue
    // The first look ends; those that the next 100 KB would have asked for do not come.
    await vi.waitFor(() => expect(compaction.facts.running).toBe(false))
  }
  expect(looks).toBe(1)
})
