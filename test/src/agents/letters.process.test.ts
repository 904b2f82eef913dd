import type { Agent } from '@sealmesh/agent/client/agent'
import { connectAgents } from '@sealmesh/agent/client/connect-agents'
import type { Message } from '@sealmesh/protocol/messages/message'
import { expect, onTestFinished, test } from 'vitest'
import { runVerb } from '../cli/run-verb.ts'
import { endHousehold, type Household, startHousehold } from '../processes/household.ts'
import { NodeProcess } from '../processes/node.ts'
import { RelayProcess } from '../processes/relay.ts'
import { until } from '../processes/wait.ts'

const TEST_MS = 120_000

/** Takes and acknowledges: what comes twice after that was in the inbox twice. */
const inboxOf = (agent: Agent) => {
  const got: Message[] = []
  const count = (wanted: number) =>
    until(`${agent.name} has ${wanted} messages`, async () => {
      const { deliveries } = await agent.take()
      got.push(...deliveries.map(({ message }) => message))
      const last = deliveries.at(-1)
      if (last !== undefined) await agent.acknowledge(last.place)
      return got.length >= wanted
    })
  return { got, count }
}

/** An agent of that node with a token, and a way to attach as it. */
async function agentOn(node: NodeProcess, name: string): Promise<() => Promise<Agent>> {
  const door = await node.door()
  await door.call('agents.add', { name, standby: [] })
  const { token } = await door.call('agents.token', { name, action: 'make' })
  await door.close()
  return async () => {
    const connection = await connectAgents({ home: node.home })
    onTestFinished(() => connection.close())
    return connection.attach({ token: token ?? '', inbox: 'pull' })
  }
}

test('messages reach an agent of another machine that lets them, survive both ends, and end with the machine', {
  timeout: TEST_MS,
}, async () => {
  const house: { -readonly [K in keyof Household]: Household[K] } = await startHousehold('letters')
  onTestFinished(() => endHousehold(house))
  const attachAlice = await agentOn(house.home, 'alice')
  const attachBob = await agentOn(house.office, 'bob')
  const alice = await attachAlice()
  const bobHere = await attachBob()
  const bob = inboxOf(bobHere)
  const knows = (node: NodeProcess, name: string) =>
    until(`${node.name} knows ${name}`, async () => {
      const door = await node.door()
      const { agents } = await door.call('agents.ls', {})
      await door.close()
      return agents.some((agent) => agent.name === name)
    })
  await knows(house.office, 'alice')
  await knows(house.home, 'bob')
  const say = (payload: string, durable = false) =>
    alice.call('send', { to: 'bob', type: 'text', id: payload, payload, durable })

  // Nobody on another machine is there for whom no grant names.
  await expect(say('unwelcome')).rejects.toMatchObject({ code: 'AGENT_UNKNOWN' })

  const grant = async (to: string): Promise<void> => {
    const door = await house.office.door()
    await door.call('share.set', { agent: 'bob', changes: [{ layer: 'inbox', to }], newLayer: true })
    await door.close()
  }
  await grant('alice:write')
  await until('the grant has come', () => say('hello'))
  await bob.count(1)
  expect(bob.got[0]).toMatchObject({ from: 'alice@home', to: 'bob', id: 'hello' })
  // Each machine tells its part, the other's with the times of its clock.
  const owners = await house.home.door()
  const traced = async (id: string) =>
    (await owners.call('messages.trace', { id })).messages.flatMap(({ entries }) =>
      entries.map(({ event, machine, to }) => `${event} at ${machine}${to === null ? '' : ` for ${to}`}`),
    )
  await until('home knows all of it', async () => (await traced('hello')).length === 5)
  expect((await traced('hello')).toSorted()).toEqual([
    'acknowledged at office for office',
    'handed at office for office',
    'packet at home for office',
    'sent at home',
    'taken at office for office',
  ])
  const office = await house.office.door()
  const [there] = (await office.call('messages.trace', { id: 'hello' })).messages
  expect(there).toMatchObject({ from: 'alice@home', to: 'bob', type: 'text' })
  expect(there?.entries.map(({ event }) => event)).toEqual(['received', 'taken', 'handed', 'acknowledged'])
  await office.close()

  for (const to of ['bob@office', '*']) await alice.call('send', { to, type: 'text', payload: to })
  await bob.count(3)

  // An answer goes back where that is allowed as well.
  const door = await house.home.door()
  await door.call('share.set', { agent: 'alice', changes: [{ layer: 'inbox', to: 'bob:write' }], newLayer: true })
  const heard = inboxOf(alice)
  await until('bob may answer', () => bobHere.send({ to: 'alice@home', type: 'text', payload: 'hello yourself' }))
  await heard.count(1)
  const waited = runVerb(['send', 'bob', 'read this', '--as', 'alice', '--wait', '--json', '--home', house.home.home])
  await bob.count(4)
  const { exit, out } = await waited
  expect([exit, JSON.parse(out)]).toMatchObject([0, { state: 'acknowledged' }])
  expect(heard.got[0]).toMatchObject({ from: 'bob@office', to: 'alice' })

  // What is durable needs neither the relay nor the other machine, and outlives the death of its own.
  const { data, port } = house.relay
  await house.relay.stop()
  await house.office.kill()
  const kept = ['kept-1', 'kept-2', 'kept-3']
  for (const payload of kept) expect(await say(payload, true)).toMatchObject({ waiting: 1, refused: 0 })
  await house.home.kill()
  house.relay = await RelayProcess.start({ data, port })
  house.home = await NodeProcess.start({ home: house.home.home, name: 'home' })
  house.office = await NodeProcess.start({ home: house.office.home, name: 'office' })
  await bob.count(4 + kept.length)

  // After another death nothing comes a second time.
  await house.office.kill()
  house.office = await NodeProcess.start({ home: house.office.home, name: 'office' })
  await until('it is sent', async () => (await say('last', true)).waiting === 1)
  await bob.count(4 + kept.length + 1)
  expect(bob.got.map(({ payload }) => payload)).toEqual(['hello', 'bob@office', '*', 'read this', ...kept, 'last'])

  const owner = await house.home.door()
  await owner.call('device.revoke', { node: 'office', reason: 'lost' })
  await expect(say('too-late', true)).rejects.toMatchObject({ code: 'AGENT_UNKNOWN' })
})
