import { MESSAGE_PAYLOAD_BYTES_MAX } from '@sealmesh/protocol/messages/limits'
import { describe, expect, test } from 'vitest'
import { until } from '../processes/wait.ts'
import { agentsNode, collect } from './agents-node.ts'

const payloads = ({ got }: ReturnType<typeof collect>) => got.map(({ message }) => message.payload)

describe('from one agent to another', () => {
  test('a message arrives with its sender proven, and is in the history of both', async () => {
    const node = await agentsNode(['alice', 'bob'])
    const [alice, bob] = [await node.attach('alice'), await node.attach('bob')]
    const inbox = collect(bob)
    const sent = await alice.send({ to: 'bob', type: 'question', payload: { text: 'why?\n', n: [1, null] } })
    expect(sent).toMatchObject({ delivered: 1, waiting: 0 })
    await inbox.count(1)
    const [{ message } = { message: undefined }] = inbox.got
    expect(message).toMatchObject({
      version: 1,
      id: sent.id,
      from: 'alice@home',
      to: 'bob',
      type: 'question',
      priority: 1,
      hops: 0,
      payload: { text: 'why?\n', n: [1, null] },
    })
    if (message === undefined) throw new Error('nothing came')
    await bob.send({ to: 'alice@home', type: 'response', correlation: sent.id, causedBy: message, payload: 'so' })
    for (const agent of [alice, bob]) {
      expect((await agent.history()).map(({ type }) => type)).toEqual(['response', 'question'])
      expect(await agent.history({ from: 'alice' })).toEqual([message])
      const [answer] = await agent.history({ correlation: sent.id })
      expect(answer).toMatchObject({ from: 'bob@home', hops: 1, parents: [sent.id] })
      expect(await agent.history({ type: 'vote' })).toEqual([])
      expect(await agent.history({ to: 'carol' })).toEqual([])
    }
  })

  test('everybody means all but the sender, and a topic means those who have joined it', async () => {
    const node = await agentsNode(['alice', 'bob', 'carol'])
    const agents = await Promise.all(['alice', 'bob', 'carol'].map((name) => node.attach(name)))
    const [alice, bob, carol] = agents.map(collect)
    await agents[1]?.join('news')
    expect(await agents[0]?.call('send', { to: '*', type: 'text', payload: 'all' })).toMatchObject({ delivered: 2 })
    expect(await agents[0]?.call('send', { to: '#news', type: 'text', payload: 'news' })).toMatchObject({
      delivered: 1,
    })
    await bob?.count(2)
    await carol?.count(1)
    await agents[1]?.leave('news')
    expect(await agents[0]?.call('send', { to: '#news', type: 'text' })).toMatchObject({ delivered: 0, waiting: 0 })
    expect([alice, bob, carol].map((each) => each && payloads(each))).toEqual([[], ['all', 'news'], ['all']])
  })

  test('the same id again is the same message', async () => {
    const node = await agentsNode(['alice', 'bob'])
    const [alice, bob] = [await node.attach('alice'), await node.attach('bob')]
    const inbox = collect(bob)
    for (const durable of [false, true]) {
      const draft = { to: 'bob', type: 'text', id: `once-${durable}`, durable, payload: durable }
      const answers = await Promise.all([alice.send(draft), alice.send(draft), alice.send(draft)])
      expect(new Set(answers.map((answer) => JSON.stringify(answer))).size).toBe(1)
    }
    await alice.send({ to: 'bob', type: 'text', payload: 'end' })
    await until('the end is there', () => payloads(inbox).includes('end'))
    expect(payloads(inbox)).toEqual([false, true, 'end'])
    // Ids belong to their senders.
    await bob.send({ to: 'bob', type: 'text', id: 'once-false', payload: 'of bob' })
    await until('it is there', () => payloads(inbox).includes('of bob'))
  })

  test('nobody learns who is there by writing to names, nor writes too much', async () => {
    const node = await agentsNode(['alice', 'bob'], { config: '[messages]\ntalk = "granted"\n' })
    const [alice, bob] = [await node.attach('alice'), await node.attach('bob')]
    const failureOf = async (to: string): Promise<unknown> =>
      alice.send({ to, type: 'text' }).catch((error: unknown) => ({ ...(error as object), message: String(error) }))
    expect(await failureOf('bob')).toMatchObject({ code: 'AGENT_UNKNOWN' })
    expect(await failureOf('bob')).toEqual(await failureOf('nobody'))
    expect(await failureOf('bob@elsewhere')).toEqual(await failureOf('nobody'))
    expect((await alice.agents()).map(({ name }) => name)).toEqual(['alice'])
    await node.share('bob', 'inbox', 'alice:write')
    const inbox = collect(bob)
    await alice.send({ to: 'bob', type: 'text', payload: 'now' })
    await inbox.count(1)
    expect((await alice.agents()).map(({ name }) => name).toSorted()).toEqual(['alice', 'bob'])
    expect((await bob.agents()).map(({ name }) => name)).toEqual(['bob'])
    await expect(
      alice.send({ to: 'bob', type: 'text', payload: 'x'.repeat(MESSAGE_PAYLOAD_BYTES_MAX) }),
    ).rejects.toMatchObject({ code: 'VALUE_TOO_LARGE' })
  })

  test('an inbox is granted to the agent, where a machine has the same name', async () => {
    const node = await agentsNode(['alice', 'home'], { config: '[messages]\ntalk = "granted"\n' })
    const [alice, home] = [await node.attach('alice'), await node.attach('home')]
    await node.share('alice', 'inbox', 'home:write')
    const inbox = collect(alice)
    await home.send({ to: 'alice', type: 'text', payload: 'now' })
    await inbox.count(1)
  })
})

