import { KnowledgeGraph } from '@sealmesh/mcp/graph/knowledge-graph'
import { graphRowsOf } from '@sealmesh/mcp/graph/rows'
import { Window } from '@sealmesh/node/mcp/window'
import { expect, onTestFinished, test } from 'vitest'
import { agentsNode } from '../agents/agents-node.ts'

test('two windows that remove the same rows have both removed them', async () => {
  const node = await agentsNode(['claude'])
  const open = async () => {
    const token = node.tokens.get('claude') ?? ''
    const window = await Window.open({ home: node.home, token, wantsMail: false })
    onTestFinished(() => window.close())
    return graphRowsOf(window)
  }
  const [one, other] = [await open(), await open()]
  await one.write(['entity:Anna', 'entity:Bert'].map((id) => ({ id, value: { name: id } })))
  // Both have read the graph when the first removes.
  const ids = [...(await other.read()).keys()]
  await one.remove(ids.slice(0, 1))
  await other.remove(ids)
  expect([...(await one.read()).keys()]).toEqual([])
})

test('a name that no id can hold is kept whole all the same', async () => {
  const node = await agentsNode(['claude'])
  const token = node.tokens.get('claude') ?? ''
  const window = await Window.open({ home: node.home, token, wantsMail: false })
  onTestFinished(() => window.close())
  const graph = new KnowledgeGraph(graphRowsOf(window))
  const names = ['two\nlines', 'two\tlines', 'long '.repeat(200), `${'long '.repeat(200)}!`]
  const entities = names.map((name) => ({ name, entityType: 'odd', observations: ['is odd'] })).toSorted(byName)
  const relations = [{ from: names[2] ?? '', to: names[3] ?? '', relationType: '' }]
  await graph.createEntities(entities)
  await graph.createRelations(relations)
  expect(await graph.readGraph()).toEqual({ entities, relations })
  await graph.deleteEntities(names)
  expect(await graph.readGraph()).toEqual({ entities: [], relations: [] })
})

const byName = (a: { readonly name: string }, b: { readonly name: string }): number => (a.name < b.name ? -1 : 1)
