import { toHex } from '@sealmesh/protocol/bytes'
import { documentIdOf } from '@sealmesh/protocol/crdt/block-codec'
import type { Sodium } from '@sealmesh/protocol/sodium'
import { decodePayload, encodePayload, type PrunedItem } from '@sealmesh/protocol/sync/payload'
import { loadSodium } from '@sealmesh/sodium/load'
import { afterEach, beforeAll, beforeEach, expect, test, vi } from 'vitest'
import { afterPrefix, prunedDocument } from '../store/keys.ts'
import { Compaction } from './compaction.ts'
import type { Documents } from './documents.ts'
import { type Running, set, sync, TestHomes, typeText, valueOf } from './test-homes.ts'

let sodium: Sodium
let homes: TestHomes
let home: Running

beforeAll(async () => {
  sodium = await loadSodium()
})

beforeEach(async () => {
  homes = await TestHomes.make(sodium)
  home = await homes.start('home', homes.mesh.home)
})

afterEach(() => homes.remove())

function grantOffice(access: 'read' | 'write' = 'write'): void {
  const { agent, office } = homes.mesh
  homes.mesh.append({ type: 'grant', agent, layer: 'semantic', to: { type: 'node', node: office.id }, access }, 'agent')
}

/** History of no length, before anybody else reads the document. */
async function compact(running: Running = home, node = homes.mesh.home): Promise<void> {
  const compaction = new Compaction({
    documents: running.documents,
    node: node.id,
    mesh: () => homes.mesh.mesh,
    receipted: () => running.documents.vectorOf(homes.semantic),
    log: { info: () => {}, warn: (fields: unknown) => void home.warnings.push(fields) },
    historyMs: -60_000,
    historyBytes: 0,
    floorBytes: 0,
  })
  expect(await compaction.compact(homes.semantic)).toBe(true)
}

async function write(rounds: number): Promise<void> {
  for (let round = 0; round < rounds; round++) {
    await home.documents.write(homes.semantic, [set(`key-${round % 20}`, `value ${round}`)])
    if (round % 9 === 0) await home.documents.write(homes.semantic, [{ type: 'delete', key: `key-${round % 7}` }])
    if (round % 10 === 0) await home.documents.editText(homes.semantic, typeText(0, `line ${round}\n`))
  }
}

async function stateOf(documents: Documents) {
  const document = await documents.open(homes.semantic)
  const { received, folded, registers } = document.counts()
  return {
    digest: toHex(document.digest()),
    vector: document.vector,
    counts: { received, folded, registers },
    text: document.text('notes'),
  }
}

const pull = (from: Running, to: Running, bytes?: number): Promise<void> =>
  sync(from.documents, to.documents, homes.semantic, bytes, homes.mesh.home.id)

test('a node that joins after compaction ends equal, with what was written since', async () => {
  await write(60)
  await compact()
  grantOffice()
  await write(15)
  let office = await homes.start('office', homes.mesh.office)
  await pull(home, office)
  expect(await stateOf(office.documents)).toEqual(await stateOf(home.documents))
  await homes.stop(office)
  office = await homes.start('office', homes.mesh.office)
  expect(await stateOf(office.documents)).toEqual(await stateOf(home.documents))
  await office.documents.write(homes.semantic, [set('from-office', 'hello')])
  await pull(office, home)
  expect(await valueOf(home.documents, homes.semantic, 'from-office')).toBe('hello')
  expect(await stateOf(home.documents)).toEqual(await stateOf(office.documents))
})

