import { setTimeout as pause } from 'node:timers/promises'
import type { Block } from '@sealmesh/protocol/crdt/block'
import { documentIdOf } from '@sealmesh/protocol/crdt/block-codec'
import { type ClosedLink, extendChain } from '@sealmesh/protocol/crdt/closed-set'
import type { ClosedDigest, DocumentId, IncarnationId } from '@sealmesh/protocol/ids'
import { decodePayload, type SyncItem } from '@sealmesh/protocol/sync/payload'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { blocksOfRuns } from '../documents/many-incarnations.ts'
import { type Running, set, valueOf } from '../documents/test-homes.ts'
import { closedKey, TABLES } from '../store/keys.ts'
import { ClosedScene, endOf } from './test-closed.ts'
import { exchangeBeside } from './test-exchange.ts'

let scene: ClosedScene

beforeEach(async () => {
  scene = await ClosedScene.make()
})

afterEach(() => scene.remove())

test('a set that one node has made is fetched by the other, whose blocks and receipts then stand on it', async () => {
  const [home, office] = [await scene.start('home', 4), await scene.start('office', 4)]
  await scene.fill(home, 20)
  await scene.join(home, office)
  await scene.together(home, office)
  expect(await scene.compact(home, 'home', office)).toBe(true)
  const digest = await scene.floorOf(home)
  expect(digest).not.toBeNull()
  await home.documents.write(scene.semantic, [set('a', 'from home')])
  await vi.waitFor(async () => expect(await valueOf(office.documents, scene.semantic, 'a')).toBe('from home'), 20_000)
  expect((await scene.blockOf(office, 'a')).header.floor).toEqual({ digest, upTo: null })
  expect(office.closed.knows(documentIdOf(scene.semantic, scene.sodium), digest!)).toBe(true)
  // It stands on it itself once its own base reaches as far.
  expect(await scene.floorOf(office)).toBeNull()
  expect(await scene.compact(office, 'office', home)).toBe(true)
  expect(await scene.floorOf(office)).toBe(digest)
  await office.documents.write(scene.semantic, [set('b', 'from office')])
  await vi.waitFor(async () => expect(await valueOf(home.documents, scene.semantic, 'b')).toBe('from office'), 20_000)
  await scene.together(home, office)
}, 60_000)

test('a set whose packets are lost is asked for again', async () => {
  const [home, office] = [await scene.start('home', 4), await scene.start('office', 4)]
  await scene.fill(home, 20)
  expect(await scene.compact(home, 'home')).toBe(true)
  const lost = new Set<SyncItem['type']>()
  scene.line.passes = ({ payload }) => {
    const items = decodePayload(payload.subarray(1)) // As they are: so few are not deflated.
    const of = items.ok ? items.value.map(({ type }) => type) : []
    const isLost = of.some((type) => (type === 'closed' || type === 'want-closed') && !lost.has(type))
    for (const type of of) if (isLost) lost.add(type)
    return !isLost
  }
  await home.documents.write(scene.semantic, [set('a', 'from home')])
  await scene.join(home, office)
  await scene.together(home, office)
  expect(lost).toContain('closed')
  expect(lost).toContain('want-closed')
}, 120_000)

test('a link whose bytes were damaged is asked for again, and until then the document is refused', async () => {
  const [home, office] = [await scene.start('home', 4), await scene.start('office', 4)]
  await scene.fill(home, 20)
  expect(await scene.compact(home, 'home')).toBe(true)
  const digest = (await scene.floorOf(home))!
  await home.documents.write(scene.semantic, [set('a', 'from home')])
  await scene.join(home, office)
  await scene.together(home, office)
  await scene.line.leave(scene.homes.mesh.office.id)

  const id = documentIdOf(scene.semantic, scene.sodium)
  for (const table of [TABLES.closed, TABLES.closedTwin] as const)
    await office.store.commit([{ type: 'put', key: closedKey(table, id, digest), value: new Uint8Array(80) }])
  await scene.homes.stop(office)
  const again = await scene.start('office', 4)
  await expect(again.documents.open(scene.semantic)).rejects.toMatchObject({ code: 'STORE_DAMAGED' })
  await scene.line.join(scene.homes.mesh.office.id, again)
  await vi.waitFor(async () => expect(await valueOf(again.documents, scene.semantic, 'a')).toBe('from home'), 30_000)
  expect(again.closed.missing.size).toBe(0)
  await scene.together(home, again)
}, 60_000)

