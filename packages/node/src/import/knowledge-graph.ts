import { REGISTER_VALUE_BYTES_MAX } from '@sealmesh/protocol/limits'
import { contentHash } from '@sealmesh/protocol/memory/content-hash'
import { entityId, GRAPH_LAYER, observationId, relationId } from '@sealmesh/protocol/memory/graph-layout'
import { z } from 'zod'
import { damaged, leftOut, type Memory, type MemoryItem, type Skipped } from './memory-item.ts'
import { secretIn } from './secret.ts'

const Entity = z.object({
  type: z.literal('entity'),
  name: z.string().min(1),
  entityType: z.string(),
  observations: z.array(z.string()).default([]),
})
const Relation = z.object({
  type: z.literal('relation'),
  from: z.string().min(1),
  to: z.string().min(1),
  relationType: z.string().min(1),
})
const Line = z.discriminatedUnion('type', [Entity, Relation])
/** What the MCP memory server's `read_graph` answers: the same things in one JSON object, without `type`. */
const WholeGraph = z.object({ entities: z.array(z.unknown()), relations: z.array(z.unknown()) })

interface KnownEntity {
  readonly name: string
  readonly entityType: string
  readonly line: string
  /** Content hash to observation, in the order of the file: a set. */
  readonly observations: Map<string, string>
}

/**
 * The MCP memory server's graph, one JSON object per line. Each entity becomes a register that lists its
 * observations by content hash, each observation and each relation a register of its own, so that two machines that
 * each add an observation both keep theirs (examples/README.md). Nothing is dropped without a line in `skipped`.
 */
export function readGraph(file: string, text: string): Memory {
  const skipped: Skipped[] = []
  const skip = (where: string, why: string): void => void skipped.push(leftOut(where, why))
  const refuse = (where: string, why: string): void => void skipped.push(damaged(where, why))
  const entities = new Map<string, KnownEntity>()
  const relations = new Map<string, { where: string; value: Omit<z.infer<typeof Relation>, 'type'> }>()

  for (const { where, value } of jsonLines(file, text, refuse)) {
    const line = Line.safeParse(value)
    if (!line.success) {
      const issue = line.error.issues[0]
      refuse(where, `neither an entity nor a relation: ${issue?.path.join('.') || 'type'} is missing or wrong`)
      continue
    }
    switch (line.data.type) {
      case 'entity':
        addEntity(entities, line.data, where, skip)
        break
      case 'relation': {
        const { from, to, relationType } = line.data
        const id = relationId(from, relationType, to)
        const earlier = relations.get(id)
        const secret = secretIn([from, relationType, to].join('\n'))
        if (secret !== undefined) skip(where, `looks like ${secret}`)
        else if (earlier) skip(where, `says the same as ${earlier.where}`)
        else relations.set(id, { where, value: { from, to, relationType } })
      }
    }
  }

  const items: MemoryItem[] = []
  const addRegister = (id: string, value: unknown, where: string): void => {
    const bytes = Buffer.byteLength(JSON.stringify(value))
    if (bytes > REGISTER_VALUE_BYTES_MAX) refuse(where, `too large for a register: ${bytes} bytes`)
    else items.push({ layer: GRAPH_LAYER, id, type: 'register', value })
  }
  for (const { name, entityType, observations, line } of entities.values()) {
    addRegister(entityId(name), { name, entityType, observations: [...observations.keys()] }, line)
    for (const [hash, observation] of observations)
      addRegister(observationId(name, hash), { of: name, observation }, line)
  }
  for (const [id, { where, value }] of relations) addRegister(id, value, where)
  return { items, skipped }
}

/** Objects with where they stand; a whole-graph file gives `entities[3]` for a line. */
function* jsonLines(
  file: string,
  text: string,
  refuse: (where: string, why: string) => void,
): Generator<{ where: string; value: unknown }> {
  const whole = text.trimStart().startsWith('{') ? WholeGraph.safeParse(parseJson(text)) : undefined
  if (whole?.success) {
    for (const [at, value] of whole.data.entities.entries())
      yield { where: `${file}:entities[${at}]`, value: typed('entity', value) }
    for (const [at, value] of whole.data.relations.entries())
      yield { where: `${file}:relations[${at}]`, value: typed('relation', value) }
    return
  }
  for (const [at, raw] of text.split('\n').entries()) {
    const line = raw.trim()
    if (line === '') continue
    const value = parseJson(line)
    if (value === undefined) refuse(`${file}:${at + 1}`, 'not valid JSON')
    else yield { where: `${file}:${at + 1}`, value }
  }
}

const typed = (type: 'entity' | 'relation', value: unknown): unknown =>
  typeof value === 'object' && value !== null ? { ...value, type } : value

function addEntity(
  entities: Map<string, KnownEntity>,
  { name, entityType, observations }: z.infer<typeof Entity>,
  where: string,
  skip: (where: string, why: string) => void,
): void {
  const inName = secretIn(`${name}\n${entityType}`)
  if (inName !== undefined) return skip(where, `looks like ${inName}`)
  const known = entities.get(name) ?? { name, entityType, line: where, observations: new Map<string, string>() }
  if (known.line !== where) {
    const other = known.entityType === entityType ? '' : '; its type differs, the first one stands'
    skip(where, `repeats the entity of ${known.line}: its new observations are added to that one${other}`)
  }
  entities.set(name, known)
  for (const [at, observation] of observations.entries()) {
    const secret = secretIn(observation)
    const hash = contentHash(observation)
    if (secret !== undefined) skip(where, `observation ${at + 1} looks like ${secret}`)
    else if (known.observations.has(hash)) skip(where, `observation ${at + 1} is there already`)
    else known.observations.set(hash, observation)
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
