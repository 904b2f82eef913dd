import { contentHash } from '@sealmesh/protocol/memory/content-hash'
import { entityId, observationId, relationId } from '@sealmesh/protocol/memory/graph-layout'
import { z } from 'zod'

/**
 * A knowledge graph and the registers that it is made of (`protocol/memory/graph-layout.ts`). Pure: what is read becomes
 * a graph, what is asked becomes rows to write and ids to remove.
 */

export const Entity = z.object({
  name: z.string().min(1).describe('The name of the entity'),
  entityType: z.string().describe('The type of the entity'),
  observations: z.array(z.string()).describe('What is known of it, a sentence each'),
})
export type Entity = z.infer<typeof Entity>
export const Relation = z.object({
  from: z.string().min(1).describe('The name of the entity where the relation starts'),
  to: z.string().min(1).describe('The name of the entity where the relation ends'),
  relationType: z.string().describe('What the relation says, in active voice'),
})
export type Relation = z.infer<typeof Relation>

export interface Graph {
  /** By name: two machines that each add some have no order of their own. */
  readonly entities: readonly Entity[]
  readonly relations: readonly Relation[]
}

export interface Row {
  readonly id: string
  readonly value: unknown
}

const EntityRow = z.object({ name: z.string(), entityType: z.string(), observations: z.array(z.string()) })
const ObservationRow = z.object({ of: z.string(), observation: z.string() })

/** What does not have the shape of a graph is left out: other programs may write to the layer too. */
export function graphOf(rows: ReadonlyMap<string, unknown>): Graph {
  const observations = new Map<string, Map<string, string>>()
  const relations: Relation[] = []
  for (const [id, value] of rows) {
    const observation = id.startsWith('observation:') ? ObservationRow.safeParse(value) : undefined
    if (observation?.success) {
      const { of, observation: said } = observation.data
      const known = observations.get(of) ?? new Map<string, string>()
      known.set(contentHash(said), said)
      observations.set(of, known)
    }
    const relation = id.startsWith('relation:') ? Relation.safeParse(value) : undefined
    if (relation?.success) relations.push(relation.data)
  }
  const entities: Entity[] = []
  for (const [id, value] of rows) {
    const row = id.startsWith('entity:') ? EntityRow.safeParse(value) : undefined
    if (!row?.success) continue
    const { name, entityType, observations: order } = row.data
    entities.push({ name, entityType, observations: inOrder(order, observations.get(name) ?? new Map()) })
  }
  entities.sort((a, b) => (a.name < b.name ? -1 : 1))
  relations.sort((a, b) => (keyOf(a) < keyOf(b) ? -1 : 1))
  return { entities, relations }
}

/** First as the entity lists them; what another machine added meanwhile comes behind. */
function inOrder(order: readonly string[], known: ReadonlyMap<string, string>): string[] {
  const listed = new Set(order)
  const said = [...listed].flatMap((hash) => known.get(hash) ?? [])
  const others = [...known].filter(([hash]) => !listed.has(hash)).toSorted(([a], [b]) => (a < b ? -1 : 1))
  return [...said, ...others.map(([, observation]) => observation)]
}

export const rowsOfEntity = ({ name, entityType, observations }: Entity): Row[] => {
  const hashes = new Map(observations.map((observation) => [contentHash(observation), observation]))
  return [
    // The observations first: an entity that is seen lacks nothing that it lists.
    ...[...hashes].map(([hash, observation]) => ({
      id: observationId(name, hash),
      value: { of: name, observation },
    })),
    { id: entityId(name), value: { name, entityType, observations: [...hashes.keys()] } },
  ]
}

export const rowOfRelation = ({ from, to, relationType }: Relation): Row => ({
  id: relationId(from, relationType, to),
  value: { from, to, relationType },
})

export const idOfObservation = (entity: string, observation: string): string =>
  observationId(entity, contentHash(observation))

export const keyOf = ({ from, to, relationType }: Relation): string => relationId(from, relationType, to)

/** What touches these entities: they, and every relation with one of them at either end. */
export function around({ entities, relations }: Graph, isMeant: (entity: Entity) => boolean): Graph {
  const found = entities.filter(isMeant)
  const names = new Set(found.map(({ name }) => name))
  return { entities: found, relations: relations.filter(({ from, to }) => names.has(from) || names.has(to)) }
}