test('a transfer goes on where it was cut, and what has come can be read and written beside meanwhile', async () => {
  await write(80)
  await compact()
  grantOffice()
  let office = await homes.start('office', homes.mesh.office)
  let steps = 0
  for (;;) {
    const vector = await office.documents.vectorOf(homes.semantic)
    const { pruned, reached } = await home.documents.after(homes.semantic, vector, 500)
    if (pruned === undefined) break
    // As it goes over the wire.
    const sent = decodePayload(encodePayload([pruned]))
    await office.documents.receivePruned(sent.ok ? (sent.value as PrunedItem[]) : [], homes.mesh.home.id)
    expect((await office.documents.vectorOf(homes.semantic)).map(({ hash }) => hash)).toEqual(
      expect.arrayContaining(reached.map(({ hash }) => hash)),
    )
    steps += 1
    if (steps === 9) {
      expect((await office.documents.open(homes.semantic)).counts().registers).toBeGreaterThan(0)
      await office.documents.write(homes.semantic, [set('early', 'bird')])
    }
    if (steps % 4 === 0) {
      await homes.stop(office)
      office = await homes.start('office', homes.mesh.office)
    }
  }
  expect(steps).toBeGreaterThan(8)
  await pull(home, office)
  await pull(office, home)
  expect(await stateOf(office.documents)).toEqual(await stateOf(home.documents))
  expect(await valueOf(home.documents, homes.semantic, 'early')).toBe('bird')
})

test('whole blocks that a base is about to cover wait, so that nothing deleted comes back', async () => {
  grantOffice('read')
  await home.documents.write(homes.semantic, [set('gone', 'old')])
  const third = await homes.start('third', homes.mesh.laptop)
  const whole = await home.documents.after(homes.semantic, [], 1_000_000)
  await home.documents.write(homes.semantic, [{ type: 'delete', key: 'gone' }])
  for (let round = 0; round < 30; round++)
    await home.documents.write(homes.semantic, [set(`key-${round % 3}`, `${round}`)])
  const compaction = new Compaction({
    documents: home.documents,
    node: homes.mesh.home.id,
    mesh: () => homes.mesh.mesh,
    receipted: () => home.documents.vectorOf(homes.semantic),
    log: { info: () => {}, warn: () => {} },
    historyMs: -60_000,
    historyBytes: 0,
    floorBytes: 0,
  })
  expect(await compaction.compact(homes.semantic)).toBe(true)
  const office = await homes.start('office', homes.mesh.office)
  const first = await home.documents.after(homes.semantic, [], 100)
  if (first.pruned === undefined) throw new Error('Office stands below the base.')
  await office.documents.receivePruned([first.pruned], homes.mesh.home.id)
  const [report] = await office.documents.receive(whole.blocks)
  expect(report).toMatchObject({ stored: 0, waiting: 1 })
  await pull(home, office)
  expect(await valueOf(office.documents, homes.semantic, 'gone')).toBeUndefined()
  expect(await stateOf(office.documents)).toEqual(await stateOf(home.documents))
  await homes.stop(third)
})

test('a part that came whole before is let go for the base, and comes again', async () => {
  await write(10)
  const begun = await home.documents.after(homes.semantic, [], 1_000)
  expect(begun.more).toBe(true)
  grantOffice()
  const office = await homes.start('office', homes.mesh.office)
  await office.documents.receive(begun.blocks)
  await write(40)
  // Home forgets that office may read it, as when it had been granted on another machine.
  const compaction = new Compaction({
    documents: home.documents,
    node: homes.mesh.home.id,
    mesh: () => homes.mesh.mesh,
    receipted: () => home.documents.vectorOf(homes.semantic),
    log: { info: () => {}, warn: () => {} },
    historyMs: -60_000,
    historyBytes: 0,
    floorBytes: 0,
  })
  expect(await compaction.compact(homes.semantic)).toBe(true)
  // The first try shows that what came before is let go, and so where to begin.
  await pull(home, office, 700)
  await pull(home, office, 700)
  expect(await stateOf(office.documents)).toEqual(await stateOf(home.documents))
})

test('who may not write the document cannot say what of it does not count', async () => {
  await write(20)
  await compact()
  grantOffice()
  const office = await homes.start('office', homes.mesh.office)
  const { pruned } = await home.documents.after(homes.semantic, [], 1_000_000)
  if (pruned === undefined) throw new Error('Office stands below the base.')
  const [report] = await office.documents.receivePruned([pruned], homes.mesh.laptop.id)
  expect(report).toMatchObject({ stored: 0, refused: pruned.rows.length })
  expect(await office.documents.vectorOf(homes.semantic)).toEqual([])
})

