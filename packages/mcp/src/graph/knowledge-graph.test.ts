import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { Entity, Graph, Relation } from './graph.ts'
import { KnowledgeGraph } from './knowledge-graph.ts'
import type { GraphRows } from './rows.ts'

/** An agent's registers in memory. `fork` and `merge`: what two machines do that were apart. */
class Rows implements GraphRows {
  readonly kept: Map<string, unknown>

  constructor(kept: Map<string, unknown> = new Map()) {
    this.kept = kept
  }

  async read(): Promise<ReadonlyMap<string, unknown>> {
    return new Map(structuredClone([...this.kept]))
  }

  async write(rows: readonly { readonly id: string; readonly value: unknown }[]): Promise<void> {
    for (const { id, value } of rows) this.kept.set(id, structuredClone(value))
  }

  async remove(ids: readonly string[]): Promise<void> {
    for (const id of ids) if (!this.kept.delete(id)) throw new Error(`${id} is not there to remove`)
  }
}

/** What the published memory server does with its file, with sets for its lists. */
class Model {
  entities = new Map<string, { entityType: string; observations: string[] }>()
  relations = new Map<string, Relation>()

  key = ({ from, to, relationType }: Relation): string => JSON.stringify([from, to, relationType])

  graph(isMeant: (entity: Entity) => boolean = () => true, all = true): Graph {
    const entities = [...this.entities].map(([name, rest]) => ({ name, ...rest })).filter(isMeant)
    const names = new Set(entities.map(({ name }) => name))
    const relations = [...this.relations.values()].filter(({ from, to }) => all || names.has(from) || names.has(to))
    return { entities, relations }
  }
}

const sorted = ({ entities, relations }: Graph): Graph => ({
  entities: entities.toSorted((a, b) => (a.name < b.name ? -1 : 1)),
  relations: relations.toSorted((a, b) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1)),
})

const name: fc.Arbitrary<string> = fc.constantFrom('Anna', 'shop/eu', 'a%2Fb', 'a/b', 'Übung')
const said: fc.Arbitrary<string> = fc.constantFrom('likes tea', 'moved to Lyon', 'ships on Tuesday', 'TEA is out')
const type = fc.constantFrom('person', 'system')
const entity = fc.record({ name, entityType: type, observations: fc.uniqueArray(said, { maxLength: 3 }) })
const relation = fc.record({ from: name, to: name, relationType: fc.constantFrom('knows', 'runs/on') })
const step = fc.oneof(
  fc.record({ do: fc.constant('createEntities' as const), entities: fc.array(entity, { maxLength: 3 }) }),
  fc.record({ do: fc.constant('createRelations' as const), relations: fc.array(relation, { maxLength: 3 }) }),
  fc.record({ do: fc.constant('addObservations' as const), of: name, contents: fc.array(said, { maxLength: 3 }) }),
  fc.record({ do: fc.constant('deleteEntities' as const), names: fc.array(name, { maxLength: 2 }) }),
  fc.record({ do: fc.constant('deleteObservations' as const), of: name, contents: fc.array(said, { maxLength: 2 }) }),
  fc.record({ do: fc.constant('deleteRelations' as const), relations: fc.array(relation, { maxLength: 2 }) }),
  fc.record({ do: fc.constant('search' as const), query: fc.constantFrom('tea', 'PERSON', 'shop', 'b', 'zzz') }),
  fc.record({ do: fc.constant('open' as const), names: fc.array(name, { maxLength: 2 }) }),
)

