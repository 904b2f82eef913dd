import { toHex } from '@sealmesh/protocol/bytes'
import { documentIdOf } from '@sealmesh/protocol/crdt/block-codec'
import type { BlockHash } from '@sealmesh/protocol/ids'
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
  await compact()
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

test('what a node has whole is not given up for a base', async () => {
  await write(10)
  grantOffice()
  const office = await homes.start('office', homes.mesh.office)
  await pull(home, office)
  await office.documents.reached(
    homes.semantic,
    new Map([[homes.mesh.home.id, await home.documents.vectorOf(homes.semantic)]]),
  )
  const before = await stateOf(office.documents)
  await write(40)
  // Home forgets that office may read it, as when it had been granted on another machine.
  await compact()
  await pull(home, office, 700)
  expect(await stateOf(office.documents)).toEqual(before)
  expect(office.warnings).toContainEqual({ code: 'BLOCKS_BELOW_BASE' })
})

test('T-peer-15: who may not write the document cannot say what of it does not count', async () => {
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

test('who has lapsed cannot say it either', async () => {
  await write(20)
  await compact()
  grantOffice()
  const office = await homes.start('office', homes.mesh.office)
  const { pruned } = await home.documents.after(homes.semantic, [], 1_000_000)
  homes.mesh.append({ type: 'lapse', node: homes.mesh.home.id, cuts: [] }, homes.mesh.office)
  const [report] = await office.documents.receivePruned([pruned!], homes.mesh.home.id)
  expect(report).toMatchObject({ stored: 0, refused: pruned!.rows.length })
})

test('T-peer-15: rows that are forged, of another document or out of place are refused', async () => {
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
  await compact()
  const { pruned } = await home.documents.after(homes.semantic, [], 1_000_000)
  if (pruned === undefined) throw new Error('There is a base.')
  const [report] = await office.documents.receivePruned([pruned], homes.mesh.home.id)
  expect(report).toMatchObject({ stored: 0, refused: pruned.rows.length })
  expect(await valueOf(office.documents, homes.semantic, 'mine')).toBe('kept')
})

/** A base of which nothing exists: one invented incarnation, no rows. */
const invented = (rows: PrunedItem['rows'] = [], author = homes.mesh.home): PrunedItem => ({
  type: 'pruned',
  floor: null,
  document: homes.semantic,
  ends: [{ dot: { incarnation: homes.mint(author), sequence: 1, hash: '00'.repeat(32) as BlockHash }, heard: [] }],
  rows,
})

test('T-peer-15: an invented base without rows, or with rows of another, takes nothing away that others wrote', async () => {
  grantOffice()
  const office = await homes.start('office', homes.mesh.office)
  await write(12)
  await pull(home, office)
  const before = await stateOf(office.documents)
  const noted = await office.documents.vectorOf(homes.semantic)
  const other = await homes.start('other', homes.mesh.home)
  await other.documents.write(homes.semantic, [set('a', '1')])
  await compact(other)
  const { pruned } = await other.documents.after(homes.semantic, [], 1_000_000)
  await office.documents.receivePruned([invented(), invented(pruned?.rows)], homes.mesh.home.id)
  // An end of an incarnation that is here, higher than what is here, is as easily invented.
  const [dot] = noted
  const higher = { ...invented(pruned?.rows), ends: [{ dot: { ...dot!, sequence: 2 ** 40 - 1 }, heard: [] }] }
  await office.documents.receivePruned([higher], homes.mesh.home.id)
  expect(await office.documents.vectorOf(homes.semantic)).toEqual(noted)
  expect(await stateOf(office.documents)).toEqual(before)
  await home.documents.write(homes.semantic, [set('since', 'then')])
  await pull(home, office)
  expect(await stateOf(office.documents)).toEqual(await stateOf(home.documents))
})

test('a base that is sent while a block is on its way to the disk leaves no hole', async () => {
  grantOffice()
  await write(8)
  let office = await homes.start('office', homes.mesh.office)
  const other = await homes.start('other', homes.mesh.home)
  await other.documents.write(homes.semantic, [set('a', '1')])
  await compact(other)
  const { pruned } = await other.documents.after(homes.semantic, [], 1_000_000)
  await pull(home, office)
  const vector = await office.documents.vectorOf(homes.semantic)
  await home.documents.write(homes.semantic, [set('key-1', 'last')])
  const whole = await home.documents.after(homes.semantic, vector, 1_000_000)
  const batches = office.database.batches
  office.database.hold()
  const received = office.documents.receive(whole.blocks)
  await vi.waitFor(() => expect(office.database.batches).toBeGreaterThan(batches))
  const adopted = office.documents.receivePruned([pruned!], homes.mesh.home.id)
  const late = office.documents.receive(whole.blocks)
  office.database.release()
  await Promise.all([received, adopted, late])
  expect(await valueOf(office.documents, homes.semantic, 'a')).toBe('1')
  expect(await valueOf(office.documents, homes.semantic, 'key-1')).toBe('last')
  const before = await stateOf(office.documents)
  await homes.stop(office)
  office = await homes.start('office', homes.mesh.office)
  expect(await office.documents.examine(homes.semantic)).toMatchObject({ damaged: false })
  expect(await stateOf(office.documents)).toEqual(before)
})

test('a block that nobody signed does not end a transfer; one that is signed does when nobody goes on with it', async () => {
  await write(30)
  const { blocks } = await home.documents.after(homes.semantic, [], 1_000_000)
  const whole = await stateOf(home.documents)
  await compact()
  grantOffice()
  let skewMs = 0
  const office = await homes.start('office', homes.mesh.office, { now: () => Date.now() + skewMs })
  const { pruned } = await home.documents.after(homes.semantic, [], 500)
  await office.documents.receivePruned([pruned!], homes.mesh.home.id)
  const before = await office.documents.vectorOf(homes.semantic)
  expect(before).toHaveLength(1)
  expect((await office.documents.open(homes.semantic)).counts().received).toBeGreaterThan(0)
  skewMs = 61_000
  const [first] = blocks
  await office.documents.receive([first!.with(-1, first!.at(-1)! ^ 1)])
  // Nothing new in it: it does not keep the transfer alive.
  await office.documents.receivePruned([pruned!], homes.mesh.home.id)
  expect(await office.documents.vectorOf(homes.semantic)).toEqual(before)
  await office.documents.receive([first!])
  await vi.waitFor(async () => expect(await office.documents.vectorOf(homes.semantic)).toEqual([]))
  expect((await office.documents.open(homes.semantic)).counts().received).toBe(0)
  expect(await office.documents.examine(homes.semantic)).toMatchObject({ damaged: false })
  // Who let it go stale does not begin again, or whole blocks would never get in.
  await office.documents.receivePruned([pruned!], homes.mesh.home.id)
  expect(office.warnings).toContainEqual({ code: 'GIVEN_UP' })
  await office.documents.receive(blocks)
  const { digest } = await stateOf(office.documents)
  expect(digest).toBe(whole.digest)
})

test('another base takes the place of one that never got whole, and own words and those of others stay', async () => {
  grantOffice()
  const other = await homes.start('other', homes.mesh.home)
  await other.documents.write(homes.semantic, [set('elsewhere', 'too')])
  await write(60)
  await compact()
  let office = await homes.start('office', homes.mesh.office)
  await pull(other, office)
  const begun = await home.documents.after(homes.semantic, await office.documents.vectorOf(homes.semantic), 2_000)
  await office.documents.receivePruned([begun.pruned!], homes.mesh.home.id)
  await office.documents.write(homes.semantic, [set('mine', 'kept')])
  expect((await office.documents.open(homes.semantic)).counts().received).toBeGreaterThan(3)
  await write(90)
  await compact()
  // Its rows go on from those of the first, so it is asked for from the beginning.
  const beyond = await home.documents.after(homes.semantic, await office.documents.vectorOf(homes.semantic), 1_000_000)
  await office.documents.receivePruned([beyond.pruned!], homes.mesh.home.id)
  expect(await valueOf(office.documents, homes.semantic, 'mine')).toBe('kept')
  expect(await valueOf(office.documents, homes.semantic, 'elsewhere')).toBe('too')
  expect(await office.documents.vectorOf(homes.semantic)).toHaveLength(2)
  // Then a row of it is enough to begin, and in the same commit what is left of yet another one goes.
  const again = await home.documents.after(homes.semantic, await office.documents.vectorOf(homes.semantic), 5_000)
  await office.documents.receivePruned([again.pruned!], homes.mesh.home.id)
  await write(200)
  await compact()
  const third = await home.documents.after(homes.semantic, [], 200)
  await office.documents.receivePruned([third.pruned!], homes.mesh.home.id)
  await homes.stop(office)
  office = await homes.start('office', homes.mesh.office)
  expect(await office.documents.examine(homes.semantic)).toMatchObject({ damaged: false })
  expect(await valueOf(office.documents, homes.semantic, 'mine')).toBe('kept')
  await pull(home, office)
  await pull(office, home)
  expect(await stateOf(office.documents)).toEqual(await stateOf(home.documents))
})

test('whole blocks that stood in the queue when a base began wait for it, too', async () => {
  await write(30)
  const { blocks } = await home.documents.after(homes.semantic, [], 1_000_000)
  await compact()
  grantOffice()
  const office = await homes.start('office', homes.mesh.office)
  const { pruned } = await home.documents.after(homes.semantic, [], 500)
  const { batches } = office.database
  office.database.hold()
  const adopted = office.documents.receivePruned([pruned!], homes.mesh.home.id)
  await vi.waitFor(() => expect(office.database.batches).toBeGreaterThan(batches))
  const received = office.documents.receive(blocks)
  await new Promise(setImmediate)
  office.database.release()
  expect((await adopted)[0]?.stored).toBeGreaterThan(0)
  expect((await received)[0]).toMatchObject({ stored: 0, waiting: blocks.length })
  await pull(home, office)
  expect(await stateOf(office.documents)).toEqual(await stateOf(home.documents))
})

test('a transfer that trickles for an hour gives way to whole blocks', async () => {
  await write(30)
  const { blocks } = await home.documents.after(homes.semantic, [], 1_000_000)
  await compact()
  grantOffice()
  let skewMs = 0
  const office = await homes.start('office', homes.mesh.office, { now: () => Date.now() + skewMs })
  const { pruned } = await home.documents.after(homes.semantic, [], 1_000_000)
  for (const row of pruned!.rows.slice(0, 3)) {
    await office.documents.receivePruned([{ ...pruned!, rows: [row] }], homes.mesh.home.id)
    skewMs += 50_000
  }
  await office.documents.receive(blocks)
  expect(await office.documents.vectorOf(homes.semantic)).toHaveLength(1)
  skewMs = 3_590_000
  await office.documents.receivePruned([{ ...pruned!, rows: pruned!.rows.slice(3, 4) }], homes.mesh.home.id)
  skewMs = 3_601_000
  await office.documents.receive(blocks)
  await vi.waitFor(async () => {
    await office.documents.receive(blocks)
    expect(await stateOf(office.documents)).toMatchObject({ counts: { received: blocks.length } })
  })
})

test('an end under an incarnation of nobody who ever had a right to the document is refused', async () => {
  await write(10)
  await compact()
  grantOffice()
  const office = await homes.start('office', homes.mesh.office)
  const { pruned } = await home.documents.after(homes.semantic, [], 1_000_000)
  const ends = [...pruned!.ends, ...invented([], homes.mesh.laptop).ends]
  const [report] = await office.documents.receivePruned([{ ...pruned!, ends }], homes.mesh.home.id)
  expect(report).toMatchObject({ stored: 0, refused: pruned!.rows.length })
  expect(office.warnings).toContainEqual({ code: 'END_NOT_THEIRS' })
  await pull(home, office)
  expect(await stateOf(office.documents)).toEqual(await stateOf(home.documents))
})

test('what is left of a block from the future waits until it is due', async () => {
  const aheadMs = 365 * 86_400_000
  const ahead = await homes.start('ahead', homes.mesh.home, { now: () => Date.now() + aheadMs })
  await ahead.documents.write(homes.semantic, [set('a', 'from the future')])
  await compact(ahead)
  grantOffice()
  let skewMs = 0
  const office = await homes.start('office', homes.mesh.office, { now: () => Date.now() + skewMs })
  await pull(ahead, office)
  expect(await office.documents.vectorOf(homes.semantic)).toEqual([])
  expect(await valueOf(office.documents, homes.semantic, 'a')).toBeUndefined()
  skewMs = aheadMs
  await pull(ahead, office)
  expect(await valueOf(office.documents, homes.semantic, 'a')).toBe('from the future')
})

test('what is left of a block waits for the records that its author knew', async () => {
  grantOffice('read')
  const early = homes.mesh.mesh
  homes.mesh.host([homes.mesh.home])
  await write(10)
  const { mesh } = homes.mesh
  const compaction = new Compaction({
    documents: home.documents,
    node: homes.mesh.home.id,
    mesh: () => mesh,
    receipted: () => home.documents.vectorOf(homes.semantic),
    log: { info: () => {}, warn: () => {} },
    historyMs: -60_000,
    historyBytes: 0,
    floorBytes: 0,
  })
  expect(await compaction.compact(homes.semantic)).toBe(true)
  let known = early
  const office = await homes.start('office', homes.mesh.office, { mesh: () => known })
  const { pruned } = await home.documents.after(homes.semantic, [], 1_000_000)
  const [report] = await office.documents.receivePruned([pruned!], homes.mesh.home.id)
  expect(report).toMatchObject({ stored: 0, waiting: 1, unknownHeads: homes.mesh.mesh.heads })
  known = mesh
  await pull(home, office)
  expect(await stateOf(office.documents)).toEqual(await stateOf(home.documents))
})

test('T-peer-15: a former holder says nothing of what the present one wrote, nor of anything else', async () => {
  const { agent, home: first, office, laptop } = homes.mesh
  homes.mesh.append(
    { type: 'grant', agent, layer: 'session', to: { type: 'node', node: laptop.id }, access: 'read' },
    'agent',
  )
  homes.mesh.host([first, office])
  homes.mesh.assign(2, office)
  homes.mesh.assign(3, first)
  homes.mesh.host([first])
  const reader = await homes.start('laptop', laptop)
  await home.documents.write(homes.session, [set('a', '1')])
  await sync(home.documents, reader.documents, homes.session)
  const before = await reader.documents.vectorOf(homes.session)
  expect(before).toHaveLength(1)
  const item = { ...invented(), document: homes.session }
  await reader.documents.receivePruned([item], office.id)
  expect(reader.warnings).toContainEqual({ code: 'NOT_A_WRITER' })
  expect(await reader.documents.vectorOf(homes.session)).toEqual(before)
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