test('rows that are forged, of another document or out of place are refused', async () => {
  await write(20)
  await compact()
  grantOffice()
  const office = await homes.start('office', homes.mesh.office)
  const { pruned } = await home.documents.after(homes.semantic, [], 1_000_000)
  if (pruned === undefined) throw new Error('Office stands below the base.')
  const receive = async (item: PrunedItem) => (await office.documents.receivePruned([item], homes.mesh.home.id))[0]
  const [first, second] = pruned.rows
  const broken = first!.bytes.with(-1, first!.bytes.at(-1)! ^ 1)
  expect(await receive({ ...pruned, rows: [{ ...first!, bytes: broken }] })).toMatchObject({ stored: 0, refused: 1 })
  expect(await receive({ ...pruned, document: homes.episodic })).toMatchObject({ stored: 0 })
  expect(await receive({ ...pruned, rows: [second!] })).toMatchObject({ stored: 0, waiting: 1 })
  expect(await receive({ ...pruned, rows: [first!] })).toMatchObject({ stored: 1 })
  expect(await receive({ ...pruned, rows: [first!] })).toMatchObject({ stored: 0 })
  const own = home.documents.incarnation
  expect(await office.documents.vectorOf(homes.semantic)).toMatchObject([{ incarnation: own }])
})

test('a node never gives up its own words for a base', async () => {
  grantOffice()
  const office = await homes.start('office', homes.mesh.office)
  await office.documents.write(homes.semantic, [set('mine', 'kept')])
  await pull(office, home)
  await write(30)
  const compaction = new Compaction({
    documents: home.documents,
    node: homes.mesh.home.id,
    mesh: () => homes.mesh.mesh,
    receipted: () => home.documents.vectorOf(homes.semantic),
    log: { info: () => {}, warn: () => {} },
    historyMs: -60_000,
    historyBytes: 0,
    floorBytes: 0,
  })
  expect(await compaction.compact(homes.semantic)).toBe(true)
  const { pruned } = await home.documents.after(homes.semantic, [], 1_000_000)
  if (pruned === undefined) throw new Error('There is a base.')
  const [report] = await office.documents.receivePruned([pruned], homes.mesh.home.id)
  expect(report).toMatchObject({ stored: 0, refused: pruned.rows.length })
  expect(await valueOf(office.documents, homes.semantic, 'mine')).toBe('kept')
})

test.each(['whole', 'compacted'])(
  'a base that was damaged is sent again by a peer that is %s, own words and all',
  async (peer) => {
    grantOffice()
    const office = await homes.start('office', homes.mesh.office)
    await write(40)
    await pull(home, office)
    await office.documents.write(homes.semantic, [set('theirs', 'too')])
    await sync(office.documents, home.documents, homes.semantic)
    await compact()
    if (peer === 'compacted') await compact(office, homes.mesh.office)
    await home.documents.write(homes.semantic, [set('since', 'then')])
    await pull(home, office)
    const before = await stateOf(home.documents)
    const prefix = prunedDocument(documentIdOf(homes.semantic, sodium))
    for await (const [key] of home.store.read({ from: prefix, to: afterPrefix(prefix), first: true }))
      await home.store.commit([{ type: 'delete', key }])
    await homes.stop(home)
    home = await homes.start('home', homes.mesh.home)
    await expect(home.documents.open(homes.semantic)).rejects.toMatchObject({ code: 'STORE_DAMAGED' })
    for (let round = 0; round < 5; round++) {
      await sync(office.documents, home.documents, homes.semantic, 800, homes.mesh.office.id)
      await new Promise(setImmediate)
    }
    await vi.waitFor(async () => expect(await stateOf(home.documents)).toEqual(before))
    await home.documents.write(homes.semantic, [set('after', 'all')])
    await pull(home, office)
    expect(await stateOf(office.documents)).toEqual(await stateOf(home.documents))
  },
)