test('after any calls the graph is what the published server would have', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 20 }), async (steps) => {
      const graph = new KnowledgeGraph(new Rows())
      const model = new Model()
      for (const each of steps) {
        switch (each.do) {
          case 'createEntities': {
            const fresh = each.entities.filter(
              ({ name: it }, at, all) => !model.entities.has(it) && all.findIndex((other) => other.name === it) === at,
            )
            expect(await graph.createEntities(each.entities)).toEqual(fresh)
            for (const { name: it, ...rest } of fresh) model.entities.set(it, rest)
            break
          }
          case 'createRelations': {
            const fresh = each.relations.filter(
              (it, at, all) =>
                !model.relations.has(model.key(it)) &&
                all.findIndex((other) => model.key(other) === model.key(it)) === at,
            )
            expect(await graph.createRelations(each.relations)).toEqual(fresh)
            for (const it of fresh) model.relations.set(model.key(it), it)
            break
          }
          case 'addObservations': {
            const known = model.entities.get(each.of)
            const call = graph.addObservations([{ entityName: each.of, contents: each.contents }])
            if (known === undefined) {
              await expect(call).rejects.toThrow(/There is no entity/)
              break
            }
            const added = [...new Set(each.contents)].filter((it) => !known.observations.includes(it))
            expect(await call).toEqual([{ entityName: each.of, addedObservations: added }])
            known.observations.push(...added)
            break
          }
          case 'deleteEntities':
            await graph.deleteEntities(each.names)
            for (const it of each.names) model.entities.delete(it)
            for (const [key, it] of model.relations)
              if (each.names.includes(it.from) || each.names.includes(it.to)) model.relations.delete(key)
            break
          case 'deleteObservations': {
            await graph.deleteObservations([{ entityName: each.of, observations: each.contents }])
            const known = model.entities.get(each.of)
            if (known !== undefined) known.observations = known.observations.filter((it) => !each.contents.includes(it))
            break
          }
          case 'deleteRelations':
            await graph.deleteRelations(each.relations)
            for (const it of each.relations) model.relations.delete(model.key(it))
            break
          case 'search': {
            const says = (text: string): boolean => text.toLowerCase().includes(each.query.toLowerCase())
            const wanted = model.graph(
              (it) => says(it.name) || says(it.entityType) || it.observations.some(says),
              false,
            )
            expect(sorted(await graph.searchNodes(each.query))).toEqual(sorted(wanted))
            break
          }
          case 'open':
            expect(sorted(await graph.openNodes(each.names))).toEqual(
              sorted(model.graph(({ name: it }) => each.names.includes(it), false)),
            )
        }
        expect(sorted(await graph.readGraph())).toEqual(sorted(model.graph()))
      }
    }),
    { numRuns: 150 },
  )
})

test('two machines that each add an observation both keep theirs', async () => {
  const home = new Rows()
  await new KnowledgeGraph(home).createEntities([{ name: 'Anna', entityType: 'person', observations: ['likes tea'] }])
  const office = new Rows(new Map(structuredClone([...home.kept])))
  await new KnowledgeGraph(home).addObservations([{ entityName: 'Anna', contents: ['moved to Lyon'] }])
  await new KnowledgeGraph(office).addObservations([{ entityName: 'Anna', contents: ['ships on Tuesday'] }])
  // The last writer of the entity's own register wins; what was said lies in registers of its own.
  const merged = new KnowledgeGraph(new Rows(new Map([...office.kept, ...home.kept])))
  expect(await merged.readGraph()).toEqual({
    entities: [
      { name: 'Anna', entityType: 'person', observations: ['likes tea', 'moved to Lyon', 'ships on Tuesday'] },
    ],
    relations: [],
  })
})

test('calls that come together do not lose what the other has added', async () => {
  const graph = new KnowledgeGraph(new Rows())
  await graph.createEntities([{ name: 'Anna', entityType: 'person', observations: [] }])
  await Promise.all(
    ['one', 'two', 'three'].map((each) => graph.addObservations([{ entityName: 'Anna', contents: [each] }])),
  )
  expect((await graph.readGraph()).entities[0]?.observations).toEqual(['one', 'two', 'three'])
})

test('an entity that is not there refuses the whole call and nothing is written', async () => {
  const graph = new KnowledgeGraph(new Rows())
  await graph.createEntities([{ name: 'Anna', entityType: 'person', observations: [] }])
  const call = graph.addObservations([
    { entityName: 'Anna', contents: ['likes tea'] },
    { entityName: 'Bert', contents: ['likes tea'] },
  ])
  await expect(call).rejects.toThrow(/There is no entity "Bert"/)
  expect((await graph.readGraph()).entities[0]?.observations).toEqual([])
})

test('what other programs keep in the layer is left alone and is no part of the graph', async () => {
  const rows = new Rows(
    new Map<string, unknown>([
      ['entity:odd', 7],
      ['note', { text: 'mine' }],
      ['relation:x', []],
    ]),
  )
  const graph = new KnowledgeGraph(rows)
  expect(await graph.readGraph()).toEqual({ entities: [], relations: [] })
  await graph.deleteEntities(['odd'])
  expect(rows.kept.size).toBe(3)
})
