import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { GRAPH_TOOLS } from '@sealmesh/mcp/tools/graph-tools'
import fc from 'fast-check'
import { beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { NodeProcess } from '../processes/node.ts'
import { BIN, runProgram } from '../processes/program.ts'
import { type Called, type McpSession, newClient, oldClient, ourServer, publishedServer } from './servers.ts'

/**
 * The published memory server and ours, side by side: the same calls, and what each answers. docs/mcp.md §4 has the
 * table; what differs on purpose is tried here as well.
 */

type Params = Record<string, unknown>
type Step = readonly [tool: string, params: Params]

const ANNA = { name: 'Anna', entityType: 'person', observations: ['likes tea', 'moved to Lyon'] }
const SHOP = { name: 'shop/eu', entityType: 'system', observations: [] }
const RUNS = { from: 'Anna', to: 'shop/eu', relationType: 'runs' }
const KNOWS = { from: 'Anna', to: 'Bert', relationType: 'knows' }
const GRAPH: readonly Step[] = [
  ['create_entities', { entities: [ANNA, SHOP] }],
  ['create_relations', { relations: [RUNS, KNOWS] }],
]

/** The rows of the table: what is tried of each tool, after the graph above is made. */
const ROWS: Readonly<Record<(typeof GRAPH_TOOLS)[number], readonly Step[]>> = {
  create_entities: [
    ['create_entities', { entities: [ANNA, { ...SHOP, name: 'new' }] }],
    ['create_entities', { entities: [{ ...ANNA, entityType: 'other', observations: ['other'] }] }],
    ['create_entities', { entities: [] }],
    ['create_entities', { entities: [{ name: 'no type' }] }],
    ['create_entities', {}],
  ],
  create_relations: [
    ['create_relations', { relations: [RUNS, { ...RUNS, relationType: 'owns' }] }],
    // Neither end need be there.
    ['create_relations', { relations: [{ from: 'nobody', to: 'nothing', relationType: 'is' }] }],
    ['create_relations', { relations: [] }],
    ['create_relations', { relations: [{ from: 'Anna' }] }],
  ],
  add_observations: [
    ['add_observations', { observations: [{ entityName: 'Anna', contents: ['likes tea', 'has a cat'] }] }],
    ['add_observations', { observations: [{ entityName: 'Anna', contents: [] }] }],
    ['add_observations', { observations: [] }],
    ['add_observations', { observations: [{ entityName: 'nobody', contents: ['x'] }] }],
    // One that is unknown refuses the whole call.
    [
      'add_observations',
      {
        observations: [
          { entityName: 'Anna', contents: ['not written'] },
          { entityName: 'nobody', contents: ['x'] },
        ],
      },
    ],
  ],
  delete_entities: [
    ['delete_entities', { entityNames: ['Anna', 'nobody'] }],
    ['delete_entities', { entityNames: ['Anna'] }],
    // Begun anew, it knows nothing of before.
    ['create_entities', { entities: [{ ...ANNA, observations: [] }] }],
    ['delete_entities', { entityNames: [] }],
    ['delete_entities', { entityNames: 'Anna' }],
  ],
  delete_observations: [
    ['delete_observations', { deletions: [{ entityName: 'Anna', observations: ['likes tea', 'never said'] }] }],
    ['delete_observations', { deletions: [{ entityName: 'nobody', observations: ['x'] }] }],
    ['delete_observations', { deletions: [{ entityName: 'Anna', observations: ['LIKES TEA'] }] }],
    ['delete_observations', { deletions: [] }],
  ],
  delete_relations: [
    ['delete_relations', { relations: [KNOWS, { ...KNOWS, to: 'nobody' }] }],
    ['delete_relations', { relations: [{ ...RUNS, relationType: 'RUNS' }] }],
    ['delete_relations', { relations: [] }],
  ],
  read_graph: [['read_graph', {}]],
  search_nodes: ['LYON', 'system', 'anna', 'zzz', '', 'runs', '*', 'tea moved'].map(
    (query): Step => ['search_nodes', { query }],
  ),
  open_nodes: [['Anna'], ['shop/eu', 'Anna'], ['nobody'], [], ['anna'], ['Bert']].map(
    (names): Step => ['open_nodes', { names }],
  ),
}

/** Two machines have no common order of entities: compared as sets. */
const inOrder = (structured: unknown): unknown => {
  const graph = structured as { entities?: object[]; relations?: object[] } | undefined
  if (graph?.entities === undefined || graph.relations === undefined) return structured
  const byText = (a: object, b: object): number => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1)
  return { entities: graph.entities.toSorted(byText), relations: graph.relations.toSorted(byText) }
}

let theirs: McpSession
let ours: McpSession

beforeAll(async () => {
  const folder = await mkdtemp(join(tmpdir(), 'sm-'))
  const home = join(folder, 'home')
  await mkdir(home, { mode: 0o700 })
  const node = await NodeProcess.start({ home, name: 'home', relay: 'none', agent: 'claude' })
  const words = ['mcp', 'install', 'cursor', '--project', folder, '--agent', 'claude', '--yes', '--home', home]
  expect((await runProgram(BIN.node, words, { name: 'install' })).exit.code).toBe(0)
  theirs = await oldClient(publishedServer(join(folder, 'memory.jsonl')))
  ours = await newClient(ourServer(home, 'claude', '--compat', 'server-memory'))
  return async () => {
    await theirs.close()
    await ours.close()
    await node.stop()
    await rm(folder, { recursive: true, force: true })
  }
})

/** Both begin again with nothing. */
beforeEach(async () => {
  for (const session of [theirs, ours]) {
    const { entities, relations } = (await session.call('read_graph')).structured as {
      entities: { name: string }[]
      relations: object[]
    }
    await session.call('delete_relations', { relations })
    await session.call('delete_entities', { entityNames: entities.map(({ name }) => name) })
  }
  await same(['read_graph', {}])
})

