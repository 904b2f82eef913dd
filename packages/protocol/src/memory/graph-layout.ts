import { digest } from 'lib0/hash/sha256'
import { toHex, utf8 } from '../bytes.ts'
import { isItemId } from '../ids.ts'
import { REGISTER_KEY_BYTES_MAX } from '../limits.ts'

/**
 * Where a knowledge graph lies in an agent's memory: registers of the layer `ontology`. Each entity, each observation
 * and each relation is a register of its own, so that two machines that each add an observation both keep theirs.
 * `sealmesh import` writes it, the MCP server reads and writes it (examples/README.md).
 *
 *   entity:NAME                   { name, entityType, observations: [HASH, …] }   in the order in which they were added
 *   observation:NAME/HASH         { of, observation }                             HASH: `contentHash`
 *   relation:FROM/TYPE/TO         { from, to, relationType }
 *
 * What no id can hold, too long or with control characters, is named by its hash (`entity:#HASH`): the value has it whole.
 */

export const GRAPH_LAYER = 'ontology'

export const entityId = (name: string): string => idOf('entity', name)
export const observationId = (entity: string, hash: string): string =>
  idOf('observation', `${escapeName(entity)}/${hash}`)
export const relationId = (from: string, relationType: string, to: string): string =>
  idOf('relation', `${escapeName(from)}/${escapeName(relationType)}/${escapeName(to)}`)

/** `/` separates the parts of an id, so inside a name it is written `%2F`. */
const escapeName = (name: string): string => name.replaceAll('%', '%25').replaceAll('/', '%2F')

/** Hex digits: 96 bits, as nobody shall find two names that meet. */
const DIGITS = 24

function idOf(kind: 'entity' | 'observation' | 'relation', said: string): string {
  const id = `${kind}:${said}`
  return isItemId(id) && utf8(id).length <= REGISTER_KEY_BYTES_MAX
    ? id
    : `${kind}:#${toHex(digest(utf8(said))).slice(0, DIGITS)}`
}
