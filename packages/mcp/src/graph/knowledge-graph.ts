import { contentHash } from '@sealmesh/protocol/memory/content-hash'
import { entityId } from '@sealmesh/protocol/memory/graph-layout'
import {
  around,
  type Entity,
  type Graph,
  graphOf,
  idOfObservation,
  keyOf,
  type Relation,
  rowOfRelation,
  rowsOfEntity,
} from './graph.ts'
import type { GraphRows } from './rows.ts'

/**
 * What the published memory server's nine tools do, over an agent's own registers: shared, synced, and with no file
 * that a second server overwrites. Where the two differ is said in docs/mcp.md §4. One call at a time: each reads the
 * graph and writes what follows from it.
 */
export class KnowledgeGraph {
  readonly #rows: GraphRows
  #last: Promise<unknown> = Promise.resolve()

  constructor(rows: GraphRows) {
    this.#rows = rows
  }

  /** Gives back those that were new. */
  createEntities(entities: readonly Entity[]): Promise<Entity[]> {
    return this.#inTurn(async ({ entities: known }) => {
      const names = new Set(known.map(({ name }) => name))
      const fresh = entities.filter(({ name }) => !names.has(name) && names.add(name))
      await this.#rows.write(fresh.flatMap(rowsOfEntity))
      return fresh
    })
  }

  createRelations(relations: readonly Relation[]): Promise<Relation[]> {
    return this.#inTurn(async ({ relations: known }) => {
      const keys = new Set(known.map(keyOf))
      const fresh = relations.filter((relation) => !keys.has(keyOf(relation)) && keys.add(keyOf(relation)))
      await this.#rows.write(fresh.map(rowOfRelation))
      return fresh
    })
  }

  /** All or nothing: an entity that is not there refuses the whole call. */
  addObservations(
    additions: readonly { readonly entityName: string; readonly contents: readonly string[] }[],
  ): Promise<{ entityName: string; addedObservations: string[] }[]> {
    return this.#inTurn(async ({ entities }) => {
      const changed = new Map<string, Entity>()
      const results = additions.map(({ entityName, contents }) => {
        const entity = changed.get(entityName) ?? entities.find(({ name }) => name === entityName)
        if (entity === undefined)
          throw new Error(`There is no entity "${entityName}". Create it first: create_entities.`)
        const known = new Set(entity.observations.map((each) => contentHash(each)))
        const added: string[] = []
        for (const content of contents) {
          const hash = contentHash(content)
          if (known.has(hash)) continue
          known.add(hash)
          added.push(content)
        }
        changed.set(entityName, { ...entity, observations: [...entity.observations, ...added] })
        return { entityName, addedObservations: added }
      })
      const touched = new Set(
        results.filter(({ addedObservations }) => addedObservations.length > 0).map(({ entityName }) => entityName),
      )
      const added = new Set(
        results.flatMap(({ entityName, addedObservations }) =>
          addedObservations.map((each) => idOfObservation(entityName, each)),
        ),
      )
      const rows = [...changed.values()].filter(({ name }) => touched.has(name)).flatMap(rowsOfEntity)
      await this.#rows.write(rows.filter(({ id }) => !id.startsWith('observation:') || added.has(id)))
      return results
    })
  }

  /** With everything that is known of them and every relation that they have. */
  deleteEntities(names: readonly string[]): Promise<void> {
    return this.#inTurn(async ({ entities, relations }) => {
      const gone = new Set(names)
      const found = entities.filter(({ name }) => gone.has(name))
      await this.#rows.remove([
        ...relations.filter(({ from, to }) => gone.has(from) || gone.has(to)).map(keyOf),
        ...found.map(({ name }) => entityId(name)),
        ...found.flatMap(({ name, observations }) => observations.map((each) => idOfObservation(name, each))),
      ])
    })
  }

  deleteObservations(
    deletions: readonly { readonly entityName: string; readonly observations: readonly string[] }[],
  ): Promise<void> {
    return this.#inTurn(async ({ entities }) => {
      const ids = deletions.flatMap(({ entityName, observations }) => {
        const known = entities.find(({ name }) => name === entityName)?.observations ?? []
        const meant = known.filter((each) => observations.includes(each))
        return meant.map((each) => idOfObservation(entityName, each))
      })
      await this.#rows.remove([...new Set(ids)])
    })
  }

  deleteRelations(relations: readonly Relation[]): Promise<void> {
    return this.#inTurn(async ({ relations: known }) => {
      const keys = new Set(relations.map(keyOf))
      await this.#rows.remove(known.map(keyOf).filter((key) => keys.has(key)))
    })
  }

  readGraph(): Promise<Graph> {
    return this.#inTurn((graph) => graph)
  }

  searchNodes(query: string): Promise<Graph> {
    const wanted = query.toLowerCase()
    const says = (text: string): boolean => text.toLowerCase().includes(wanted)
    return this.#inTurn((graph) =>
      around(graph, ({ name, entityType, observations }) => says(name) || says(entityType) || observations.some(says)),
    )
  }

  openNodes(names: readonly string[]): Promise<Graph> {
    return this.#inTurn((graph) => around(graph, ({ name }) => names.includes(name)))
  }

  #inTurn<T>(work: (graph: Graph) => T | Promise<T>): Promise<T> {
    const turn = this.#last.then(async () => work(graphOf(await this.#rows.read())))
    this.#last = turn.catch(() => undefined)
    return turn
  }
}