describe('an agent that is away', () => {
  test('gets what waited, what it had not acknowledged first, and durable letters also after a restart', async () => {
    const node = await agentsNode(['alice', 'bob'])
    const alice = await node.attach('alice')
    expect(await alice.call('send', { to: 'bob', type: 'text', payload: 1, durable: true })).toMatchObject({
      delivered: 0,
      waiting: 1,
    })
    await alice.send({ to: 'bob', type: 'text', payload: 2 })
    const connection = await node.connect()
    const pulling = { token: node.tokens.get('bob') ?? '', inbox: 'pull' } as const
    const bob = await connection.attach(pulling)
    const taken = await bob.take()
    expect(taken.deliveries.map(({ message }) => message.payload)).toEqual([1, 2])
    await bob.detach()
    const again = await connection.attach(pulling)
    const second = await again.take()
    expect(second.deliveries.map(({ message }) => message.payload)).toEqual([1, 2])
    await node.restart()
    // The connection has come back by itself, and with it the agent.
    const third = await again.take({ waitMs: 1_000 })
    expect(third.deliveries.map(({ message }) => message.payload)).toEqual([1])
    await again.acknowledge(third.deliveries[0]?.place ?? 0)
    await node.restart()
    expect((await again.take()).deliveries).toEqual([])
  })

  test('one that waits for a letter has it when it comes, and nothing when the time is over', async () => {
    const node = await agentsNode(['alice', 'bob'])
    const alice = await node.attach('alice')
    const bob = await node.attach('bob', { inbox: 'pull' })
    expect(await bob.take({ waitMs: 20 })).toEqual({ deliveries: [], left: 0 })
    const waiting = bob.take({ waitMs: 20_000 })
    await alice.send({ to: 'bob', type: 'text', payload: 'here' })
    expect((await waiting).deliveries.map(({ message }) => message.payload)).toEqual(['here'])
  })

  test('a full inbox is told to who writes to it alone, and keeps nothing from others', async () => {
    const node = await agentsNode(['alice', 'bob', 'carol'])
    const alice = await node.attach('alice')
    const carol = await node.attach('carol')
    const inbox = collect(carol)
    let sent = 0
    const fill = async (): Promise<void> => {
      for (; sent < 10_000; sent++) await alice.send({ to: 'bob', type: 'text', payload: sent })
    }
    await expect(fill()).rejects.toMatchObject({ code: 'INBOX_FULL' })
    expect(sent).toBeLessThanOrEqual(256)
    expect(await alice.call('send', { to: '*', type: 'text', payload: 'all', durable: true })).toMatchObject({
      delivered: 1,
      waiting: 1,
      refused: 0,
    })
    await inbox.count(1)
    const bob = await node.attach('bob', { inbox: 'pull' })
    expect((await bob.take({ limit: 1_000 })).deliveries).toHaveLength(Math.min(256, sent + 1))
  })

  test('what is over before it is taken is not handed out', async () => {
    const node = await agentsNode(['alice', 'bob'])
    const alice = await node.attach('alice')
    await alice.send({ to: 'bob', type: 'text', payload: 'short', expiresMs: 1, durable: true })
    await alice.send({ to: 'bob', type: 'text', payload: 'long', expiresMs: 60_000 })
    await until('its time is over', async () => Date.now() > Date.parse((await alice.history())[1]?.expiresAt ?? ''))
    const bob = await node.attach('bob', { inbox: 'pull' })
    expect((await bob.take()).deliveries.map(({ message }) => message.payload)).toEqual(['long'])
  })
})

