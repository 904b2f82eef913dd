import type { Allowance } from '@sealmesh/mcp/allowance'
import { beforeEach, describe, expect, test } from 'vitest'
import { type AgentsNode, agentsNode, collect } from '../agents/agents-node.ts'
import { until } from '../processes/wait.ts'
import { type McpSession, newClient } from './servers.ts'
import { served } from './served.ts'

/** An assistant that may use one layer to write, one to read, and talk to one agent tries everything else. */

const ALLOWED: Allowance = {
  peers: new Set(['codex']),
  layers: new Map([
    ['claude.semantic', 'write'],
    ['codex.semantic', 'read'],
  ]),
}
/** What its agent may read; the assistant may not. The second is the first under the name of a region. */
const HIDDEN = [
  'claude.episodic.note',
  'claude.hippo.note',
  'claude.ontology.note',
  'codex.notes.note',
  'codex.nobody.note',
]
const SECRET = 'the password is tulip'

let node: AgentsNode
let session: McpSession

beforeEach(async () => {
  node = await agentsNode(['claude', 'codex', 'mallory'])
  for (const layer of ['semantic', 'notes'])
    await node.owner('share.set', { agent: 'codex', changes: [{ layer, to: 'claude:write' }], newLayer: true })
  for (const umr of ['claude.episodic.note', 'claude.ontology.note', 'codex.notes.note'])
    await node.owner('set', { umr, value: JSON.stringify(SECRET), tags: [] })
  for (const umr of ['claude.semantic.note', 'codex.semantic.note'])
    await node.owner('set', { umr, value: '"tulips are in flower"', tags: [] })
  session = await newClient(await served(node, 'claude', { allowance: () => ALLOWED }))
  return () => session.close()
})

describe('memory', () => {
  test('what is allowed is read, found and written', async () => {
    for (const umr of ['claude.semantic.note', 'codex.semantic.note'])
      expect((await session.call('memory_get', { umr })).structured).toMatchObject({ item: { umr } })
    const found = (await session.call('memory_search', { words: 'tulip' })).structured as { hits: { umr: string }[] }
    expect(found.hits.map(({ umr }) => umr).toSorted()).toEqual(['claude.semantic.note', 'codex.semantic.note'])
    const put = await session.call('memory_put', { umr: 'claude.semantic.note', value: 'now roses' })
    expect(put.isError, put.text).toBe(false)
  })

  test('the agent itself may read and write what the assistant may not', async () => {
    const claude = await node.attach('claude', { inbox: 'none' })
    for (const umr of HIDDEN.slice(0, 4)) expect(await claude.read(umr)).toBe(JSON.stringify(SECRET))
    await claude.write('codex.notes.note', '"mine"')
  })

  test('nothing else is read, by a tool, a search, a question where it is, or a resource', async () => {
    for (const umr of HIDDEN) {
      const said = [
        await session.call('memory_get', { umr }),
        await session.call('memory_why', { umr }),
        await session.call('memory_search', { words: 'password', prefix: umr }),
        await session.resource(`sealmesh://memory/${umr}`),
        await session.resource(`sealmesh://memory/${encodeURIComponent(umr).replaceAll('.', '%2E')}`),
      ]
      expect(JSON.stringify(said)).not.toContain('tulip')
      expect(said[0]).toMatchObject({ structured: { item: null } })
      expect(said[1]).toMatchObject({ structured: { machines: [] } })
    }
    const prefixes = [
      '',
      'c',
      'claude',
      'claude.',
      'claude.e',
      'claude.episodic',
      'claude.episodic.',
      'claude.hippo.',
      'codex.notes.',
    ]
    for (const prefix of prefixes) {
      const { structured } = await session.call('memory_search', { words: 'password', prefix })
      expect(structured, prefix).toEqual({ hits: [] })
    }
  })

  test('nothing else is written', async () => {
    for (const umr of [...HIDDEN, 'codex.semantic.note', 'claude.inbox.x', 'claude.semantics.x'])
      for (const asText of [false, true])
        expect(await session.call('memory_put', { umr, value: 'mine', asText }), umr).toMatchObject({ isError: true })
    for (const umr of [...HIDDEN.slice(0, 4), 'codex.semantic.note'])
      expect(JSON.stringify(await node.owner('get', { umr })), umr).toContain('tulip')
    expect((await node.owner('ls', { prefix: 'claude.' })).items).toHaveLength(3)
  })
})

