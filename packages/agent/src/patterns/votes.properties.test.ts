import type { VoteOutcome, VoteRecord } from '@sealmesh/protocol/messages/vote'
import { expect, test } from 'vitest'
import { forSeeds } from './test-seeds.ts'
import { CALM, ROUGH, TestWorld } from './test-world.ts'
import { Voter, voteOf } from './voter.ts'
import { Votes } from './votes.ts'

const VOTERS = ['ada', 'bob', 'cyd', 'dan', 'eve']
const OPTIONS = ['red', 'green']
const WITHIN_MS = 20_000
const UMR = 'caller.tasks.vote.v'

/** Counted in another way than the product does. */
function expectedOutcome({ votes, quorum, rule }: VoteRecord): Pick<VoteOutcome, 'decision' | 'reason'> {
  const forOption = (option: string) => votes.reduce((sum, { choice }) => sum + (choice === option ? 1 : 0), 0)
  if (votes.length < quorum) return { decision: null, reason: 'no-quorum' }
  const [red, green] = [forOption('red'), forOption('green')]
  if (red === green) return { decision: null, reason: 'tie' }
  // Of two options the one with more votes has a majority of those that were for one.
  expect(['plurality', 'majority']).toContain(rule)
  return { decision: red > green ? 'red' : 'green', reason: 'decided' }
}

test('whatever crashes and comes twice, nobody is counted twice and everybody reads the same outcome', async () => {
  const reasons = new Set<string>()
  await forSeeds(50, async (seed) => {
    const world = new TestWorld(seed, ROUGH)
    const { random, one, pick } = world.dice
    const sent = new Map<string, Set<string | null>>(VOTERS.map((name) => [name, new Set()]))
    const heard = new Map<string, VoteOutcome[]>()
    const quorum = 1 + pick(5)
    const rule = one(['plurality', 'majority'] as const)
    world.add('caller', 'home', async ({ deps }) => {
      const votes = await Votes.start(deps)
      if (world.onDisk(UMR) !== undefined) return
      await votes.call({
        id: 'v',
        question: 'Which?',
        options: OPTIONS,
        electorate: VOTERS,
        quorum,
        rule,
        withinMs: WITHIN_MS,
      })
    })
    VOTERS.forEach((name, at) => {
      world.add(name, ['home', 'office', 'travel'][at % 3] as string, ({ deps }) => {
        new Voter(deps, {
          decide: async () => {
            await new Promise<void>((resolve) => deps.after(pick(12_000), resolve))
            const choice = one(['red', 'green', 'green', null])
            sent.get(name)?.add(choice)
            return choice
          },
          onOutcome: (vote, caller, outcome) => {
            expect([vote, caller]).toEqual(['v', 'caller'])
            heard.set(name, [...(heard.get(name) ?? []), outcome])
          },
        })
        // Somebody who changes his mind, and votes again and again.
        if (name !== 'eve') return
        for (let atMs = 500; atMs < 30_000; atMs += 2_500)
          deps.after(atMs, () => {
            const choice = one(['red', 'green', null])
            sent.get(name)?.add(choice)
            const payload = { vote: 'v', choice }
            void deps.port.send({ to: 'caller', type: 'vote', payload, correlation: 'v', durable: random() < 0.5 })
          })
      })
    })
    // Nobody asked him.
    world.add('mal', 'travel', ({ deps }) => {
      const payload = { vote: 'v', choice: 'red' }
      deps.after(3_000, () => void deps.port.send({ to: 'caller', type: 'vote', payload, durable: true }))
    })
    world.storm(30_000)
    await world.run(200_000)

    const versions = world.writes.filter(({ umr }) => umr === UMR).map(({ value }) => value as VoteRecord)
    const last = versions.at(-1) as VoteRecord
    expect(last).toMatchObject({ told: true })
    const recorded = new Map<string, string | null>()
    for (const { votes, late, outcome, deadlineAtMs } of versions) {
      expect(new Set(votes.map(({ voter }) => voter)).size).toBe(votes.length)
      for (const { voter, choice, atMs } of votes) {
        expect(atMs).toBeLessThan(deadlineAtMs)
        expect(sent.get(voter)?.has(choice), `${voter} sent ${choice}`).toBe(true)
        if (recorded.has(voter)) expect(choice, 'a vote changed').toBe(recorded.get(voter))
        recorded.set(voter, choice)
      }
      for (const { voter } of late) expect(votes.some((vote) => vote.voter === voter)).toBe(false)
      if (outcome === null) continue
      expect(outcome).toEqual(last.outcome)
      expect(outcome).toMatchObject(expectedOutcome(last))
      expect(outcome.abstained + outcome.counts.reduce((sum, count) => sum + count.votes, 0)).toBe(votes.length)
      expect(outcome.missing).toBe(VOTERS.length - votes.length)
    }
    reasons.add(last.outcome?.reason ?? '')
    for (const name of VOTERS) {
      expect(heard.get(name)?.length, `${name} was told`).toBeGreaterThan(0)
      for (const outcome of heard.get(name) ?? []) expect(outcome).toEqual(last.outcome)
      expect((world.seenBy(name, UMR) as VoteRecord).outcome).toEqual(last.outcome)
    }
  })
  expect([...reasons]).toContain('decided')
}, 120_000)