const exchangeOf = (running: Running) => exchangeBeside(scene, running)

test('T-peer-5: links that nobody asked for or of foreign incarnations are not kept', async () => {
  const home = await scene.start('home')
  const { hear, want } = exchangeOf(home)
  const id = documentIdOf(scene.semantic, scene.sodium)
  const good = scene.linkOf([scene.homes.mint(scene.homes.mesh.office)])
  await hear([good])
  expect(home.closed.knows(id, good.digest)).toBe(false)
  const foreign = scene.linkOf(['ab'.repeat(16) as IncarnationId])
  want(foreign.digest)
  await hear([foreign])
  expect(home.closed.knows(id, foreign.digest)).toBe(false)
  expect(home.warnings).toMatchObject([{ code: 'CLOSED_SET_NOT_THEIRS' }])
})

test('of sets that have not been asked for yet nothing is taken, however many a peer has named', async () => {
  const home = await scene.start('home')
  const { hear, want, asked } = exchangeOf(home)
  const id = documentIdOf(scene.semantic, scene.sodium)
  const links = Array.from({ length: 6 }, () => scene.linkOf([scene.homes.mint(scene.homes.mesh.office)]))
  for (const { digest } of links) want(digest)
  const [first, , , , fifth] = links
  expect(asked).toHaveLength(4)
  await hear([fifth!])
  expect(home.closed.knows(id, fifth!.digest)).toBe(false)
  await hear([first!])
  await hear([fifth!])
  expect(home.closed.knows(id, fifth!.digest)).toBe(true)
})

test('a set that a block has named when it came stays, also where the block has to wait', async () => {
  const home = await scene.start('home', 4)
  const { hear, want } = exchangeOf(home)
  const { office } = scene.homes.mesh
  const id = documentIdOf(scene.semantic, scene.sodium)
  const dots = Array.from({ length: 1_100 }, () => endOf(scene.homes.mint(office)))
  const links = extendChain(id, [], dots, scene.sodium)
  const { digest } = links.at(-1)!
  want(digest)
  await hear(links.toReversed())
  const [block] = blocksOfRuns(scene.homes, scene.sodium, scene.semantic, [office], 1, {
    floor: { digest, upTo: null },
  })
  expect(await home.documents.receive([block!.bytes])).toMatchObject([{ stored: 0, waiting: 1 }])
  for (let made = 0; made < 300; made++)
    await home.closed.take(id, [scene.linkOf([scene.homes.mint(office)])], office.id)
  expect(home.closed.knows(id, digest)).toBe(true)
}, 60_000)

test('sets that nothing needs give way to others; those that a block, a peer or this node stands on stay', async () => {
  const home = await scene.start('home', 4)
  await scene.fill(home, 20)
  expect(await scene.compact(home, 'home')).toBe(true)
  const own = (await scene.floorOf(home))!
  const { hear, want } = exchangeOf(home)
  const id = documentIdOf(scene.semantic, scene.sodium)
  const [named, said] = [
    scene.linkOf([scene.homes.mint(scene.homes.mesh.office)]),
    scene.linkOf([scene.homes.mint(scene.homes.mesh.office)]),
  ]
  for (const each of [named, said]) {
    want(each.digest)
    await hear([each])
  }
  const floor = { digest: named.digest, upTo: null }
  const [block] = blocksOfRuns(scene.homes, scene.sodium, scene.semantic, [scene.homes.mesh.office], 1, { floor })
  expect(await home.documents.receive([block!.bytes])).toMatchObject([{ stored: 1 }])
  home.closed.said(id, said.digest, scene.homes.mesh.office.id)
  const others: ClosedLink[] = []
  for (let made = 0; made < 600; made++) {
    const each = scene.linkOf([scene.homes.mint(scene.homes.mesh.office)])
    want(each.digest)
    await hear([each])
    expect(home.closed.knows(id, each.digest)).toBe(true)
    others.push(each)
  }
  expect(others.filter(({ digest }) => home.closed.knows(id, digest)).length).toBeLessThanOrEqual(256)
  for (const digest of [own, named.digest, said.digest]) expect(home.closed.knows(id, digest)).toBe(true)
  expect((await home.closed.of(id)).entries(others[0]!.digest)).toBeUndefined()
  // It is on disk as it is here.
  await scene.homes.stop(home)
  const again = await scene.start('home', 4)
  for (const digest of [own, named.digest]) expect(again.closed.knows(id, digest)).toBe(true)
  expect(others.filter(({ digest }) => again.closed.knows(id, digest)).length).toBeLessThanOrEqual(256)
  expect(await valueOf(again.documents, scene.semantic, 'k0')).toBe('v0')
}, 60_000)

