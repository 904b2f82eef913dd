/**
 * Where a knowledge graph lies in an agent's memory: registers of the layer `ontology`. Each entity, each observation
 * and each relation is a register of its own, so that two machines that each add an observation both keep theirs.
 * `sealmesh import` writes it, the MCP server reads and writes it (examples/README.md).
 *
 *   entity:NAME                   { name, entityType, observations: [HASH, …] }   in the order in which they were added
 *   observation:NAME/HASH         { of, observation }                             HASH: `contentHash`
 *   relation:FROM/TYPE/TO         { from, to, relationType }
 */

export const GRAPH_LAYER = 'ontology'

export const entityId = (name: string): string => `entity:${name}`
export const observationId = (entity: string, hash: string): string => `observation:${escapeName(entity)}/${hash}`
export const relationId = (from: string, relationType: string, to: string): string =>
  `relation:${escapeName(from)}/${escapeName(relationType)}/${escapeName(to)}`

/** `/` separates the parts of an id, so inside a name it is written `%2F`. */
const escapeName = (name: string): string => name.replaceAll('%', '%25').replaceAll('/', '%2F')