/** The answer for programs, for clients that read the text alone, and whether it is an error. */
async function same([tool, params]: Step): Promise<void> {
  const said = `${tool} ${JSON.stringify(params)}`
  const [published, own] = [await theirs.call(tool, params), await ours.call(tool, params)]
  expect(own.isError, said).toBe(published.isError)
  expect(inOrder(own.structured), said).toEqual(inOrder(published.structured))
  if (!own.isError) expect(parsed(own.text), said).toEqual(parsed(published.text))
}

function parsed(text: string): unknown {
  return /^[[{]/.test(text) ? inOrder(JSON.parse(text)) : text
}

test('both list the same tools and the same resource', async () => {
  expect((await ours.tools()).toSorted()).toEqual((await theirs.tools()).toSorted())
  expect(await ours.resources()).toEqual(await theirs.resources())
  for (const step of GRAPH) await same(step)
  const uri = 'memory://knowledge-graph'
  expect(inOrder(await ours.resource(uri))).toEqual(inOrder(await theirs.resource(uri)))
})

test.each(Object.entries(ROWS))('%s answers as the published one does, and leaves the same graph', async (_, steps) => {
  for (const step of [...GRAPH, ...steps]) {
    await same(step)
    await same(['read_graph', {}])
  }
})

test('after any calls both have the same graph', async () => {
  const name = fc.constantFrom('Anna', 'shop/eu', 'a.b', 'Übung', ' ', '__proto__')
  const said = fc.constantFrom('likes tea', 'moved to Lyon', 'ships', '{"type":"entity"}', 'a\nb')
  const some = <T>(one: fc.Arbitrary<T>) =>
    fc.uniqueArray(one, { maxLength: 3, selector: (each) => JSON.stringify(each) })
  const entity = fc.record({ name, entityType: fc.constantFrom('person', ''), observations: some(said) })
  const relation = fc.record({ from: name, to: name, relationType: fc.constantFrom('knows', 'runs/on') })
  const params: Readonly<Record<(typeof GRAPH_TOOLS)[number], fc.Arbitrary<Params>>> = {
    // Twice in one call is told apart on purpose: below.
    create_entities: fc.record({ entities: fc.uniqueArray(entity, { maxLength: 3, selector: (each) => each.name }) }),
    create_relations: fc.record({ relations: some(relation) }),
    add_observations: fc.record({ observations: fc.tuple(fc.record({ entityName: name, contents: some(said) })) }),
    delete_entities: fc.record({ entityNames: some(name) }),
    delete_observations: fc.record({ deletions: some(fc.record({ entityName: name, observations: some(said) })) }),
    delete_relations: fc.record({ relations: some(relation) }),
    read_graph: fc.constant({}),
    search_nodes: fc.record({ query: fc.constantFrom('tea', 'PERSON', 'u', 'ü', '\n', '__proto__', '') }),
    open_nodes: fc.record({ names: some(name) }),
  }
  const step = fc.oneof(...GRAPH_TOOLS.map((tool) => params[tool].map((given): Step => [tool, given])))
  // One after another over one graph: each begins with what the ones before have left.
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 12 }), async (steps) => {
      for (const each of steps) await same(each)
      await same(['read_graph', {}])
    }),
    { numRuns: 40, endOnFailure: true },
  )
})

describe('otherwise, and on purpose', () => {
  const both = async (tool: string, params: Params): Promise<[Called, Called]> => [
    await theirs.call(tool, params),
    await ours.call(tool, params),
  ]

  test('an entity twice in one call is one, and so is a relation', async () => {
    const [published, own] = await both('create_entities', { entities: [SHOP, SHOP] })
    expect(published.structured).toEqual({ entities: [SHOP, SHOP] })
    expect(own.structured).toEqual({ entities: [SHOP] })
    const relations = [RUNS, RUNS]
    const [theirRelations, ourRelations] = await both('create_relations', { relations })
    expect(theirRelations.structured).toEqual({ relations })
    expect(ourRelations.structured).toEqual({ relations: [RUNS] })
  })

  test('what is said twice, or with other blanks, is one observation', async () => {
    await both('create_entities', { entities: [{ ...ANNA, observations: ['a', 'a'] }] })
    const contents = ['likes tea', 'likes  tea', 'likes tea']
    await both('add_observations', { observations: [{ entityName: 'Anna', contents }] })
    const [published, own] = await both('open_nodes', { names: ['Anna'] })
    expect(published.structured).toMatchObject({ entities: [{ observations: ['a', 'a', ...contents] }] })
    expect(own.structured).toMatchObject({ entities: [{ observations: ['a', 'likes tea'] }] })
  })

  test('an entity without a name, or a relation without an end, is refused', async () => {
    const [published, own] = await both('create_entities', { entities: [{ ...ANNA, name: '' }] })
    expect([published.isError, own.isError]).toEqual([false, true])
    const [theirRelation, ourRelation] = await both('create_relations', { relations: [{ ...RUNS, to: '' }] })
    expect([theirRelation.isError, ourRelation.isError]).toEqual([false, true])
    // Theirs is there, and goes again.
    await theirs.call('delete_entities', { entityNames: [''] })
  })

  test('entities come by name, not in the order in which they were made', async () => {
    const [published, own] = await both('create_entities', { entities: [SHOP, ANNA] })
    expect(own.structured).toEqual(published.structured)
    const [theirGraph, ourGraph] = await both('read_graph', {})
    expect(theirGraph.structured).toEqual({ entities: [SHOP, ANNA], relations: [] })
    expect(ourGraph.structured).toEqual({ entities: [ANNA, SHOP], relations: [] })
  })
})
