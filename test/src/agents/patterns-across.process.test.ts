import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Agent } from '@sealmesh/agent/client/agent'
import { connectAgents } from '@sealmesh/agent/client/connect-agents'
import { type PatternOptions, Patterns } from '@sealmesh/agent/patterns/patterns'
import { voteOf } from '@sealmesh/agent/patterns/voter'
import { AuctionRecord } from '@sealmesh/protocol/messages/auction'
import { expect, onTestFinished, test } from 'vitest'
import { restart } from '../failover/trial-mesh.ts'
import { endHousehold, type Household, startHousehold } from '../processes/household.ts'
import type { NodeProcess } from '../processes/node.ts'
import { until } from '../processes/wait.ts'

const NAMES = { home: ['alice', 'zoe'], office: ['bob', 'ben'] } as const
const ALL = [...NAMES.home, ...NAMES.office]

/** Four agents on two machines, each of which may write to all others and is seen by them; alice's tasks are read by all. */
async function startFour(): Promise<{ house: { -readonly [K in keyof Household]: Household[K] }; agents: Agents }> {
  const house = { ...(await startHousehold('patterns')) }
  onTestFinished(() => endHousehold(house))
  const agents = new Map<string, Agent>()
  for (const machine of ['home', 'office'] as const) {
    await writeFile(join(house[machine].home, 'config.toml'), '[messages]\nroster = "mesh"\n', { mode: 0o600 })
    const door = await house[machine].door()
    await door.call('config.reload', {})
    const connection = await connectAgents({ home: house[machine].home })
    onTestFinished(() => connection.close())
    for (const name of NAMES[machine]) {
      // Where home could take over from bob, nobody does because he is silent.
      await door.call('agents.add', { name, standby: name === 'bob' ? ['home'] : [] })
      const { token } = await door.call('agents.token', { name, action: 'make' })
      agents.set(name, await connection.attach({ token: token ?? '' }))
    }
  }
  for (const machine of ['home', 'office'] as const) {
    const door = await house[machine].door()
    for (const agent of NAMES[machine])
      for (const other of ALL.filter((name) => name !== agent)) {
        const grants = [{ layer: 'inbox', to: `${other}:write` }]
        if (agent === 'alice') grants.push({ layer: 'tasks', to: other })
        const share = () => door.call('share.set', { agent, changes: grants, newLayer: true })
        await until(`${machine} knows ${other}`, share)
      }
  }
  for (const agent of agents.values()) await until('all see all', async () => (await agent.agents()).length === 4)
  return { house, agents }
}

type Agents = ReadonlyMap<string, Agent>

async function started(agents: Agents, name: string, options: PatternOptions = {}): Promise<Patterns> {
  const agent = agents.get(name)
  if (agent === undefined) throw new Error(`there is no ${name}`)
  const patterns = await Patterns.start(agent, options)
  onTestFinished(() => patterns.close())
  return patterns
}

function gate() {
  let open: () => void = () => undefined
  const opened = new Promise<void>((resolve) => (open = resolve))
  return { open: () => open(), opened }
}

const auctionAt = async (node: NodeProcess, id: string): Promise<AuctionRecord | undefined> => {
  const door = await node.door()
  const { item } = await door.call('get', { umr: `alice.tasks.auction.${id}` })
  await door.close()
  return item?.type === 'register' ? AuctionRecord.parse(JSON.parse(item.value)) : undefined
}