async function called(
  seed: number,
  votes: readonly (readonly [voter: string, choice: string | null])[],
  more: object = {},
) {
  const world = new TestWorld(seed, CALM)
  let outcome: VoteOutcome | undefined
  const answers: unknown[] = []
  world.add('caller', 'home', async ({ deps }) => {
    const all = await Votes.start(deps)
    if (world.onDisk(UMR) !== undefined) return
    const vote = await all.call({
      id: 'v',
      question: 'Which?',
      options: ['a', 'b', 'c'],
      electorate: VOTERS,
      withinMs: 10_000,
      ...more,
    })
    outcome = await vote.outcome
  })
  for (const name of VOTERS)
    world.add(
      name,
      'office',
      ({ deps }) =>
        void deps.port.onDelivery(({ message }) => {
          if (message.type === 'vote-receipt') answers.push([name, message.payload])
        }),
    )
  await world.run(1_000)
  for (const [from, choice] of votes) {
    const payload = { vote: 'v', choice }
    await Promise.all([world.forge(from, { to: 'caller', type: 'vote', payload, correlation: 'v' }), world.run(100)])
  }
  return { world, answers, outcome: () => outcome }
}

test('an abstention counts to the quorum and for no option', async () => {
  const { world, outcome } = await called(1, [
    ['ada', 'a'],
    ['bob', null],
    ['cyd', null],
  ])
  await world.run(20_000)
  expect(outcome()).toMatchObject({ decision: 'a', reason: 'decided', abstained: 2, missing: 2 })
})

test('without a quorum there is no decision, however clear the votes are', async () => {
  const { world, outcome } = await called(8, [
    ['ada', 'a'],
    ['bob', 'a'],
  ])
  await world.run(20_000)
  expect(outcome()).toMatchObject({ decision: null, reason: 'no-quorum', missing: 3 })
})

test('without a majority there is no decision where one is asked for', async () => {
  const votes = [
    ['ada', 'a'],
    ['bob', 'a'],
    ['cyd', 'b'],
    ['dan', 'c'],
    ['eve', null],
  ] as const
  const { outcome } = await called(2, votes, { rule: 'majority' })
  // Everybody has voted: it does not wait for its deadline.
  expect(outcome()).toMatchObject({ decision: null, reason: 'no-majority' })
  expect((await called(2, votes)).outcome()).toMatchObject({ decision: 'a' })
})

test('a changed vote is refused with the one that counts, a late one listed and never counted', async () => {
  const { world, answers, outcome } = await called(3, [
    ['ada', 'a'],
    ['ada', 'b'],
    ['bob', 'x'],
    ['bob', 'b'],
    ['cyd', 'a'],
  ])
  await world.run(20_000)
  const before = outcome()
  for (const choice of ['b', 'c'])
    await Promise.all([
      world.forge('dan', { to: 'caller', type: 'vote', payload: { vote: 'v', choice }, correlation: 'v' }),
      world.run(200),
    ])
  const record = world.onDisk(UMR) as VoteRecord
  expect(record.late).toMatchObject([{ voter: 'dan', choice: 'b' }])
  expect(record.outcome).toEqual(before)
  expect(before).toMatchObject({ decision: 'a', missing: 2 })
  expect(answers).toEqual([
    ['ada', { vote: 'v', choice: 'a', counts: true, why: 'recorded' }],
    ['ada', { vote: 'v', choice: 'a', counts: true, why: 'voted-already' }],
    ['bob', { vote: 'v', choice: 'x', counts: false, why: 'no-such-option' }],
    ['bob', { vote: 'v', choice: 'b', counts: true, why: 'recorded' }],
    ['cyd', { vote: 'v', choice: 'a', counts: true, why: 'recorded' }],
    ['dan', { vote: 'v', choice: 'b', counts: false, why: 'late' }],
    ['dan', { vote: 'v', choice: 'c', counts: false, why: 'late' }],
  ])
})

