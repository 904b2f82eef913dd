import type { AuctionRecord } from '@sealmesh/protocol/messages/auction'
import type { TaskRecord } from '@sealmesh/protocol/messages/task'
import { expect, test } from 'vitest'
import { Auctions, cheapest } from './auctions.ts'
import { Bidder } from './bidder.ts'
import { Tasks } from './tasks.ts'
import { forSeeds } from './test-seeds.ts'
import { CALM, ROUGH, TestWorld } from './test-world.ts'
import { Worker } from './worker.ts'

const BIDDERS = ['ada', 'bob', 'cyd', 'dan']
const NODES = ['home', 'office', 'travel']
const UMR = 'caller.tasks.auction.a'
const auction = { id: 'a', title: 'the shed', capability: 'build', payload: { wood: 12 }, withinMs: 8_000 }

test('whatever crashes and is cut off, there is one winner on every node, and nobody else ever acts', async () => {
  const ends = new Set<string>()
  let passedOver = 0
  await forSeeds(50, async (seed) => {
    const world = new TestWorld(seed, ROUGH)
    const { pick, random, one } = world.dice
    const acted: string[] = []
    world.add('caller', 'home', async ({ deps }) => {
      const auctions = await Auctions.start(deps)
      await new Promise<void>((resolve) => deps.after(500, resolve))
      await auctions.call(auction)
    })
    BIDDERS.forEach((name, at) => {
      world.add(
        name,
        NODES[at % 3] as string,
        ({ deps }) => {
          new Bidder(deps, {
            bid: async () => (random() < 0.1 ? null : { price: pick(20), load: pick(2), capacity: 2 }),
            takes: () => random() < 0.8,
            onWon: ({ payload, caller }) => {
              expect([payload, caller]).toEqual([auction.payload, 'caller'])
              // Recorded before anybody acts.
              expect(world.onDisk(UMR)).toMatchObject({ state: 'sold', winner: name })
              acted.push(name)
            },
          })
          // Somebody who bids again and again, and answers awards that are not his.
          if (name !== 'dan') return
          for (let atMs = 500; atMs < 30_000; atMs += 1_500)
            deps.after(atMs, () => {
              const bid = { auction: 'a', price: pick(20), load: 0, capacity: 1 }
              const answer = { auction: 'a', attempt: 1 + pick(3), take: true }
              const draft = one([
                { type: 'bid', payload: bid },
                { type: 'award-answer', payload: answer },
              ])
              void deps.port.send({ to: 'caller', durable: true, ...draft })
            })
        },
        { capabilities: ['build'] },
      )
    })
    world.storm(40_000)
    await world.run(200_000)

    const versions = world.writes.filter(({ umr }) => umr === UMR).map(({ value }) => value as AuctionRecord)
    const last = versions.at(-1) as AuctionRecord
    expect(last).toMatchObject({ told: true })
    ends.add(last.state)
    if (last.attempt > 1) passedOver++
    const winners = new Map<number, string | null>()
    let sold: AuctionRecord | undefined
    for (const version of versions) {
      if (sold !== undefined) expect({ ...version, told: true }).toEqual({ ...sold, told: true })
      if (version.state === 'sold') sold ??= version
      expect(new Set(version.bids.map(({ bidder }) => bidder)).size).toBe(version.bids.length)
      if (version.state === 'open' || version.state === 'unsold') continue
      expect(version.winner).toBe(version.bids[version.attempt - 1]?.bidder)
      if (winners.has(version.attempt)) expect(version.winner).toBe(winners.get(version.attempt))
      winners.set(version.attempt, version.winner)
      for (const [place, bid] of version.bids.entries())
        expect(bid.score).toBeLessThanOrEqual(version.bids[place - 1]?.score ?? bid.score)
    }
    expect(new Set(acted)).toEqual(new Set(last.state === 'sold' ? [last.winner] : []))
    for (const name of BIDDERS) expect(world.seenBy(name, UMR)).toEqual(last)
  })
  expect([...ends]).toContain('sold')
  expect(passedOver).toBeGreaterThan(0)
}, 120_000)

test('the best bid wins, its first one: another after it changes nothing', async () => {
  const world = new TestWorld(1, CALM)
  let over: AuctionRecord | undefined
  const prices: Record<string, number> = { ada: 5, bob: 3, cyd: 9 }
  for (const [name, price] of Object.entries(prices))
    world.add(
      name,
      'office',
      ({ deps }) => void new Bidder(deps, { bid: async () => ({ price, load: 0, capacity: 1 }), onWon: () => {} }),
      { capabilities: ['build'] },
    )
  world.add('caller', 'home', async ({ deps }) => {
    over = await (await (await Auctions.start(deps)).call(auction)).over
  })
  await world.run(2_000)
  const payload = { auction: 'a', price: 0, load: 0, capacity: 1 }
  await Promise.all([world.forge('cyd', { to: 'caller', type: 'bid', payload }), world.run(1_000)])
  await world.run(30_000)
  expect(over).toMatchObject({ state: 'sold', winner: 'bob', attempt: 1 })
  expect(over?.bids.map(({ bidder }) => bidder)).toEqual(['bob', 'ada', 'cyd'])
  expect(cheapest({ auction: 'a', price: 0, load: 1, capacity: 2 }, '')).toBe(-0.5)
})