test('a set that a signed block names is kept, however many its author or others have named before', async () => {
  const home = await scene.start('home', 4)
  const { hear, want } = exchangeOf(home)
  const id = documentIdOf(scene.semantic, scene.sodium)
  const { office } = scene.homes.mesh
  const blocks: Block[] = []
  for (let made = 0; made < 300; made++) {
    const each = scene.linkOf([scene.homes.mint(office)])
    const floor = { digest: each.digest, upTo: null }
    const [block] = blocksOfRuns(scene.homes, scene.sodium, scene.semantic, [office], 1, { floor })
    const [report] = await home.documents.receive([block!.bytes])
    expect(report!.unknownFloors).toEqual([{ digest: each.digest, by: null }])
    want(each.digest, null)
    await hear([each])
    expect(home.closed.knows(id, each.digest)).toBe(true)
    expect(await home.documents.receive([block!.bytes])).toMatchObject([{ stored: 1 }])
    blocks.push(block!)
  }
  // What is named by a word alone has a bound of its own, and takes nothing from those.
  for (let made = 0; made < 300; made++) {
    const each = scene.linkOf([scene.homes.mint(office)])
    want(each.digest)
    await hear([each])
    expect(home.closed.knows(id, each.digest)).toBe(true)
  }
  for (const { header } of blocks) expect(home.closed.knows(id, header.floor!.digest)).toBe(true)
  expect(home.warnings).toEqual([])
  expect(await home.documents.vectorOf(scene.semantic)).toHaveLength(300)
}, 60_000)

test('sets are sent while there is room for a packet, each once, and so many bytes in a second', async () => {
  const home = await scene.start('home', 4)
  const { beAsked, answer, sent, giveRoom, tick } = exchangeOf(home)
  const id = documentIdOf(scene.semantic, scene.sodium)
  const digests: ClosedDigest[] = []
  for (let made = 0; made < 8; made++) {
    const dots = Array.from({ length: 3_072 }, () => endOf(scene.homes.mint(scene.homes.mesh.office)))
    const links = extendChain(id, [], dots, scene.sodium)
    await home.closed.take(id, links, null)
    digests.push(links.at(-1)!.digest)
  }
  giveRoom(0)
  await beAsked(Array.from({ length: 64 }, () => digests[0]!))
  expect(sent).toEqual([])
  giveRoom(Number.POSITIVE_INFINITY)
  await answer()
  expect(sent).toHaveLength(1)
  await answer()
  expect(sent).toHaveLength(1)
  for (const digest of digests) await beAsked([digest])
  const before = sent.length
  expect(before).toBeLessThan(7)
  tick()
  await answer()
  expect(sent.length).toBeGreaterThan(before)
  tick()
  await answer()
  expect(sent).toHaveLength(9)
})

test('replicas end equal however many sets one author names', async () => {
  const [home, office] = [await scene.start('home', 4), await scene.start('office', 4)]
  const { agent, laptop } = scene.homes.mesh
  const to = { type: 'node', node: laptop.id } as const
  scene.homes.mesh.append({ type: 'grant', agent, layer: 'semantic', to, access: 'write' }, 'agent')
  const id = documentIdOf(scene.semantic, scene.sodium)
  for (const running of [home, office]) {
    for (let made = 0; made < 140; made++) {
      const link = scene.linkOf([scene.homes.mint(laptop)])
      await running.closed.take(id, [link], laptop.id)
      const floor = { digest: link.digest, upTo: null }
      const [block] = blocksOfRuns(scene.homes, scene.sodium, scene.semantic, [laptop], 1, { floor })
      expect(await running.documents.receive([block!.bytes])).toMatchObject([{ stored: 1 }])
    }
  }
  await scene.join(home, office)
  await scene.together(home, office)
  expect(await home.documents.vectorOf(scene.semantic)).toHaveLength(280)
}, 120_000)