test('votes, auctions and rounds of agents on two machines end alike on both, whatever becomes of one in the middle', {
  timeout: 240_000,
}, async () => {
  const { house, agents } = await startFour()
  const health: string[] = []
  const alice = await started(agents, 'alice', {
    heartbeats: { onChange: (name, state) => void health.push(`${name} ${state}`) },
  })
  const won: string[] = []
  const gates = { deploy: gate(), hurry: gate() }
  const asked: string[] = []
  const able = (name: string, price: number): PatternOptions => ({
    worker: { capabilities: ['build'], capacity: 2, handle: async ({ payload }) => ({ by: name, payload }) },
    answerer: { capabilities: name === 'ben' ? ['where', 'there'] : ['where'], capacity: 2, handle: async () => name },
    voter: {
      decide: async ({ vote, options: [first, second] }) => {
        asked.push(`${name} ${vote}`)
        if (name === 'ben') await gates[vote === 'hurry' ? 'hurry' : 'deploy'].opened
        return (name === 'ben' ? second : first) ?? null
      },
    },
    bidder: { bid: async () => ({ price, load: 0, capacity: 1 }), onWon: async () => void won.push(name) },
    contributor: {
      brainstorm: async () => `an idea of ${name}`,
      critique: async ({ ideas }) => ({ text: 'fine', about: ideas[0]?.id ?? null }),
    },
  })
  const bob = await started(agents, 'bob', able('bob', 1))
  await started(agents, 'ben', able('ben', 3))
  await started(agents, 'zoe', able('zoe', 2))
  const sees = async (capability: string) => (await alice.deps.port.agents({ capability })).length === 3
  await until('alice sees who can do what', async () => (await sees('build')) && sees('where'))

  // A vote whose voters are on both machines; one of these is killed when one has voted there and one has not.
  const electorate = ['zoe', 'bob', 'ben']
  const asking = { id: 'deploy', question: 'Deploy?', options: ['yes', 'no'], electorate, quorum: 3, withinMs: 90_000 }
  const deploy = await alice.votes.call(asking)
  const votes = async () => (await voteOf(alice.deps, 'alice', 'deploy'))?.votes.map(({ voter }) => voter).toSorted()
  await until('zoe and bob have voted', async () => String(await votes()) === 'bob,zoe' && asked.includes('ben deploy'))
  await house.office.kill()
  house.office = await restart(house.office)
  // He changes his mind, in a message that no machine has seen before, and is told what counts.
  const receipts: { choice?: unknown; why?: unknown }[] = []
  agents.get('bob')?.onDelivery(({ message }) => {
    if (message.type === 'vote-receipt') receipts.push(message.payload as object)
  })
  const payload = { vote: 'deploy', choice: 'no' }
  await agents.get('bob')?.send({ to: 'alice', type: 'vote', payload, correlation: 'deploy', durable: true })
  await until('alice has had it', () => receipts.some(({ why }) => why === 'voted-already'))
  expect(receipts.filter(({ choice }) => choice !== 'yes')).toEqual([])
  gates.deploy.open()
  const outcome = await deploy.outcome
  expect(outcome).toMatchObject({ decision: 'yes', abstained: 0, missing: 0 })
  expect(outcome.counts).toEqual([
    { option: 'yes', votes: 2 },
    { option: 'no', votes: 1 },
  ])
  await until('the office reads the same', async () => {
    const there = await voteOf(bob.deps, 'alice', 'deploy')
    return JSON.stringify(there?.outcome) === JSON.stringify(outcome)
  })

  // One that comes after the end is listed, and changes nothing.
  const hurry = await alice.votes.call({ ...asking, id: 'hurry', electorate: ['ben'], quorum: 1, withinMs: 1_000 })
  expect(await hurry.outcome).toMatchObject({ decision: null, reason: 'no-quorum', missing: 1 })
  gates.hurry.open()
  await until('it is late', async () => (await voteOf(alice.deps, 'alice', 'hurry'))?.late.length === 1)
  expect(await voteOf(alice.deps, 'alice', 'hurry')).toMatchObject({
    outcome: { decision: null, missing: 1 },
    votes: [],
  })

  // Both machines have somebody who can answer: the one that is nearer does, though by name the others come first.
  expect(await alice.asker.ask('where', null)).toMatchObject({ state: 'answered', value: 'zoe' })
  expect(await alice.asker.ask('there', null)).toMatchObject({ state: 'answered', value: 'ben' })

  // Bob, who is far, bids least; his machine dies before the award, and is back before he would be passed over, or not.
  const hut = await alice.auctions.call({
    id: 'hut',
    title: 'a hut',
    capability: 'build',
    payload: null,
    withinMs: 6_000,
  })
  const bids = () => alice.deps.trace.entries.filter(({ id, event }) => id === 'hut' && event === 'bid')
  await until('all have bid', () => bids().length === 3)
  await house.office.kill()
  await until('the award is decided at home', async () => {
    const at = await auctionAt(house.home, 'hut')
    return at !== undefined && at.attempt > 0
  })
  house.office = await restart(house.office)
  const { winner } = await hut.over
  expect((await auctionAt(house.home, 'hut'))?.bids.map(({ bidder }) => bidder)).toEqual(['bob', 'zoe', 'ben'])
  await until('the winner has acted, and the caller knows', async () => (await auctionAt(house.home, 'hut'))?.told)
  await until('the office names the same', async () => (await auctionAt(house.office, 'hut'))?.told)
  expect(await auctionAt(house.office, 'hut')).toEqual(await auctionAt(house.home, 'hut'))
  expect(await auctionAt(house.home, 'hut')).toMatchObject({ state: 'sold', winner })
  expect([...new Set(won)]).toEqual([winner])

  const round = await alice.rounds.call({
    problem: 'Rain',
    participants: ['zoe', 'bob', 'ben'],
    capability: 'build',
    phaseMs: 60_000,
  })
  const { phase, ideas, result } = await round.over
  expect({ phase, result }).toMatchObject({ phase: 'done', result: { ok: true } })
  expect(ideas.map(({ by }) => by).toSorted()).toEqual(['ben', 'bob', 'zoe'])

  // Machines that came back within seconds: nobody was missed. One that stays away is, and nobody takes its place.
  expect(health.filter((line) => line.endsWith('lost'))).toEqual([])
  health.length = 0
  const termOfBob = async () => {
    const door = await house.home.door()
    const { agents: terms } = await door.call('failover.status', { agent: 'bob' })
    await door.close()
    return terms.map(({ term, holder, may }) => ({ term, holder, may }))
  }
  const before = await termOfBob()
  expect(before).toMatchObject([{ term: 1, may: false }])
  await house.office.kill()
  const bothLost = () => ['bob lost', 'ben lost'].every((line) => health.includes(line))
  await until('those of the office are lost', bothLost, 90_000)
  expect(health.filter((line) => line.startsWith('zoe'))).toEqual([])
  expect(await termOfBob()).toEqual(before)
  house.office = await restart(house.office)
})
