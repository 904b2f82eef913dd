import { setTimeout as pause } from 'node:timers/promises'
import { connectAgents } from '@sealmesh/agent/client/connect-agents'
import type { Failure } from '@sealmesh/protocol/errors'
import { expect, onTestFinished, test } from 'vitest'
import { until, within } from '../processes/wait.ts'
import { type AgentsNode, agentsNode, collect } from './agents-node.ts'
import { stealAtRestart } from './thief.ts'

/** Two agents of one program, one of which another program has taken while the node started again. */
async function takenPool(node: AgentsNode, patienceMs: number) {
  const ends: string[] = []
  const onEnd = (whose: string) => (failure: Failure | undefined) => void ends.push(`${whose} ${failure?.code}`)
  const pool = await connectAgents({ home: node.home, patienceMs, onEnd: onEnd('pool') })
  onTestFinished(() => pool.close())
  const attach = (name: string) => pool.attach({ token: node.tokens.get(name) ?? '', onEnd: onEnd(name) })
  const agents = { alice: await attach('alice'), bob: await attach('bob') }
  return { ...agents, ends, leave: await stealAtRestart(node, 'bob') }
}

test('an agent that another program took meanwhile ends by itself, and the others of its connection go on', async () => {
  const node = await agentsNode(['alice', 'bob', 'carol'])
  const { alice, bob, ends } = await takenPool(node, 1_500)
  expect(await alice.send({ to: 'carol', type: 'text', durable: true })).toMatchObject({ waiting: 1 })
  expect(ends).toEqual([])
  await expect(bob.send({ to: 'carol', type: 'text' })).rejects.toMatchObject({ code: 'AGENT_ATTACHED' })
  expect(ends).toEqual(['bob AGENT_ATTACHED'])
  expect(await alice.send({ to: 'carol', type: 'text', durable: true })).toMatchObject({ waiting: 1 })
  // Handles are given out anew with each connection: what bob had may be alice's now.
  const inbox = collect(alice)
  const carol = await node.attach('carol')
  await carol.send({ to: 'alice', type: 'text' })
  await within(inbox.count(1), 10_000, () => 'nothing comes to alice')
  await carol.detach()

  // And the next start of the node is none of its business.
  await node.restart()
  expect(await alice.send({ to: 'carol', type: 'text', durable: true })).toMatchObject({ waiting: 1 })
  expect(ends).toEqual(['bob AGENT_ATTACHED'])
})

test('one that is left again in time is attached again, and what was asked of it meanwhile is done', async () => {
  const node = await agentsNode(['alice', 'bob', 'carol'])
  const { bob, ends, leave } = await takenPool(node, 30_000)
  const sending = bob.send({ to: 'carol', type: 'text', durable: true })
  await leave()
  expect(await sending).toMatchObject({ waiting: 1 })
  const came: string[] = []
  bob.onDelivery(({ message }) => void came.push(message.type))
  const carol = await node.attach('carol')
  await until('messages come to it', async () => {
    await carol.send({ to: 'bob', type: 'text' })
    return came.length > 0
  })
  expect(ends).toEqual([])
})

test('so does one whose token was taken back', async () => {
  const node = await agentsNode(['alice', 'bob'])
  const ends: string[] = []
  const pool = await node.connect()
  const alice = await pool.attach({ token: node.tokens.get('alice') ?? '' })
  const bob = await pool.attach({ token: node.tokens.get('bob') ?? '', onEnd: ({ code }) => void ends.push(code) })
  await node.token('bob', ['send'])
  await node.restart()
  await expect(bob.send({ to: 'alice', type: 'text' })).rejects.toMatchObject({ code: 'AGENT_TOKEN_INVALID' })
  expect(ends).toEqual(['AGENT_TOKEN_INVALID'])
  expect(await alice.agents()).not.toEqual([])
})

test('one that is detached while it waits is not brought back', async () => {
  const node = await agentsNode(['alice', 'bob', 'carol'])
  const { alice, bob, ends, leave } = await takenPool(node, 30_000)
  await bob.detach()
  await leave()
  // Longer than its connection would have taken to bring it back.
  await pause(2_500)
  expect((await alice.agents()).find(({ name }) => name === 'bob')).toMatchObject({ state: 'away' })
  await expect(bob.send({ to: 'carol', type: 'text' })).rejects.toMatchObject({ code: 'NOT_ATTACHED' })
  const again = await node.attach('bob')
  expect(again.name).toBe('bob')
  expect(ends).toEqual([])
})
