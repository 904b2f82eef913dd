import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { temporaryFolder } from '../keys/temporary-home.ts'
import { NodeProcess } from '../processes/node.ts'
import { BIN, runProgram } from '../processes/program.ts'
import { type Called, type McpSession, newClient, oldClient, ourServer, publishedServer } from './servers.ts'

/**
 * The published memory server and ours, side by side: the same calls, and what each answers. docs/mcp.md §4 has the
 * table; what differs on purpose is tried here as well.
 */

interface Graph {
  readonly entities: readonly { name: string; observations: string[] }[]
  readonly relations: readonly object[]
}

const ANNA = { name: 'Anna', entityType: 'person', observations: ['likes tea', 'moved to Lyon'] }
const SHOP = { name: 'shop/eu', entityType: 'system', observations: [] }
const RUNS = { from: 'Anna', to: 'shop/eu', relationType: 'runs' }
const KNOWS = { from: 'Anna', to: 'Bert', relationType: 'knows' }

/** Calls whose answers are the same, in order. */
const SAME: readonly [string, Record<string, unknown>][] = [
  ['read_graph', {}],
  ['create_entities', { entities: [ANNA, SHOP] }],
  ['create_entities', { entities: [ANNA] }],
  ['create_entities', { entities: [] }],
  ['create_relations', { relations: [RUNS, KNOWS] }],
  ['create_relations', { relations: [RUNS] }],
  ['add_observations', { observations: [{ entityName: 'Anna', contents: ['likes tea', 'has a cat'] }] }],
  ['open_nodes', { names: ['Anna'] }],
  ['open_nodes', { names: ['shop/eu'] }],
  ['open_nodes', { names: ['nobody'] }],
  ['search_nodes', { query: 'LYON' }],
  ['search_nodes', { query: 'system' }],
  ['search_nodes', { query: 'zzz' }],
  ['search_nodes', { query: '' }],
  ['delete_observations', { deletions: [{ entityName: 'Anna', observations: ['has a cat', 'never said'] }] }],
  ['delete_observations', { deletions: [{ entityName: 'nobody', observations: ['x'] }] }],
  ['delete_relations', { relations: [KNOWS, { ...KNOWS, to: 'nobody' }] }],
  ['read_graph', {}],
  ['create_relations', { relations: [KNOWS] }],
  ['delete_entities', { entityNames: ['Anna', 'nobody'] }],
  ['read_graph', {}],
]

/** Two machines have no common order of entities: compared as sets. */
const inOrder = (structured: unknown): unknown => {
  const graph = structured as Partial<Graph>
  if (graph.entities === undefined || graph.relations === undefined) return structured
  const byText = (a: object, b: object): number => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1)
  return { entities: [...graph.entities].sort(byText), relations: [...graph.relations].sort(byText) }
}

test('answers as the published server does, but where the table says otherwise', async () => {
  const folder = await temporaryFolder()
  const home = join(folder, 'home')
  await mkdir(home, { mode: 0o700 })
  const node = await NodeProcess.start({ home, name: 'home', relay: 'none', agent: 'claude' })
  onTestFinished(() => node.stop())
  const words = ['mcp', 'install', 'cursor', '--project', folder, '--agent', 'claude', '--yes', '--home', home]
  expect((await runProgram(BIN.node, words, { name: 'install' })).exit.code).toBe(0)
  const open = async (session: Promise<McpSession>): Promise<McpSession> => {
    const opened = await session
    onTestFinished(() => opened.close())
    return opened
  }
  const theirs = await open(oldClient(publishedServer(join(folder, 'memory.jsonl'))))
  const ours = await open(newClient(ourServer(home, 'claude', '--compat', 'server-memory')))
  expect((await ours.tools()).toSorted()).toEqual((await theirs.tools()).toSorted())

  const both = async (name: string, params: Record<string, unknown>): Promise<[Called, Called]> => [
    await theirs.call(name, params),
    await ours.call(name, params),
  ]
  for (const [name, params] of SAME) {
    const [published, own] = await both(name, params)
    const said = `${name} ${JSON.stringify(params)}`
    expect(own.isError, said).toBe(published.isError)
    expect(inOrder(own.structured), said).toEqual(inOrder(published.structured))
    // For clients that read no structured content.
    if (!own.text.startsWith('{')) expect(own.text, said).toBe(published.text)
  }

  const missing = { observations: [{ entityName: 'nobody', contents: ['x'] }] }
  for (const answer of await both('add_observations', missing)) expect(answer).toMatchObject({ isError: true })

  // On purpose: one call that names an entity twice makes one of it, and what is said twice is one observation.
  const twice = {
    entities: [
      { ...SHOP, observations: ['a', 'a'] },
      { ...SHOP, name: 'new' },
      { ...SHOP, name: 'new' },
    ],
  }
  const [published, own] = await both('create_entities', twice)
  expect((published.structured as Graph).entities).toHaveLength(2)
  expect((own.structured as Graph).entities).toHaveLength(1)
})
