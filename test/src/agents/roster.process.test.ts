import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { connectAgents } from '@sealmesh/agent/client/connect-agents'
import { Patterns } from '@sealmesh/agent/patterns/patterns'
import { expect, onTestFinished, test } from 'vitest'
import { runVerb } from '../cli/run-verb.ts'
import { endHousehold, startHousehold } from '../processes/household.ts'
import type { NodeProcess } from '../processes/node.ts'
import { until } from '../processes/wait.ts'

const TEST_MS = 240_000
/** A machine counts as silent after 35 s; what it told has to hold a little longer. */
const LIFE = '[messages]\nroster = "mesh"\nroster_life = "60s"\n'

/** An agent of that node with a token, and a way to attach as it. */
async function agentOn(node: NodeProcess, name: string) {
  const door = await node.door()
  await door.call('agents.add', { name, standby: [] })
  const { token } = await door.call('agents.token', { name, action: 'make' })
  await door.close()
  return async () => {
    const connection = await connectAgents({ home: node.home })
    onTestFinished(() => connection.close())
    return { agent: await connection.attach({ token: token ?? '' }), leave: () => connection.close() }
  }
}

test('agents of another machine are listed, asked by capability, seen to come and go, and end with their machine', {
  timeout: TEST_MS,
}, async () => {
  const house = await startHousehold('roster')
  onTestFinished(() => endHousehold(house))
  const { home, office } = house
  const there = await office.door()
  const attachAlice = await agentOn(home, 'alice')
  const attachBob = await agentOn(office, 'bob')
  const attachCarol = await agentOn(office, 'carol')
  const here = await home.door()
  const news: string[] = []
  here.on('agent', ({ event, agent }) => news.push(`${event} ${agent.name}@${agent.nodeName} ${agent.state}`))
  await here.call('agents.watch', {})
  const listed = async (name: string) =>
    (await here.call('agents.attached', {})).agents.find((agent) => agent.name === name)

  await attachCarol()
  const first = await attachBob()
  const ls = async () => (await runVerb(['agents', 'ls', '--home', home.home])).out.split('\n')
  expect((await there.call('share.ls', { agent: 'office' })).grants).toEqual([])
  // One line of the office's config, and no grant by hand.
  await writeFile(join(office.home, 'config.toml'), LIFE, { mode: 0o600 })
  await there.call('config.reload', {})
  const bob = await Patterns.start(first.agent, {
    answerer: { capabilities: ['sum'], capacity: 4, handle: async ({ body }) => (body as number[]).length },
  })
  await until('home hears of bob and carol', async () => (await listed('bob')) && (await listed('carol')))
  expect(await listed('bob')).toMatchObject({ nodeName: 'office', here: false, state: 'attached', pid: null })
  expect((await ls()).find((line) => line.startsWith('bob'))).toMatch(/ office +active +/)

  // Whom an agent may write to, and nobody else.
  const inbox = (to: string) => ({ changes: [{ layer: 'inbox', to: `${to}:write` }], newLayer: true })
  await until('the office knows alice', () => there.call('share.set', { agent: 'bob', ...inbox('alice') }))
  await here.call('share.set', { agent: 'alice', ...inbox('bob') })
  const { agent } = await attachAlice()
  const alice = await Patterns.start(agent)
  onTestFinished(() => alice.close())
  await until('alice finds who can sum', async () => (await agent.agents({ capability: 'sum' })).length === 1)
  expect(await agent.agents()).toMatchObject([{ name: 'alice' }, { name: 'bob', nodeName: 'office' }])
  await until(
    'bob may answer alice',
    async () => (await there.call('share.ls', { agent: 'alice' })).grants.length === 1,
  )
  expect(await alice.asker.ask('sum', [1, 2, 3])).toMatchObject({ state: 'answered', value: 3 })

  await bob.close()
  await first.leave()
  await until('bob has left', async () => (await listed('bob')) === undefined)
  await attachBob()
  await until('bob is back', () => listed('bob'))
  const ofBob = () => news.filter((line) => line.includes('bob') && !line.startsWith('changed'))
  expect(ofBob()).toEqual(['arrived bob@office attached', 'left bob@office attached', 'arrived bob@office attached'])

  await house.office.kill()
  await until('the office is not heard', async () => (await listed('bob'))?.state === 'unreachable', 60_000)
  await until('that is told', () => news.includes('changed bob@office unreachable'))
  await until('what it told holds no more', async () => (await listed('bob')) === undefined, 60_000)
  await until('and so is that', () => ofBob().at(-1) === 'left bob@office unreachable')
})