test('a vote whose caller was away past its deadline ends with what was recorded, and a cancelled one without decision', async () => {
  const { world } = await called(4, [
    ['ada', 'a'],
    ['bob', 'a'],
    ['cyd', 'b'],
  ])
  world.crash('caller')
  await world.run(60_000)
  world.start('caller')
  await world.run(5_000)
  expect(world.onDisk(UMR)).toMatchObject({ told: true, outcome: { decision: 'a', missing: 2 } })

  const controller = new AbortController()
  const cancelled = await called(5, [['ada', 'a']], { signal: controller.signal, quorum: 1 })
  controller.abort()
  await cancelled.world.run(1_000)
  expect(cancelled.outcome()).toMatchObject({ decision: null, reason: 'cancelled' })
  let read: VoteRecord | undefined
  cancelled.world.add('reader', 'office', ({ deps }) => {
    deps.after(10, () => void voteOf(deps, 'caller', 'v').then((record) => (read = record)))
  })
  await cancelled.world.run(1_000)
  // A newcomer's machine has only what was written since.
  expect(read).toBeUndefined()
})

test('late votes that come at once, of a vote that is not in memory any more, are both listed', async () => {
  const { world } = await called(6, [['ada', 'a']])
  await world.run(20_000)
  world.crash('caller')
  world.start('caller')
  await world.run(100)
  const late = (from: string) =>
    world.forge(from, { to: 'caller', type: 'vote', payload: { vote: 'v', choice: 'b' }, correlation: 'v' })
  world.weather = { ...CALM, delayMsMax: 1 }
  await Promise.all([late('dan'), late('eve'), late('cyd'), late('bob'), world.run(1_000)])
  const { late: listed } = world.onDisk(UMR) as VoteRecord
  expect(listed.map(({ voter }) => voter).sort()).toEqual(['bob', 'cyd', 'dan', 'eve'])
})

test('a vote that cannot be written down counts when it can be, and its delivery is not done before', async () => {
  const { world, answers } = await called(7, [])
  world.weather = { ...CALM, writeFails: 1 }
  await Promise.all([
    world.forge('ada', { to: 'caller', type: 'vote', payload: { vote: 'v', choice: 'a' }, correlation: 'v' }),
    world.run(3_000),
  ])
  // It may be on the disk; nobody says so before that is known.
  expect(answers).toEqual([])
  world.weather = CALM
  await world.run(3_000)
  expect(answers.length).toBeGreaterThan(0)
  expect(world.onDisk(UMR)).toMatchObject({ votes: [{ voter: 'ada', choice: 'a' }] })
})

test('a vote that is called twice at once, or again after nobody knew whether it was written, is one vote', async () => {
  const world = new TestWorld(9, { ...CALM, writeFails: 1 })
  const held: { votes?: Votes } = {}
  world.add('caller', 'home', async ({ deps }) => {
    held.votes = await Votes.start(deps)
  })
  const calls: string[] = []
  for (const name of ['ada', 'bob'])
    world.add(name, 'office', ({ deps }) => {
      new Voter(deps, {
        decide: async () => {
          calls.push(name)
          return 'a'
        },
      })
    })
  const call = () =>
    held.votes?.call({ id: 'v', question: '?', options: ['a'], electorate: ['ada', 'bob'], withinMs: 60_000 })
  await world.run(100)
  const failed: unknown[] = []
  for (let at = 0; at < 20 && world.writes.length === 0; at++) {
    void call()?.catch(({ code }: { code: unknown }) => failed.push(code))
    await world.run(100)
  }
  expect(failed.at(-1)).toBe('NODE_NOT_RUNNING')
  world.weather = CALM
  const both = Promise.all([call(), call()])
  await world.run(5_000)
  const [one, other] = await both
  expect(await one?.outcome).toMatchObject({ decision: 'a', missing: 0 })
  expect(await other?.outcome).toEqual(await one?.outcome)
  expect(calls.toSorted()).toEqual(['ada', 'bob'])
})
