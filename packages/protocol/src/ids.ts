import { isHex } from './bytes.ts'

/**
 * Ids are lower-case hexadecimal strings, branded so that one cannot stand in for another. Only decoders, derivations
 * and the parse functions here create them. What people see carries a prefix that says which kind it is.
 */
declare const brand: unique symbol
export type Brand<T, Name extends string> = T & { readonly [brand]: Name }

/** The root's Ed25519 public key; 32 bytes. */
export type MeshId = Brand<string, 'MeshId'>
/** BLAKE2b-256 of a label, the node's signing key and its founding agent's key; 32 bytes. */
export type NodeId = Brand<string, 'NodeId'>
/** The agent's Ed25519 public key; 32 bytes. */
export type AgentId = Brand<string, 'AgentId'>
/** BLAKE2b-256 of a label, agent id and layer; 32 bytes. */
export type DocumentId = Brand<string, 'DocumentId'>
/** One unbroken run of a writer: random, 16 bytes. */
export type IncarnationId = Brand<string, 'IncarnationId'>
/** Of a block's signed bytes; 32 bytes. */
export type BlockHash = Brand<string, 'BlockHash'>
/** Of a link of a closed set and, through it, of all its parents; 32 bytes. */
export type ClosedDigest = Brand<string, 'ClosedDigest'>
/** Of a membership record's signed bytes; 32 bytes. */
export type RecordHash = Brand<string, 'RecordHash'>
/** What a relay files packets under; derived from a login key; 32 bytes. */
export type MailboxId = Brand<string, 'MailboxId'>
/** Random, 16 bytes. */
export type PacketId = Brand<string, 'PacketId'>
/** Of a slot at a relay: a keyed hash that says nothing to it; 32 bytes. */
export type SlotId = Brand<string, 'SlotId'>
/** Of a sealed piece of a snapshot: a keyed hash of what is in it, which says nothing to a relay; 32 bytes. */
export type ChunkId = Brand<string, 'ChunkId'>
/** What a relay keeps of one login's snapshots: the hash of the login key under which it knows it; 32 bytes. */
export type VaultId = Brand<string, 'VaultId'>
/** The relay's Ed25519 public key; 32 bytes. */
export type RelayId = Brand<string, 'RelayId'>

const ID_BYTES = {
  mesh: 32,
  node: 32,
  agent: 32,
  relay: 32,
  incarnation: 16,
  block: 32,
  record: 32,
  packet: 16,
} as const
interface IdOf {
  mesh: MeshId
  node: NodeId
  agent: AgentId
  relay: RelayId
  incarnation: IncarnationId
  block: BlockHash
  record: RecordHash
  packet: PacketId
}
export type IdKind = keyof IdOf

/** `node_4f…`: how an id appears to people. */
export const formatId = <Kind extends IdKind>(kind: Kind, id: IdOf[Kind]): string => `${kind}_${id}`

/** Reads what `formatId` wrote; undefined for anything else, another kind's prefix included. */
export function parseId<Kind extends IdKind>(kind: Kind, text: string): IdOf[Kind] | undefined {
  const hex = text.startsWith(`${kind}_`) ? text.slice(kind.length + 1) : ''
  return isHex(hex, ID_BYTES[kind]) ? (hex as IdOf[Kind]) : undefined
}

export const NAME_CHARACTERS_MAX = 64 // Long enough for a host name, short enough for a table.
/** As a schema for other languages says it, without the ends. */
export const NAME_PATTERN = '[a-z0-9](?:[a-z0-9_-]{0,62}[a-z0-9])?'
const NAME = new RegExp(`^${NAME_PATTERN}$`)

/** Nodes, agents and layers: lower case, digits, `-` and `_`, no dots, so that a UMR splits in one way. */
export const isName = (text: string): boolean => NAME.test(text)

/** `agent.region.id`: exactly three parts, where the id may contain dots. */
export interface Umr {
  readonly agent: string
  readonly region: string
  readonly id: string
}

export const UMR_ID_BYTES_MAX = 512 // A file's path or an entity's name; more is content.

/** Undefined unless there are three parts with two valid names and an id without control characters. */
export function parseUmr(text: string): Umr | undefined {
  const first = text.indexOf('.')
  const second = text.indexOf('.', first + 1)
  if (first < 1 || second < 0) return undefined
  const [agent, region, id] = [text.slice(0, first), text.slice(first + 1, second), text.slice(second + 1)]
  if (!isName(agent) || !isName(region) || !isItemId(id)) return undefined
  return { agent, region, id }
}

/** The third part of a UMR: a register's key or a text's name. */
export function isItemId(id: string): boolean {
  // A lone surrogate has no UTF-8 form, so it could not keep its name on another machine.
  if (id.length === 0 || id.length > UMR_ID_BYTES_MAX || !id.isWellFormed()) return false
  for (let i = 0; i < id.length; i++) if (id.charCodeAt(i) < 32 || id.charCodeAt(i) === 127) return false
  return true
}

export const formatUmr = (umr: Umr): string => `${umr.agent}.${umr.region}.${umr.id}`
