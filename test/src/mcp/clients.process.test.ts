import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { GRAPH_TOOLS } from '@sealmesh/mcp/tools/graph-tools'
import { MESH_TOOLS } from '@sealmesh/mcp/tools/mesh-tools'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { endHousehold, type Household, startHousehold } from '../processes/household.ts'
import { shareLayers, untilInSync } from '../processes/pair.ts'
import { BIN, Program, runProgram } from '../processes/program.ts'
import { until } from '../processes/wait.ts'
import { type Address, type Command, DIALS, type McpSession, ourServer } from './servers.ts'

/** `sealmesh mcp` on two machines, asked by both generations of the official client over stdio and HTTP. */

let household: Household
const sessions: McpSession[] = []

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

async function open<To extends Command | Address>(dial: (to: To) => Promise<McpSession>, to: To): Promise<McpSession> {
  const session = await dial(to)
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

afterEach(async () => {
  for (const session of sessions.splice(0)) await session.close()
})

afterAll(async () => {
  await endHousehold(household)
})

/** Notes which tools were called. */
function noting(session: McpSession): { readonly session: McpSession; readonly called: Set<string> } {
  const called = new Set<string>()
  const call: McpSession['call'] = (name, params) => {
    called.add(name)
    return session.call(name, params)
  }
  return { session: { ...session, call }, called }
}

/** `home` at its machine asks for all that there is; `codex` there answers. */
async function callEveryTool(opened: McpSession, theirs: McpSession, umr: string): Promise<void> {
  const { session: mine, called } = noting(opened)
  // In the 2026 revision there is no handshake: only an answer says that a server is there.
  for (const each of [mine, theirs]) expect(await each.tools()).toEqual([...MESH_TOOLS])
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

  const asked = mine.call('mesh_request', { to: 'codex', question: 'When are deploys?', waitSeconds: 20.4 })
  const got = await theirs.call('mesh_inbox', { waitSeconds: 20 })
  expect(got.text).toContain('question from home@home')
  const [message] = (got.structured as { messages: { id: string }[] }).messages
  const answer = { to: 'home', type: 'response', message: 'Tuesday', replyTo: message?.id ?? '' }
  const sent = await theirs.call('mesh_send', answer)
  expect(sent.isError, sent.text).toBe(false)
  expect((await asked).structured).toMatchObject({ answer: { from: 'codex@home', payload: 'Tuesday' } })

  let told = 0
  await mine.onUpdate('sealmesh://inbox', () => (told += 1))
  await theirs.call('mesh_send', { to: 'home', message: 'good morning' })
  await until('it was told of the message', async () => told > 0)
  expect((await mine.call('mesh_inbox')).structured).toMatchObject({ messages: [{ payload: 'good morning' }] })
  expect((await mine.call('mesh_send', { to: 'codex', message: 'good morning' })).isError).toBe(false)
  // Its inbox is as empty for whoever comes next.
  await theirs.call('mesh_inbox', { waitSeconds: 20 })
  await theirs.call('mesh_status')
  expect([...called].toSorted()).toEqual([...MESH_TOOLS].toSorted())
}

describe.each(Object.entries(DIALS))('%s', (name, dial) => {
  const item = name.replaceAll(/[^a-z0-9]+/g, '-')

  test('lists and calls every tool over stdio, and is told of a message', async () => {
    const { home } = household
    const mine = await open(dial, ourServer(home.home, 'home'))
    const theirs = await open(dial, ourServer(home.home, 'codex'))
    await callEveryTool(mine, theirs, `home.semantic.${item}`)

    const second = await open(dial, ourServer(home.home, 'home'))
    expect((await second.call('memory_get', { umr: `home.semantic.${item}` })).isError).toBe(false)
    expect((await second.call('mesh_inbox')).text).toContain('Another session is the agent "home"')
  })

  test('lists and calls every tool over HTTP, and is told of a message', async () => {
    const { home } = household
    const program = new Program(BIN.node, ['mcp', '--home', home.home, '--agent', 'home', '--http', '0', '--json'], {
      name: 'mcp over HTTP',
    })
    try {
      const url = await program.line(({ url: at }) => (typeof at === 'string' ? at : undefined))
      const secret = (await readFile(join(home.home, 'tokens', 'home'), 'utf8')).trim()
      const mine = await open(dial, { url, token: secret })
      const theirs = await open(dial, ourServer(home.home, 'codex'))
      await callEveryTool(mine, theirs, `home.semantic.${item}-http`)
      await expect(dial({ url, token: `${secret}x` })).rejects.toThrow()
      expect(program.stdout.toString() + program.stderr.toString()).not.toContain(secret)
    } finally {
      for (const session of sessions.splice(0)) await session.close()
      await program.stop()
    }
  })

  test('writes a knowledge graph at one machine that is read at the other, with each of the nine tools', async () => {
    const { home, office } = household
    const { session: here, called } = noting(
      await open(dial, ourServer(home.home, 'home', '--compat', 'server-memory')),
    )
    const there = await open(dial, ourServer(office.home, 'home', '--compat', 'server-memory'))
    expect(await here.tools()).toEqual([...GRAPH_TOOLS])
    let told = 0
    await there.onUpdate('memory://knowledge-graph', () => (told += 1))
    const entity = { name, entityType: 'client', observations: ['asks both servers', 'a mistake'] }
    const other = { name: `${name}, gone again`, entityType: 'client', observations: [] }
    const entities = [entity, other]
    expect((await here.call('create_entities', { entities })).structured).toEqual({ entities })
    const uses = { from: name, to: 'Sealmesh', relationType: 'uses' }
    const relations = [uses, { ...uses, relationType: 'was' }, { ...uses, from: other.name }]
    expect((await here.call('create_relations', { relations })).structured).toEqual({ relations })
    await here.call('delete_observations', { deletions: [{ entityName: name, observations: ['a mistake'] }] })
    await here.call('delete_relations', { relations: [relations[1]] })
    await here.call('delete_entities', { entityNames: [other.name] })
    const kept = { entities: [{ ...entity, observations: ['asks both servers'] }], relations: [uses] }
    expect((await here.call('open_nodes', { names: [name, other.name] })).structured).toEqual(kept)
    await until('just that is at the office', async () => {
      const { structured } = await there.call('open_nodes', { names: [name, other.name] })
      return JSON.stringify(structured) === JSON.stringify(kept)
    })
    await until('the office was told', async () => told > 0)
    const back = `and writes back: ${name}`
    await there.call('add_observations', { observations: [{ entityName: name, contents: [back] }] })
    await until('it is back at home', async () => {
      const { structured } = await here.call('search_nodes', { query: back.toUpperCase() })
      return (structured as { entities: unknown[] }).entities.length === 1
    })
    await here.call('add_observations', { observations: [{ entityName: name, contents: ['is done'] }] })
    expect((await here.call('read_graph')).structured).toMatchObject({
      entities: expect.arrayContaining([{ ...entity, observations: ['asks both servers', back, 'is done'] }]),
    })
    expect([...called].toSorted()).toEqual([...GRAPH_TOOLS].toSorted())
  })
})
