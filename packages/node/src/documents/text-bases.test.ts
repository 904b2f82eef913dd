import { toHex } from '@sealmesh/protocol/bytes'
import { documentIdOf } from '@sealmesh/protocol/crdt/block-codec'
import { decodeRow, encodeRow, isRun } from '@sealmesh/protocol/crdt/row'
import { signRun, type TextRun } from '@sealmesh/protocol/crdt/text-run'
import type { NodeId } from '@sealmesh/protocol/ids'
import type { Sodium } from '@sealmesh/protocol/sodium'
import type { PrunedItem } from '@sealmesh/protocol/sync/payload'
import { dice } from '@sealmesh/protocol/test-dice'
import { loadSodium } from '@sealmesh/sodium/load'
import { afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import { BaseStore } from '../store/base-store.ts'
import { afterPrefix, documentPrefix, prunedDocument } from '../store/keys.ts'
import { Compaction } from './compaction.ts'
import type { TestNode } from './fixture.ts'
import { cutShort, type Running, set, sync, TestHomes } from './test-homes.ts'

let sodium: Sodium
let homes: TestHomes

beforeAll(async () => {
  sodium = await loadSodium()
})

beforeEach(async () => {
  homes = await TestHomes.make(sodium)
})

afterEach(() => homes.remove())

const warned: unknown[] = []

/** History of no length. `others`: who else reads the document, by their receipts. */
async function compact(home: Running, node: TestNode, others: ReadonlyMap<NodeId, Running> = new Map()) {
  const compaction = new Compaction({
    documents: home.documents,
    node: node.id,
    mesh: () => homes.mesh.mesh,
    receipted: (peer) => (others.get(peer) ?? home).documents.vectorOf(homes.semantic),
    log: { info: () => {}, warn: (fields: unknown) => void warned.push(fields) },
    historyMs: -60_000,
    historyBytes: 0,
    floorBytes: 0,
  })
  return compaction.compact(homes.semantic)
}

function grant(node: TestNode, access: 'read' | 'write' = 'write'): void {
  const { agent } = homes.mesh
  homes.mesh.append({ type: 'grant', agent, layer: 'semantic', to: { type: 'node', node: node.id }, access }, 'agent')
}

async function stateOf({ documents }: Running) {
  const document = await documents.open(homes.semantic)
  const { received, folded, held, aside } = document.counts()
  return {
    digest: toHex(document.digest()),
    vector: document.vector,
    counts: { received, folded, held, aside },
    texts: document.textNames().map((name) => [name, document.text(name)]),
  }
}

async function onDisk({ store }: Running): Promise<{ blocks: number; rows: number; bytes: number }> {
  const id = documentIdOf(homes.semantic, sodium)
  const count = { blocks: 0, rows: 0, bytes: 0 }
  for (const [which, prefix] of [['blocks', documentPrefix(id)] as const, ['rows', prunedDocument(id)] as const]) {
    for await (const [, bytes] of store.read({ from: prefix, to: afterPrefix(prefix) })) {
      count[which] += 1
      count.bytes += bytes.length
    }
  }
  return count
}

async function runsOf({ store }: Running): Promise<TextRun[]> {
  const id = documentIdOf(homes.semantic, sodium)
  const bases = new BaseStore(store)
  const record = await bases.read(id)
  const runs: TextRun[] = []
  if (record === undefined) return runs
  for await (const { bytes } of bases.rows(id, record.generation)) {
    const row = decodeRow(bytes, sodium)
    if (row.ok && isRun(row.value)) runs.push(row.value)
  }
  return runs
}

const type = ({ documents }: Running, at: number, text: string, name = 'notes') =>
  documents.editText(homes.semantic, (doc) => doc.getText(name).insert(Math.min(at, doc.getText(name).length), text))
const erase = ({ documents }: Running, at: number, length: number, name = 'notes') =>
  documents.editText(homes.semantic, (doc) => {
    const text = doc.getText(name)
    const from = (at + text.length) % Math.max(1, text.length)
    if (text.length > 0) text.delete(from, Math.min(length, text.length - from))
  })
const pull = (from: Running, to: Running, bytes?: number, sender = homes.mesh.home.id) =>
  sync(from.documents, to.documents, homes.semantic, bytes, sender)

test('edits go from the disk, the text stays, and who joins then, edits at the same time or starts anew agrees', async () => {
  grant(homes.mesh.office)
  let home = await homes.start('home', homes.mesh.home)
  const office = await homes.start('office', homes.mesh.office)
  for (let round = 0; round < 120; round++) {
    const [writer, reader] = round % 3 === 0 ? [office, home] : [home, office]
    await type(writer, (round * 7) % 40, `word ${round} `, round % 5 === 0 ? 'plan' : 'notes')
    if (round % 4 === 0) await erase(writer, round * 3, 4)
    if (round % 10 === 0) await writer.documents.write(homes.semantic, [set(`key-${round % 3}`, `${round}`)])
    if (round % 6 !== 0) await pull(writer, reader)
  }
  await pull(home, office)
  await pull(office, home)
  const before = await stateOf(home)
  expect(before).toEqual(await stateOf(office))
  const { bytes, blocks } = await onDisk(home)
  expect(await compact(home, homes.mesh.home, new Map([[homes.mesh.office.id, office]]))).toBe(true)
  expect(await stateOf(home)).toEqual(before)
  const after = await onDisk(home)
  expect(blocks).toBeGreaterThan(150)
  expect([after.blocks, after.rows < 10, after.bytes < bytes / 8]).toEqual([0, true, true])
  await homes.stop(home)
  home = await homes.start('home', homes.mesh.home)
  expect(await stateOf(home)).toEqual(before)
  grant(homes.mesh.laptop)
  const laptop = await homes.start('laptop', homes.mesh.laptop)
  await pull(home, laptop, 300)
  expect(await stateOf(laptop)).toEqual(before)
  // At once, in the words that lie below the base of two of them: also where something was deleted.
  for (const [at, each] of [home, office, laptop].entries())
    for (const place of [0, 3, 17, 60, 200]) {
      await type(each, place, `<${at}>`)
      await erase(each, place + 5, 3)
    }
  for (const from of [home, office, laptop, home, office])
    for (const to of [home, office, laptop]) if (from !== to) await pull(from, to)
  expect(await stateOf(office)).toEqual(await stateOf(home))
  expect(await stateOf(laptop)).toEqual(await stateOf(home))
})

test('while a base is on its way its texts are not shown, and what is edited above it counts when it is whole', async () => {
  const home = await homes.start('home', homes.mesh.home)
  for (let round = 0; round < 20; round++) {
    await type(home, 0, `line ${round}\n`)
    await home.documents.write(homes.semantic, [set(`key-${round}`, 'value')])
  }
  expect(await compact(home, homes.mesh.home)).toBe(true)
  await type(home, 3, 'ABOVE')
  grant(homes.mesh.office)
  let office = await homes.start('office', homes.mesh.office)
  const { pruned } = await home.documents.after(homes.semantic, [], 1_000_000)
  if (pruned === undefined) throw new Error('Office stands below the base.')
  const at = pruned.rows.findIndex(({ bytes }) => bytes[0] === 1)
  expect(at).toBe(pruned.rows.length - 2)
  const part = { ...pruned, rows: pruned.rows.slice(0, -1) }
  await office.documents.receivePruned([part], homes.mesh.home.id)
  const coming = await office.documents.open(homes.semantic)
  expect([coming.textNames(), coming.read('key-1')?.value]).toEqual([[], 'value'])
  await homes.stop(office)
  office = await homes.start('office', homes.mesh.office)
  await pull(home, office)
  expect(await stateOf(office)).toEqual(await stateOf(home))
  expect((await office.documents.open(homes.semantic)).text('notes')).toContain('ABOVE')
})

test('cut short at any write to the disk, texts stay what they are, and a base is drawn the next time', async () => {
  let home = await homes.start('home', homes.mesh.home)
  for (let generation = 0; generation < 2; generation++) {
    for (let round = 0; round < 25; round++) {
      await type(home, round * 5, `word ${round} `)
      if (round % 5 === 0) await erase(home, round, 3)
    }
    const before = await stateOf(home)
    for (let writes = 0; ; writes++) {
      const mend = cutShort(home, writes)
      await compact(home, homes.mesh.home).catch(() => undefined)
      const cut = mend()
      await homes.stop(home)
      home = await homes.start('home', homes.mesh.home)
      expect(await stateOf(home)).toEqual(before)
      expect(await home.documents.examine(homes.semantic)).toMatchObject({ damaged: false })
      if (!cut) break
    }
    expect(await onDisk(home)).toMatchObject({ blocks: 0 })
  }
})

test('a run that did not change keeps the name of who made it, in the bases of others too', async () => {
  grant(homes.mesh.office)
  const home = await homes.start('home', homes.mesh.home)
  await type(home, 0, 'by home, and nobody touches it')
  expect(await compact(home, homes.mesh.home)).toBe(true)
  const office = await homes.start('office', homes.mesh.office)
  await pull(home, office)
  for (let round = 0; round < 9; round++) await type(office, 0, `Office says ${round}. `)
  await pull(office, home, undefined, homes.mesh.office.id)
  expect(await compact(office, homes.mesh.office, new Map([[homes.mesh.home.id, home]]))).toBe(true)
  const makers = async () => new Set((await runsOf(office)).map(({ maker }) => maker))
  expect(await makers()).toEqual(new Set([homes.mesh.home.id, homes.mesh.office.id]))
  for (let round = 0; round < 9; round++) await erase(office, -12, 1)
  await pull(office, home, undefined, homes.mesh.office.id)
  expect(await compact(office, homes.mesh.office, new Map([[homes.mesh.home.id, home]]))).toBe(true)
  expect(await makers()).toEqual(new Set([homes.mesh.office.id]))
  expect(await stateOf(office)).toEqual(await stateOf(home))
})

/** Two incarnations that build on each other, and some registers. */
async function drawn(): Promise<{ home: Running; pruned: PrunedItem }> {
  let home = await homes.start('home', homes.mesh.home)
  await type(home, 0, 'first words, of one run')
  await home.documents.write(homes.semantic, [set('key', 'value')])
  await homes.stop(home)
  home = await homes.start('home', homes.mesh.home)
  await type(home, 6, 'second words ')
  await erase(home, 2, 4)
  expect(await compact(home, homes.mesh.home)).toBe(true)
  const { pruned } = await home.documents.after(homes.semantic, [], 1_000_000)
  if (pruned === undefined) throw new Error('There is a base.')
  return { home, pruned }
}

const replaced = (item: PrunedItem, change: (run: TextRun) => TextRun | undefined): PrunedItem => ({
  ...item,
  rows: item.rows.map((row) => {
    const decoded = decodeRow(row.bytes, sodium)
    const run = decoded.ok && isRun(decoded.value) ? change(decoded.value) : undefined
    return run === undefined ? row : { ...row, bytes: encodeRow(run) }
  }),
})

test('a run of nobody who could write, or that says what it may not, is refused; what it is about comes from others', async () => {
  const { home, pruned } = await drawn()
  grant(homes.mesh.office)
  const office = await homes.start('office', homes.mesh.office)
  const makerOf = ({ id, keys }: TestNode) => ({ node: id, signKey: keys.secretKey })
  const ours = makerOf(homes.mesh.home)
  const again = (change: Partial<TextRun>, maker = ours) =>
    replaced(pruned, (run) => signRun({ ...run, ...change }, maker, sodium))
  const broken: PrunedItem[] = [
    again({}, makerOf(homes.mesh.laptop)),
    again({}, { ...ours, node: homes.mesh.office.id }),
    replaced(pruned, (run) => ({ ...run, bytes: run.bytes.with(-1, run.bytes.at(-1)! ^ 1) })),
    again({ from: 1 }),
    again({ to: 50 }),
    again({ update: Uint8Array.of(0, 0) }),
    again({ update: Uint8Array.of(9, 9, 9, 9) }),
    again({ update: new Uint8Array() }),
  ]
  for (const item of broken) {
    const [report] = await office.documents.receivePruned([item], homes.mesh.home.id)
    // Rows before the first run are what they should be.
    expect(report?.stored).toBeLessThan(pruned.rows.length)
    expect((await office.documents.open(homes.semantic)).textNames()).toEqual([])
  }
  await pull(home, office)
  expect(await stateOf(office)).toEqual(await stateOf(home))
})

test('runs that do not fit together are given up with their base, and their sender begins none for a while', async () => {
  const { home, pruned } = await drawn()
  grant(homes.mesh.office)
  let skewMs = 0
  let office = await homes.start('office', homes.mesh.office, { now: () => Date.now() + skewMs })
  const { secretKey: signKey } = homes.mesh.home.keys
  const maker = { node: homes.mesh.home.id, signKey }
  // A run that brings nothing: what builds on it has nothing to stand on.
  const runs = await runsOf(home)
  const first = runs.find(({ update }) => Buffer.from(update).includes('of one run')) as TextRun
  const hollow = replaced(pruned, (run) =>
    run.end.hash === first.end.hash
      ? signRun({ ...run, to: 0, update: Uint8Array.of(0, 0) }, maker, sodium)
      : undefined,
  )
  for (const steps of [[hollow], hollow.rows.map((row) => ({ ...hollow, rows: [row] }))]) {
    for (const step of steps) await office.documents.receivePruned([step], homes.mesh.home.id)
    expect(office.warnings).toContainEqual({ code: 'TEXTS_BROKEN' })
    expect(await office.documents.vectorOf(homes.semantic)).toEqual([])
    expect((await office.documents.open(homes.semantic)).counts().received).toBe(0)
    await office.documents.receivePruned([pruned], homes.mesh.home.id)
    expect(office.warnings).toContainEqual({ code: 'GIVEN_UP' })
    expect(await office.documents.vectorOf(homes.semantic)).toEqual([])
    skewMs += 3_601_000
  }
  await homes.stop(office)
  office = await homes.start('office', homes.mesh.office)
  await pull(home, office)
  expect(await stateOf(office)).toEqual(await stateOf(home))
  expect(await office.documents.examine(homes.semantic)).toMatchObject({ damaged: false })
})

test('a damaged run is found, and comes again from a peer', async () => {
  grant(homes.mesh.office)
  let { home } = await drawn()
  const office = await homes.start('office', homes.mesh.office)
  await pull(home, office)
  await type(home, 0, 'Above. ')
  await pull(home, office)
  const before = await stateOf(home)
  const id = documentIdOf(homes.semantic, sodium)
  const record = await new BaseStore(home.store).read(id)
  const [first] = await runsOf(home)
  if (first === undefined || record === undefined) throw new Error('There is a run.')
  for (const harm of ['lost', 'hollow'] as const) {
    const bases = new BaseStore(home.store)
    const { signKey } = { signKey: homes.mesh.home.keys.secretKey }
    const put = bases.putRow(id, (await bases.read(id))!.generation, first)
    const hollow = signRun(
      { ...first, to: 0, update: Uint8Array.of(0, 0) },
      { node: homes.mesh.home.id, signKey },
      sodium,
    )
    // Its check is right, and so is the number of rows: it shows where the texts are put together.
    await home.store.commit([
      harm === 'lost'
        ? { type: 'delete', key: put.key }
        : bases.putRow(id, (await bases.read(id))!.generation, hollow!),
    ])
    await homes.stop(home)
    home = await homes.start('home', homes.mesh.home)
    await expect(home.documents.open(homes.semantic)).rejects.toMatchObject({ code: 'STORE_DAMAGED' })
    await pull(office, home, 200, homes.mesh.office.id)
    expect(await home.documents.examine(homes.semantic)).toMatchObject({ damaged: false })
    expect(await stateOf(home)).toEqual(before)
  }
})

/** By hand: SEALMESH_EDITS=20000. */
const EDITS = Number(process.env.SEALMESH_EDITS ?? 1_000)

test(`${EDITS} edits of a note by two nodes take little when they are compacted, and load sooner`, {
  timeout: 900_000,
}, async () => {
  grant(homes.mesh.office)
  let home = await homes.start('home', homes.mesh.home)
  const office = await homes.start('office', homes.mesh.office)
  await type(home, 0, 'The quick brown fox jumps over the lazy dog. '.repeat(45))
  await pull(home, office)
  for (let edit = 0; edit < EDITS; edit++) {
    const [writer, reader] = edit % 200 < 100 ? [home, office] : [office, home]
    // As people type: some letters in one place, a slip now and then taken back.
    const at = (Math.floor(edit / 20) * 7_919 + (edit % 20)) % 2_000
    if (edit % 10 < 6) await type(writer, at, 'abcdefghij'[edit % 10] ?? 'x')
    else await erase(writer, at, 1)
    if (edit % 100 === 99) await pull(writer, reader)
  }
  for (const [from, to] of [
    [home, office],
    [office, home],
  ] as const)
    await pull(from, to)
  const before = await stateOf(home)
  const load = async () => {
    await homes.stop(home)
    home = await homes.start('home', homes.mesh.home)
    const start = performance.now()
    await home.documents.open(homes.semantic)
    return performance.now() - start
  }
  const disk = await onDisk(home)
  const whole = Math.min(await load(), await load())
  expect(await compact(home, homes.mesh.home, new Map([[homes.mesh.office.id, office]]))).toBe(true)
  const after = await onDisk(home)
  const short = Math.min(await load(), await load())
  expect(await stateOf(home)).toEqual(before)
  expect(await stateOf(office)).toEqual(before)
  console.log({ edits: EDITS, before: disk, after, ratio: disk.bytes / after.bytes, loadMs: [whole, short] })
  expect(after.bytes).toBeLessThan(disk.bytes / 10)
  expect(short).toBeLessThan(whole)
})

/** Longer by hand. */
const RUNS = Number(process.env.SEALMESH_RUNS ?? 12)

test('whatever is typed, and wherever bases are drawn, sent in pieces and cut: all read the same', {
  timeout: 600_000,
}, async () => {
  for (const node of [homes.mesh.office, homes.mesh.laptop]) grant(node)
  const seed = Number(process.env.SEALMESH_SEED ?? Math.floor(Math.random() * 2 ** 31))
  console.log(`seed ${seed}`)
  for (let round = 0; round < RUNS; round++) await randomly(`${round}-`, (seed + round) >>> 0)
})

async function randomly(prefix: string, seed: number): Promise<void> {
  const { pick, one, random } = dice(seed)
  const nodes = { home: homes.mesh.home, office: homes.mesh.office, laptop: homes.mesh.laptop }
  type Which = keyof typeof nodes
  const start = (which: Which, directory: string = which) => homes.start(prefix + directory, nodes[which])
  const running = { home: await start('home'), office: await start('office'), laptop: await start('laptop') }
  // Laptop never draws a base.
  const drawers: readonly Which[] = ['home', 'office']
  const all = ['home', 'office', 'laptop'] as const
  const others = () => new Map(all.map((which) => [nodes[which].id, running[which]]))
  const newcomers: Running[] = []
  const send = (from: Which, to: Running, bytes?: number) => pull(running[from], to, bytes, nodes[from].id)
  for (let steps = 40; steps > 0; steps--) {
    const which = one(all)
    const what = random()
    const name = one(['notes', 'plan'])
    if (what < 0.4) await type(running[which], pick(60), one(['a', 'word ', 'a line\n']), name)
    else if (what < 0.55) await erase(running[which], pick(60), 1 + pick(5), name)
    else if (what < 0.6) await running[which].documents.write(homes.semantic, [set(`k${pick(3)}`, `${steps}`)])
    else if (what < 0.8) await send(one(all), running[which], one([200, 1_000, 1_000_000]))
    else if (what < 0.87) {
      await homes.stop(running[which])
      running[which] = await start(which)
    } else {
      if (random() < 0.6) for (const from of all) for (const to of all) await send(from, running[to])
      const drawer = one(drawers)
      await compact(running[drawer], nodes[drawer], others())
    }
  }
  for (let again = 0; again < 2; again++) for (const from of all) for (const to of all) await send(from, running[to])
  const expected = await stateOf(running.laptop)
  for (const which of drawers) {
    await compact(running[which], nodes[which], others())
    // In pieces of any size, with stops in between.
    let newcomer = await start(which === 'home' ? 'office' : 'home', `new-${which}`)
    for (let more = true; more; ) {
      const vector = await newcomer.documents.vectorOf(homes.semantic)
      const delta = await running[which].documents.after(homes.semantic, vector, one([1, 300, 2_000]))
      if (delta.pruned !== undefined) await newcomer.documents.receivePruned([delta.pruned], nodes[which].id)
      if (delta.blocks.length > 0) await newcomer.documents.receive(delta.blocks)
      more = delta.more
      if (random() < 0.1) {
        await homes.stop(newcomer)
        newcomer = await start(which === 'home' ? 'office' : 'home', `new-${which}`)
      }
    }
    newcomers.push(newcomer)
  }
  for (const each of [running.home, running.office, ...newcomers]) expect(await stateOf(each)).toEqual(expected)
  // Each edits what lies below the base of some, and they exchange it.
  const live = [...all.map((which) => running[which]), ...newcomers]
  for (const each of live) {
    await type(each, pick(60), 'at once ')
    await erase(each, pick(60), 3)
  }
  for (let again = 0; again < 2; again++)
    for (const from of live) for (const to of live) if (from !== to) await pull(from, to)
  const [first, ...rest] = await Promise.all(live.map((each) => stateOf(each)))
  for (const each of rest) expect(each).toEqual(first)
  for (const each of live) await homes.stop(each)
}