test('T-peer-13: what somebody says over a set of a document that he may not read is neither put together nor sent', async () => {
  const home = await scene.start('home', 4)
  const { open, beAsked, sent } = exchangeOf(home)
  const id = documentIdOf(scene.semantic, scene.sodium)
  const link = scene.linkOf([scene.homes.mint(scene.homes.mesh.office)])
  await home.closed.take(id, [link], scene.homes.mesh.office.id)
  const floor = { digest: link.digest, upTo: null }
  const said: SyncItem = {
    type: 'vectors',
    asks: false,
    documents: [{ document: scene.semantic, floor, vector: [] }],
  }
  const vector = link.entries
  expect(await open([said])).toEqual([{ ...said, documents: [{ document: scene.semantic, vector }] }])
  const stranger = exchangeBeside(scene, home, scene.homes.mesh.laptop.id)
  expect(await stranger.open([said])).toEqual([{ ...said, documents: [] }])
  // Nor is it sent to him.
  await stranger.beAsked([link.digest])
  expect(stranger.sent).toEqual([])
  await beAsked([link.digest])
  expect(sent).toMatchObject([{ type: 'closed' }])
})

test('ends over a set are put together only for a row that is true, of a writer', async () => {
  const home = await scene.start('home', 4)
  const { office } = scene.homes.mesh
  const id = documentIdOf(scene.semantic, scene.sodium)
  const link = scene.linkOf([scene.homes.mint(office)])
  await home.closed.take(id, [link], office.id)
  const entries = vi.spyOn(await home.closed.of(id), 'entries')
  const floor = { digest: link.digest, upTo: null }
  const rows = [{ after: 0, bytes: Uint8Array.of(0, 1, 2) }]
  const said = { type: 'pruned', document: scene.semantic, floor, ends: [], rows } as const
  expect(await home.documents.receivePruned([said], office.id)).toMatchObject([{ stored: 0, refused: 1 }])
  expect(await home.documents.receivePruned([said], scene.homes.mesh.laptop.id)).toMatchObject([
    { stored: 0, refused: 1 },
  ])
  expect(entries).not.toHaveBeenCalled()
})

test('what cannot be had keeps nothing from being asked for', async () => {
  const before = await scene.start('home', 4)
  await scene.fill(before, 4)
  await scene.homes.stop(before)
  const home = await scene.start('home', 4)
  const { tick, asked, passMs } = exchangeOf(home)
  const id = documentIdOf(scene.semantic, scene.sodium)
  const digests = Array.from({ length: 11 }, (_, at) => (at + 16).toString(16).repeat(32) as ClosedDigest)
  for (const digest of digests) home.closed.miss(id, digest)
  // Of a document that is not here any more.
  home.closed.miss('f7'.repeat(32) as DocumentId, 'f8'.repeat(32) as ClosedDigest)
  for (let turn = 0; turn < 12; turn++) {
    tick()
    passMs(25_000)
  }
  const named = new Set(asked.flatMap((item) => (item.type === 'want-closed' ? [item.digest] : [])))
  expect([...named].toSorted()).toEqual(digests)
  expect(home.closed.missing.has('f8'.repeat(32) as ClosedDigest)).toBe(false)
  // Nothing of the document stands on any of them.
  await home.documents.open(scene.semantic)
  expect(home.closed.missing.size).toBe(0)
})

test('a peer that names many sets is asked for one after another, and what had come of the first is not lost', async () => {
  const home = await scene.start('home', 4)
  const { hear, want, asked } = exchangeOf(home)
  const id = documentIdOf(scene.semantic, scene.sodium)
  const dots = Array.from({ length: 1_100 }, () => endOf(scene.homes.mint(scene.homes.mesh.office)))
  const [first, last] = extendChain(id, [], dots, scene.sodium) as [ClosedLink, ClosedLink]
  want(last.digest)
  await hear([last])
  const others = Array.from({ length: 6 }, () => scene.linkOf([scene.homes.mint(scene.homes.mesh.office)]))
  for (const { digest } of others) want(digest)
  const wants = () => asked.flatMap((item) => (item.type === 'want-closed' ? [item.digest] : []))
  expect(wants()).not.toContain(others[5]!.digest)
  await hear([first])
  expect(home.closed.knows(id, last.digest)).toBe(true)
  for (const each of others) {
    expect(wants()).toContain(each.digest)
    await hear([each])
    expect(home.closed.knows(id, each.digest)).toBe(true)
  }
})