test('a winner that is cut off does not act, and the next best one does', async () => {
  const world = new TestWorld(2, CALM)
  const acted: string[] = []
  const bidder = (name: string, node: string, price: number) =>
    world.add(
      name,
      node,
      ({ deps }) =>
        void new Bidder(deps, {
          bid: async () => ({ price, load: 0, capacity: 1 }),
          onWon: () => void acted.push(name),
        }),
      { capabilities: ['build'] },
    )
  bidder('ada', 'travel', 1)
  bidder('bob', 'office', 2)
  world.add('caller', 'home', async ({ deps }) => void (await (await Auctions.start(deps)).call(auction)))
  await world.run(5_000)
  world.partition(['travel'])
  await world.run(30_000)
  expect(world.onDisk(UMR)).toMatchObject({ state: 'sold', winner: 'bob', attempt: 2 })
  world.heal()
  await world.run(30_000)
  expect(acted).toEqual(['bob'])
})

test('a winner acts once although every message comes twice', async () => {
  const world = new TestWorld(5, { ...CALM, twice: 1 })
  const acted: string[] = []
  world.add(
    'ada',
    'office',
    ({ deps }) => {
      const bid = async () => ({ price: 1, load: 0, capacity: 1 })
      new Bidder(deps, { bid, onWon: () => void acted.push('ada') })
    },
    { capabilities: ['build'] },
  )
  world.add('caller', 'home', async ({ deps }) => void (await (await Auctions.start(deps)).call(auction)))
  await world.run(60_000)
  expect(acted).toEqual(['ada'])
})

test('whatever becomes of a winner that was told, it is called until it has acted, and nobody else is', async () => {
  let moved = 0
  await forSeeds(40, async (seed) => {
    const world = new TestWorld(seed, { ...ROUGH, writeFails: 0 })
    const { pick, random } = world.dice
    const began: string[] = []
    const acted: string[] = []
    world.add('caller', 'home', async ({ deps }) => {
      const auctions = await Auctions.start(deps)
      await new Promise<void>((resolve) => deps.after(500, resolve))
      await auctions.call(auction)
    })
    let ends = 1 + pick(3)
    for (const [at, name] of BIDDERS.slice(0, 2).entries()) {
      world.add(
        name,
        NODES[1 + at] as string,
        ({ deps }) => {
          // The caller's register is not granted to it: after its end it knows what it is told and no more.
          const port = { ...deps.port, read: async () => undefined }
          new Bidder(
            { ...deps, port },
            {
              bid: async () => ({ price: at, load: 0, capacity: 1 }),
              onWon: async ({ payload }) => {
                expect(payload).toEqual(auction.payload)
                began.push(name)
                if (random() < 0.2) throw new Error('not now')
                const isMoved = random() < 0.5
                if (ends-- > 0)
                  world.at(pick(400), () => {
                    if (isMoved) moved += 1
                    // With all that its machine had been handed.
                    if (isMoved) world.takeOver(name, BIDDERS[1 - at] as string)
                    else world.crash(name)
                    world.at(pick(5_000), () => world.start(name))
                  })
                await new Promise<void>((resolve) => deps.after(500, resolve))
                acted.push(name)
              },
            },
          )
        },
        { capabilities: ['build'] },
      )
    }
    // It may end or fail every time that it is told, which is every ten minutes at last.
    await world.run(100 * 600_000, () => (world.onDisk(UMR) as AuctionRecord | undefined)?.told === true)
    await world.run(60_000)
    const record = world.onDisk(UMR) as AuctionRecord
    expect(record).toMatchObject({ state: 'sold', told: true })
    expect(new Set(acted)).toEqual(new Set([record.winner]))
    expect(new Set(began)).toEqual(new Set([record.winner]))
  })
  expect(moved).toBeGreaterThan(0)
}, 60_000)

test('an auction without bids is unsold, and one that is withdrawn is nobody’s', async () => {
  const world = new TestWorld(3, CALM)
  const controller = new AbortController()
  world.add('caller', 'home', async ({ deps }) => {
    const auctions = await Auctions.start(deps)
    await auctions.call(auction)
    await auctions.call({ ...auction, id: 'b', signal: controller.signal })
  })
  await world.run(5_000)
  controller.abort()
  await world.run(30_000)
  expect(world.onDisk(UMR)).toMatchObject({ state: 'unsold', winner: null })
  expect(world.onDisk('caller.tasks.auction.b')).toMatchObject({ state: 'cancelled' })
})

test('a task that is sold goes to the winner, and to another when the winner is lost', async () => {
  const world = new TestWorld(4, CALM)
  const held: { tasks?: Tasks } = {}
  world.add('caller', 'home', async ({ deps }) => {
    held.tasks = await Tasks.start(deps)
    const auctions = await Auctions.start(deps)
    await new Promise<void>((resolve) => deps.after(100, resolve))
    await auctions.assign(held.tasks, auction)
  })
  for (const [name, price] of [
    ['ada', 1],
    ['bob', 2],
  ] as const)
    world.add(name, 'office', async ({ deps }) => {
      new Bidder(deps, { bid: async () => ({ price, load: 0, capacity: 1 }), onWon: () => {} })
      await Worker.start(deps, {
        capabilities: ['build'],
        capacity: 1,
        tasks: await Tasks.start(deps),
        handle: () => new Promise((resolve) => deps.after(20_000, () => resolve(name))),
      })
    })
  await world.run(15_000)
  const record = () => world.onDisk('caller.tasks.task.a') as TaskRecord
  expect(record()).toMatchObject({ state: 'assigned', assignee: 'ada', prefer: 'ada' })
  world.crash('ada')
  void held.tasks?.lost('ada')
  await world.run(60_000)
  expect(record()).toMatchObject({ state: 'done', doneBy: 'bob', attempt: 2 })
})