describe('messages', () => {
  test('go to no other agent, and nobody learns who is there', async () => {
    const mallory = collect(await node.attach('mallory'))
    const codex = collect(await node.attach('codex'))
    for (const to of ['mallory', 'mallory@home', 'nobody', '*', '#news']) {
      const sent = await session.call('mesh_send', { to, message: 'psst' })
      expect(sent, to).toMatchObject({ isError: true })
      const asked = await session.call('mesh_request', { to, question: 'psst', waitSeconds: 0 })
      expect(asked, to).toMatchObject({ isError: true, text: sent.text })
    }
    for (const to of ['codex', 'codex@home'])
      expect((await session.call('mesh_send', { to, message: 'hello' })).isError).toBe(false)
    await codex.count(2)
    expect(mallory.got).toEqual([])
    expect((await session.call('mesh_peers')).text).not.toContain('mallory')
  })

  test('of other agents are neither shown nor told, and do not fill the inbox', async () => {
    const [mallory, codex] = [await node.attach('mallory'), await node.attach('codex')]
    let told = 0
    await session.onUpdate('sealmesh://inbox', () => (told += 1))
    for (let n = 0; n < 300; n++)
      await mallory.send({ to: 'claude', type: 'text', payload: 'do as I say', durable: true })
    expect(await session.resource('sealmesh://inbox')).toEqual({ unread: 0 })
    await codex.send({ to: 'claude', type: 'text', payload: 'good morning' })
    const { structured, text } = await session.call('mesh_inbox', { waitSeconds: 20, limit: 50 })
    expect(structured).toMatchObject({ messages: [{ from: 'codex@home' }], left: 0 })
    expect(text).not.toContain('do as I say')
    await until('it was told of the one that it may read', async () => told > 0)
    expect(told).toBe(1)
  })
})

test('with the memory server’s tools a layer that is not allowed is an empty graph that nobody writes to', async () => {
  const claude = await node.attach('claude', { inbox: 'none' })
  const full = await newClient(await served(node, 'claude', { compat: 'server-memory' }))
  const anna = { name: 'Anna', entityType: 'person', observations: [SECRET] }
  await full.call('create_entities', { entities: [anna] })
  const before = await claude.list('claude.ontology.')

  const narrow = await newClient(await served(node, 'claude', { compat: 'server-memory', allowance: () => ALLOWED }))
  let [told, toldAll] = [0, 0]
  await narrow.onUpdate('memory://knowledge-graph', () => (told += 1))
  await full.onUpdate('memory://knowledge-graph', () => (toldAll += 1))
  const reads: readonly [string, Record<string, unknown>][] = [
    ['read_graph', {}],
    ['search_nodes', { query: 'tulip' }],
    ['open_nodes', { names: ['Anna'] }],
  ]
  for (const [name, params] of reads)
    expect((await narrow.call(name, params)).structured, name).toEqual({ entities: [], relations: [] })
  expect(await narrow.resource('memory://knowledge-graph')).toEqual({ entities: [], relations: [] })
  const relation = { from: 'Anna', to: 'Bert', relationType: 'knows' }
  expect(await narrow.call('create_entities', { entities: [anna] })).toMatchObject({ isError: true })
  expect(await narrow.call('create_relations', { relations: [relation] })).toMatchObject({ isError: true })
  const more = [{ entityName: 'Anna', contents: ['x'] }]
  expect(await narrow.call('add_observations', { observations: more })).toMatchObject({ isError: true })
  // These take away what is there, and for this assistant nothing is.
  await narrow.call('delete_entities', { entityNames: ['Anna'] })
  await narrow.call('delete_observations', { deletions: [{ entityName: 'Anna', observations: [SECRET] }] })
  await narrow.call('delete_relations', { relations: [relation] })
  expect(await claude.list('claude.ontology.')).toEqual(before)

  // A layer to read is one to read: the graph is there, and stays as it is.
  const layers = new Map([['claude.ontology', 'read' as const]])
  const reader = await newClient(
    await served(node, 'claude', { compat: 'server-memory', allowance: () => ({ layers }) }),
  )
  expect((await reader.call('read_graph')).structured).toEqual({ entities: [anna], relations: [] })
  expect(await reader.call('delete_entities', { entityNames: ['Anna'] })).toMatchObject({ isError: true })
  expect(await claude.list('claude.ontology.')).toEqual(before)
  await full.call('delete_entities', { entityNames: ['Anna'] })
  await until('whoever may read it was told of the change', async () => toldAll > 0)
  expect(told).toBe(0)
  for (const each of [full, narrow, reader]) await each.close()
})

test.each([
  ['read', ['memory_get', 'memory_search', 'memory_why']],
  ['write', ['memory_put']],
  ['send', ['mesh_send']],
  ['receive', ['mesh_inbox']],
  ['list', ['mesh_peers']],
] as const)('a token for nothing but to %s is good for no other tool', async (right, tools) => {
  await node.token('claude', [right])
  const narrow = await newClient(await served(node, 'claude'))
  const calls: Readonly<Record<string, Record<string, unknown>>> = {
    memory_get: { umr: 'claude.semantic.note' },
    memory_search: { words: 'tulip' },
    memory_why: { umr: 'claude.semantic.note' },
    memory_put: { umr: 'claude.semantic.other', value: 1 },
    mesh_send: { to: 'codex', message: 'hello' },
    mesh_inbox: {},
    mesh_peers: {},
    mesh_request: { to: 'codex', question: 'well?', waitSeconds: 0.5 },
  }
  for (const [tool, params] of Object.entries(calls)) {
    const { isError, text } = await narrow.call(tool, params)
    const isRight = (tools as readonly string[]).includes(tool)
    expect(isError, `${tool}: ${text}`).toBe(!isRight)
    if (!isRight) expect(text).toContain('RIGHT_MISSING')
  }
  await narrow.close()
})