test('a document whose set has come too soon after it was asked for is asked for later', async () => {
  const home = await scene.start('home')
  const { hear, want, kept, tooSoon, tick } = exchangeOf(home)
  const link = scene.linkOf([scene.homes.mint(scene.homes.mesh.office)])
  want(link.digest)
  tooSoon(true)
  await hear([link])
  tick()
  await pause(1)
  expect(kept).toEqual([])
  tooSoon(false)
  for (let ticks = 0; ticks < 2; ticks++) {
    tick()
    await pause(1)
  }
  expect(kept).toEqual([scene.semantic])
})

test('a chain comes link by link, each by the digest that the one before it names', async () => {
  const home = await scene.start('home')
  const { hear, want, asked, kept } = exchangeOf(home)
  const id = documentIdOf(scene.semantic, scene.sodium)
  const dots = Array.from({ length: 2_100 }, () => endOf(scene.homes.mint(scene.homes.mesh.office)))
  const links = extendChain(id, [], dots, scene.sodium)
  const digest = links[2]!.digest
  want(digest)
  await hear([links[2]!])
  expect(asked.map((item) => item.type === 'want-closed' && item.digest)).toEqual([digest, links[1]!.digest])
  await hear([links[0]!])
  expect(kept).toEqual([])
  await hear([links[1]!, links[0]!])
  expect(kept).toEqual([scene.semantic])
  expect((await home.closed.of(id)).entries(digest)).toHaveLength(2_100)
})

test('T-peer-9: a block under a made-up set waits; what others wrote does not', async () => {
  const home = await scene.start('home')
  const { home: author, office } = scene.homes.mesh
  const [own] = blocksOfRuns(scene.homes, scene.sodium, scene.semantic, [author], 1)
  const floor = { digest: 'f1'.repeat(32) as ClosedDigest, upTo: null }
  const [made] = blocksOfRuns(scene.homes, scene.sodium, scene.semantic, [office], 1, { floor })
  const reports = await home.documents.receive([made!.bytes, own!.bytes])
  const unknownFloors = [{ digest: floor.digest, by: null }]
  expect(reports).toMatchObject([{ stored: 1, refused: 0, waiting: 0, unknownFloors }])
  expect(await home.documents.vectorOf(scene.semantic)).toHaveLength(1)
})

test('a run that has much to say that a first block can name by a set ends, and its author goes on as another', async () => {
  const [home, office] = [await scene.start('home', 4), await scene.start('office', 4)]
  const { semantic } = scene.homes
  await home.documents.write(semantic, [set('a', '1')])
  await scene.fill(office, 1_100)
  expect(await scene.compact(office, 'office')).toBe(true)
  await scene.join(home, office)
  await scene.together(home, office)
  await home.documents.write(semantic, [set('b', '2')])
  const [a, b] = await Promise.all(['a', 'b'].map((key) => scene.blockOf(home, key)))
  expect(b!.header.incarnation).not.toBe(a!.header.incarnation)
  expect(b!.header).toMatchObject({ sequence: 1, floor: { digest: await scene.floorOf(home) } })
  expect(b!.header.received.length).toBeLessThan(10)
  // What it had said before is not said again by who reads its blocks back.
  const { sequence, received } = (await home.documents.open(semantic)).nextOf(a!.header.incarnation)
  expect([sequence, received.length]).toEqual([2, 1_101])
}, 60_000)

test('a block over a set of which hardly anything is here is not stored until the rest has come', async () => {
  const home = await scene.start('home')
  const { hear, want } = exchangeOf(home)
  const runs = blocksOfRuns(scene.homes, scene.sodium, scene.semantic, [scene.homes.mesh.office], 1_100)
  const ends = runs.map(({ header, hash }) => ({ incarnation: header.incarnation, sequence: 1, hash }))
  const links = extendChain(documentIdOf(scene.semantic, scene.sodium), [], ends, scene.sodium)
  const floor = { digest: links.at(-1)!.digest, upTo: null }
  want(floor.digest)
  await hear(links.toReversed())
  const [over] = blocksOfRuns(scene.homes, scene.sodium, scene.semantic, [scene.homes.mesh.office], 1, { floor })
  expect(await home.documents.receive([over!.bytes])).toMatchObject([{ stored: 0, waiting: 1, refused: 0 }])
  await home.documents.receive(runs.map(({ bytes }) => bytes))
  expect(await home.documents.receive([over!.bytes])).toMatchObject([{ stored: 1, waiting: 0 }])
})
