import { MESH_TOOLS } from '@sealmesh/mcp/tools/mesh-tools'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { endHousehold, type Household, startHousehold } from '../processes/household.ts'
import { shareLayers, untilInSync } from '../processes/pair.ts'
import { BIN, runProgram } from '../processes/program.ts'
import { until } from '../processes/wait.ts'
import { type Command, type McpSession, newClient, oldClient, ourServer } from './servers.ts'

/** `sealmesh mcp` between two machines, asked by both generations of the official client over stdio. */

let household: Household
const sessions: McpSession[] = []

const GRAPH_TOOLS = [
  'create_entities',
  'create_relations',
  'add_observations',
  'delete_entities',
  'delete_observations',
  'delete_relations',
  'read_graph',
  'search_nodes',
  'open_nodes',
]

async function cli(...words: string[]): Promise<string> {
  const { program, exit } = await runProgram(BIN.node, words, { name: words.join(' ') })
  expect(exit.code, program.stderr.toString()).toBe(0)
  return program.stdout.toString()
}

/** As `mcp install` does: a token of its own for each machine. */
async function token(home: string, agent: string): Promise<void> {
  const project = `${home}/project-${agent}`
  await cli('mcp', 'install', 'cursor', '--project', project, '--agent', agent, '--yes', '--home', home)
}

async function open(dial: (command: Command) => Promise<McpSession>, command: Command): Promise<McpSession> {
  const session = await dial(command)
  sessions.push(session)
  return session
}

beforeAll(async () => {
  household = await startHousehold('mcp')
  const { home, office } = household
  await cli('agents', 'add', 'home', '--standby', 'office', '--home', home.home)
  await shareLayers(home, 'home', ['semantic', 'ontology'], 'standby')
  await untilInSync(home, office)
  await cli('agents', 'add', 'codex', '--home', home.home)
  for (const agent of ['home', 'codex']) await token(home.home, agent)
  await token(office.home, 'home')
})

afterAll(async () => {
  for (const session of sessions) await session.close()
  await endHousehold(household)
})

describe.each([
  ['the new client', newClient],
  ['the old client', oldClient],
] as const)('%s', (name, dial) => {
  test('lists and calls every tool', async () => {
    const { home } = household
    const mine = await open(dial, ourServer(home.home, 'home'))
    const theirs = await open(dial, ourServer(home.home, 'codex'))
    expect(await mine.tools()).toEqual([...MESH_TOOLS])

    const umr = `home.semantic.${name.replaceAll(' ', '-')}`
    const put = await mine.call('memory_put', { umr, value: 'Deploys are on Tuesday' })
    expect(put.isError, put.text).toBe(false)
    expect((await mine.call('memory_get', { umr })).structured).toMatchObject({
      item: { umr, value: '"Deploys are on Tuesday"' },
    })
    const text = await mine.call('memory_put', { umr: `${umr}-notes`, value: 'Tuesday, after lunch.', asText: true })
    expect(text.isError, text.text).toBe(false)
    expect((await mine.call('memory_search', { words: 'tuesday lunch', prefix: umr })).structured).toMatchObject({
      hits: [{ umr: `${umr}-notes`, type: 'text' }],
    })
    expect((await mine.call('memory_why', { umr })).structured).toMatchObject({
      machines: expect.arrayContaining([expect.objectContaining({ here: true })]),
    })
    expect((await mine.call('mesh_status')).structured).toMatchObject({
      agent: 'home',
      nodeName: 'home',
      machines: [{ name: 'office' }],
    })
    expect((await mine.call('mesh_peers')).structured).toMatchObject({
      agents: expect.arrayContaining([expect.objectContaining({ name: 'codex', state: 'attached', kind: 'llm' })]),
    })
    expect(await mine.resource(`sealmesh://memory/${umr}`)).toMatchObject({ item: { umr } })
    expect(await mine.resource('sealmesh://inbox')).toEqual({ unread: 0 })

    const asked = mine.call('mesh_request', { to: 'codex', question: 'When are deploys?', waitSeconds: 20 })
    const got = await theirs.call('mesh_inbox', { waitSeconds: 20 })
    expect(got.text).toContain('question from home@home')
    const [message] = (got.structured as { messages: { id: string }[] }).messages
    const sent = await theirs.call('mesh_send', {
      to: 'home',
      type: 'response',
      message: 'Tuesday',
      replyTo: message?.id ?? '',
    })
    expect(sent.isError, sent.text).toBe(false)
    expect((await asked).structured).toMatchObject({ answer: { from: 'codex@home', payload: 'Tuesday' } })

    const second = await open(dial, ourServer(home.home, 'home'))
    expect((await second.call('memory_get', { umr })).isError).toBe(false)
    expect((await second.call('mesh_inbox')).text).toContain('Another session is the agent "home"')
    for (const session of sessions.splice(0)) await session.close()
  })

  test('writes a knowledge graph at one machine that is read at the other', async () => {
    const { home, office } = household
    const here = await open(dial, ourServer(home.home, 'home', '--compat', 'server-memory'))
    const there = await open(dial, ourServer(office.home, 'home', '--compat', 'server-memory'))
    expect(await here.tools()).toEqual(GRAPH_TOOLS)
    const entity = { name, entityType: 'client', observations: ['asks both servers'] }
    expect((await here.call('create_entities', { entities: [entity] })).structured).toEqual({ entities: [entity] })
    const relation = { from: name, to: 'Sealmesh', relationType: 'uses' }
    expect((await here.call('create_relations', { relations: [relation] })).structured).toEqual({
      relations: [relation],
    })
    await until('it is at the office', async () => {
      const { structured } = await there.call('open_nodes', { names: [name] })
      const { entities, relations } = structured as { entities: unknown[]; relations: unknown[] }
      return entities.length === 1 && relations.length === 1
    })
    await there.call('add_observations', {
      observations: [{ entityName: name, contents: [`and writes back: ${name}`] }],
    })
    await until('it is back at home', async () => {
      const { structured } = await here.call('search_nodes', { query: `writes BACK: ${name}` })
      return (structured as { entities: unknown[] }).entities.length === 1
    })
    expect(await here.resource('memory://knowledge-graph')).toMatchObject({
      entities: expect.arrayContaining([
        { ...entity, observations: [...entity.observations, `and writes back: ${name}`] },
      ]),
    })
    for (const session of sessions.splice(0)) await session.close()
  })
})