describe('under load', () => {
  test('a pool that all waits for letters on one connection can still send', async () => {
    const node = await agentsNode(['alice', 'bob'])
    const connection = await node.connect()
    const attach = (name: string, inbox: 'push' | 'pull') =>
      connection.attach({ token: node.tokens.get(name) ?? '', inbox })
    const [alice, bob] = [await attach('alice', 'push'), await attach('bob', 'pull')]
    const waiting = Array.from({ length: 300 }, () => bob.take({ waitMs: 1_000 }))
    await alice.send({ to: 'bob', type: 'text', payload: 'one' })
    const first = await Promise.race(waiting)
    expect(first.deliveries.map(({ message }) => message.payload)).toEqual(['one'])
    const taken = (await Promise.all(waiting)).flatMap(({ deliveries }) => deliveries)
    expect(taken).toHaveLength(1)
  })

  test('who is too fast is held back, then refused, and others are not', async () => {
    const node = await agentsNode(['alice', 'bob'], { config: '[messages]\nrate = 100\n' })
    const [alice, bob] = [await node.attach('alice'), await node.attach('bob')]
    const outcomes = await Promise.allSettled(
      Array.from({ length: 400 }, (_, at) => alice.send({ to: 'bob', type: 'text', payload: at })),
    )
    const refused = outcomes.filter(({ status }) => status === 'rejected')
    expect(refused.length).toBeGreaterThan(20)
    expect(refused.length).toBeLessThan(201)
    for (const { reason } of refused as PromiseRejectedResult[])
      expect(reason).toMatchObject({ code: 'AGENT_TOO_FAST' })
    await bob.send({ to: 'alice', type: 'text' })
  })

  test('what is critical overtakes what waits, and what is low still comes', async () => {
    const node = await agentsNode(['alice', 'bob'])
    const alice = await node.attach('alice')
    await alice.send({ to: 'bob', type: 'text', priority: 0, payload: 'low' })
    for (let at = 0; at < 100; at++) await alice.send({ to: 'bob', type: 'text', priority: 3, payload: at })
    const inbox = collect(await node.attach('bob'))
    await inbox.count(101)
    const order = payloads(inbox)
    expect(order[0]).toBe(0)
    expect(order.indexOf('low')).toBeGreaterThan(0)
    expect(order.indexOf('low')).toBeLessThan(40)
    expect(order.filter((each) => each !== 'low')).toEqual(Array.from({ length: 100 }, (_, at) => at))
  })

  test('one whose listener never ends keeps nothing from others on the same connection', async () => {
    const node = await agentsNode(['alice', 'bob', 'carol'])
    const connection = await node.connect()
    const attach = (name: string) => connection.attach({ token: node.tokens.get(name) ?? '' })
    const [alice, bob, carol] = [await attach('alice'), await attach('bob'), await attach('carol')]
    let stuck = 0
    bob.onDelivery(() => {
      stuck += 1
      return new Promise<void>(() => undefined)
    })
    const inbox = collect(carol)
    for (let at = 0; at < 600; at++) {
      await alice.send({ to: 'bob', type: 'text', payload: at })
      await alice.send({ to: 'carol', type: 'text', payload: at })
    }
    await inbox.count(600)
    // No more than one window is handed out unacknowledged.
    expect(stuck).toBeLessThanOrEqual(256)
  })
})
