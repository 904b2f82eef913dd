import { describe, expect, test } from 'vitest'
import { runVerb } from '../cli/run-verb.ts'
import { agentsNode, collect } from './agents-node.ts'

const ownersOf = async (...names: string[]) => {
  const node = await agentsNode(names)
  return { node, cli: (...words: string[]) => runVerb([...words, '--home', node.home]) }
}

describe('the owner, in the name of an agent', () => {
  test('sends a message that comes from that agent, and is asked which one where there are several', async () => {
    const { node, cli } = await ownersOf('alice', 'bob')
    const bob = collect(await node.attach('bob'))
    const sent = await cli('send', 'bob', 'hello', '--as', 'alice', '--priority', '2', '--json')
    expect([sent.exit, JSON.parse(sent.out)]).toMatchObject([0, { as: 'alice', delivered: 1, waiting: 0 }])
    expect(await cli('broadcast', 'all of you', '--as', 'alice')).toMatchObject({ exit: 0 })
    await bob.count(2)
    expect(bob.got.map(({ message }) => message)).toMatchObject([
      { from: 'alice@home', to: 'bob', type: 'text', priority: 2, payload: 'hello' },
      { from: 'alice@home', to: '*', payload: 'all of you' },
    ])
    expect(await cli('send', 'bob', 'who?')).toMatchObject({ exit: 2, err: expect.stringContaining('--as NAME') })
    expect(await cli('send', 'nobody', 'x', '--as', 'alice')).toMatchObject({
      exit: 5,
      err: expect.stringContaining('AGENT_UNKNOWN'),
    })
    expect(await cli('send', 'bob', 'x', '--as', 'carol')).toMatchObject({
      exit: 4,
      err: expect.stringContaining('sealmesh agents token carol'),
    })
    expect(await cli('send', 'bob', 'x', '--as', 'alice', '--priority', '4')).toMatchObject({ exit: 2 })
  })

  test('waits until a message is taken or done with, and says what became of it', async () => {
    const { node, cli } = await ownersOf('alice', 'bob')
    const say = (...words: string[]) => cli('send', 'bob', 'x', '--as', 'alice', '--json', ...words)
    const stateOf = (out: string) => JSON.parse(out) as { id: string; state: string }
    // Nobody is there who could read it.
    const taken = await say('--wait', 'taken')
    expect([taken.exit, stateOf(taken.out).state]).toEqual([0, 'taken'])
    const late = await say('--wait', '--timeout', '0.2')
    expect([late.exit, late.err]).toEqual([10, expect.stringContaining('WAIT_TIMEOUT')])
    const waiting = say('--wait', '--timeout', '20', '--durable')
    const bob = collect(await node.attach('bob'))
    await bob.count(2)
    const done = await waiting
    expect([done.exit, stateOf(done.out).state]).toEqual([0, 'acknowledged'])
    const { out } = await cli('trace', stateOf(done.out).id)
    expect(out.replaceAll(/\d{4}-\S+Z/g, 'AT').split('\n')).toEqual([
      `${stateOf(done.out).id}: text from alice@home to bob`,
      ...['sent', 'kept bob', 'taken bob', 'handed bob', 'acknowledged bob'].map((event) => `  AT home ${event}`),
      '',
    ])

    expect(await cli('send', '#topic', 'x', '--as', 'alice', '--wait')).toMatchObject({ exit: 2 })
    expect(await say('--wait', 'forever')).toMatchObject({ exit: 2 })
    const unknown = await cli('trace', 'no-such-id')
    expect([unknown.exit, unknown.err]).toEqual([5, expect.stringContaining('its sender')])
    const itself = await cli('ping', 'home')
    expect([itself.exit, itself.err]).toEqual([2, expect.stringContaining('home is this machine itself')])
    const again = await cli('agents', 'token', 'alice')
    expect([again.exit, again.err]).toEqual([9, expect.stringContaining('agents token alice --rotate')])
    expect(await cli('trace', 'no id')).toMatchObject({ exit: 2 })
  })

  test('is told what ends on its way, and so is the program that sent it', async () => {
    const { node, cli } = await ownersOf('alice', 'bob')
    const alice = await node.attach('alice')
    const told: unknown[] = []
    alice.onUndelivered((news) => told.push(news))
    const { id: short } = await alice.send({ to: 'bob', type: 'text', payload: 1, expiresMs: 20 })
    const endsMs = Date.now() + 20
    const sent = cli('send', 'bob', 'x', '--as', 'alice', '--durable', '--wait', '--timeout', '20')
    await expect.poll(() => Date.now()).toBeGreaterThan(endsMs)
    const bob = await node.attach('bob', { inbox: 'pull' })
    await expect.poll(async () => (await bob.take()).deliveries.map(({ message }) => message.payload)).toEqual(['x'])
    expect(told).toEqual([{ id: short, agent: 'bob', machine: null, reason: 'expired' }])
    // What it was handed and has not acknowledged goes with its right to be here.
    await node.owner('agents.token', { name: 'bob', action: 'revoke' })
    const { exit, err } = await sent
    expect([exit, err]).toEqual([10, expect.stringContaining('UNDELIVERED')])
    expect(told).toHaveLength(2)
    expect(told[1]).toMatchObject({ agent: 'bob', reason: 'dropped' })
  })

  test('reads an inbox once, and not the one of a program that is there', async () => {
    const { node, cli } = await ownersOf('alice', 'bob')
    for (const text of ['one', 'two\nlines']) await cli('send', 'bob', text, '--as', 'alice', '--durable')
    const { exit, out } = await cli('inbox', '--as', 'bob')
    expect([exit, out.replaceAll(/^\S+/gm, 'AT')]).toEqual([
      0,
      'AT alice@home text: one\nAT alice@home text: two lines\n',
    ])
    expect(await cli('inbox', '--as', 'bob', '--json')).toMatchObject({ exit: 0, out: '{"messages":[]}\n' })
    await node.restart()
    expect(await cli('inbox', '--as', 'bob', '--json')).toMatchObject({ out: '{"messages":[]}\n' })
    const waiting = cli('inbox', '--as', 'bob', '--wait', '20')
    await expect.poll(async () => (await cli('agents', 'show', 'bob')).out).toContain('attached since')
    await cli('send', 'bob', 'at last', '--as', 'alice')
    expect((await waiting).out).toContain('at last')
    await node.attach('bob')
    expect(await cli('inbox', '--as', 'bob')).toMatchObject({ err: expect.stringContaining('AGENT_ATTACHED') })
  })

  test('asks, gets the answer to that question, and leaves the rest of the inbox', async () => {
    const { node, cli } = await ownersOf('alice', 'bob')
    const bob = await node.attach('bob')
    bob.onDelivery(async ({ message }) => {
      await bob.send({ to: 'alice', type: 'text', payload: { not: 'it' } })
      if (message.payload !== 'silence?')
        await bob.send({
          to: 'alice',
          type: 'response',
          correlation: message.id,
          payload: `yes: ${String(message.payload)}`,
        })
    })
    expect(await cli('request', 'bob', 'well?', '--as', 'alice')).toMatchObject({ exit: 0, out: 'yes: well?\n' })
    expect(await cli('request', 'bob', 'silence?', '--as', 'alice', '--timeout', '200ms')).toMatchObject({
      exit: 10,
      err: expect.stringContaining('WAIT_TIMEOUT'),
    })
    expect(await cli('request', '*', 'all?', '--as', 'alice')).toMatchObject({ exit: 2 })
    const { messages } = JSON.parse((await cli('inbox', '--as', 'alice', '--json')).out)
    expect(messages.map(({ payload }: { payload: unknown }) => payload)).toEqual([{ not: 'it' }, { not: 'it' }])
  })
})
