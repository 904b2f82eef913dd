import {
  bytesLeft,
  concatBytes,
  decode,
  encode,
  fromHex,
  Malformed,
  type Reader,
  readByte,
  readFixed,
  readId,
  readList,
  readUint,
  toHex,
  type Writer,
  writeByte,
  writeId,
  writeList,
  writeUint,
} from '../bytes.ts'
import { INCARNATION_BYTES } from '../crdt/clock.ts'
import type { IncarnationId, MeshId, NodeId, RecordHash, SlotId } from '../ids.ts'
import { AEAD_TAG_BYTES, NONCE_BYTES, Secret } from '../keys.ts'
import { err, ok, type Result } from '../result.ts'
import type { Sodium } from '../sodium.ts'
import { TAGS } from '../tags.ts'
import { SLOT_BLOB_BYTES } from '../wire/slot.ts'
import { PREFIX_BYTES, type Prefix } from './prefix.ts'

/**
 * What lies in a node's lease register (docs/spec/12-failover.md §3): sealed for members, of one size, so that the
 * relay learns nothing of it but when it changes.
 *
 *   node 32 | incarnation 16 | count | lease ms | state (0 renewed, 1 released, 2 broken ‖ by node 32)
 *   held:   list of (agent 8 | term | record 8 | sync record 8, zeros for none)
 *   handed: list of (agent 8 | node 8)
 *   taken:  list of (agent 8 | term | record 8 | node 8 | sync record 8, zeros for none)
 *   zeros up to the size
 *
 * Lists ascend by agent. Nothing is in `held` and `taken` at once; what is handed is held.
 */
export interface LeaseBlob {
  /** Whose register it is. */
  readonly node: NodeId
  /** The run of that node that wrote what it says of itself. */
  readonly incarnation: IncarnationId
  /** Of the owner's own writes; it knows of each before the register does. */
  readonly count: number
  /** How long the owner may count on it. */
  readonly leaseMs: number
  readonly state: LeaseState
  readonly held: readonly Held[]
  readonly handed: readonly Handed[]
  readonly taken: readonly Taken[]
}

export type LeaseState =
  | { readonly type: 'renewed' }
  | { readonly type: 'released' }
  | { readonly type: 'broken'; readonly by: NodeId }

/** An agent for which the owner may act while the lease runs. */
export interface Held {
  readonly agent: Prefix
  readonly term: number
  readonly record: Prefix
  readonly sync: Prefix | null
}

/** One that its holder gives to another node, which may take it at once. */
export interface Handed {
  readonly agent: Prefix
  readonly to: Prefix
}

/** One that another node took, under the assign of this prefix. */
export interface Taken {
  readonly agent: Prefix
  readonly term: number
  readonly record: Prefix
  readonly holder: Prefix
  /** What was listed beside it when it was taken: who stands by if that record is lost. */
  readonly sync: Prefix | null
}

/** More agents of one node stay without a lease, and say so. */
export const HELD_MAX = 48
/** What others took lies there until the owner has read the records; the bytes bound it. */
const TAKEN_MAX = 96
const LEASE_MS_MAX = 600_000
const TERM_MAX = 0xffff_ffff
/** Its size where three relays keep it: their ballots lie beside it in the slots (docs/spec/12-failover.md §9). */
export const SHARED_LEASE_BYTES = 1_952
const SEALED_MORE_BYTES = NONCE_BYTES + AEAD_TAG_BYTES
/** What is written fits either size, so that a mesh may go from one relay to three. */
const WRITTEN_BYTES_MAX = SHARED_LEASE_BYTES - SEALED_MORE_BYTES
/** An entry at its longest, and what is not lists. */
const ENTRY_BYTES_MAX = 4 * PREFIX_BYTES + 5
const FIXED_BYTES_MAX = 128
const STATES = ['renewed', 'released', 'broken'] as const
/** No record: of nobody's term. */
export const NO_PREFIX = '0'.repeat(2 * PREFIX_BYTES) as Prefix

/** How many agents may be held beside these. */
export const heldRoom = (handed: number, taken: number): number =>
  Math.max(0, Math.min(HELD_MAX, Math.floor((WRITTEN_BYTES_MAX - FIXED_BYTES_MAX) / ENTRY_BYTES_MAX) - handed - taken))

/** What members alone can make: no relay ever sees the log's first record. */
export interface LeaseKey {
  readonly mesh: MeshId
  readonly secret: Secret<'content'>
}

export const leaseKeyOf = (mesh: MeshId, found: RecordHash, sodium: Sodium): LeaseKey => ({
  mesh,
  secret: new Secret('content', sodium.hash([TAGS.leaseKey, fromHex(mesh)], 32, fromHex(found))),
})

export const leaseSlotOf = (key: LeaseKey, node: NodeId, sodium: Sodium): SlotId =>
  toHex(sodium.hash([TAGS.leaseSlot, fromHex(node)], 32, key.secret.expose())) as SlotId

export type LeaseBlobError = { readonly code: 'BYTES_MALFORMED' | 'LEASE_FULL' }

/** LEASE_FULL when it lists more than there is room for. `bytes`: as long as its witness takes it. */
export function sealLease(
  blob: LeaseBlob,
  key: LeaseKey,
  nonce: Uint8Array,
  sodium: Sodium,
  bytes = SLOT_BLOB_BYTES,
): Result<Uint8Array, LeaseBlobError> {
  const plain = new Uint8Array(bytes - SEALED_MORE_BYTES)
  const written = encode((writer) => writeLease(writer, blob))
  if (written.length > WRITTEN_BYTES_MAX || blob.held.length > HELD_MAX) return err({ code: 'LEASE_FULL' })
  plain.set(written)
  return ok(concatBytes(nonce, sodium.encrypt(plain, boundTo(key, blob.node), nonce, key.secret.expose())))
}

/** Bytes from a relay, which may have swapped them for others. Never throws. */
export function openLease(
  bytes: Uint8Array,
  owner: NodeId,
  key: LeaseKey,
  sodium: Sodium,
): Result<LeaseBlob, LeaseBlobError> {
  if (bytes.length !== SLOT_BLOB_BYTES && bytes.length !== SHARED_LEASE_BYTES) return err({ code: 'BYTES_MALFORMED' })
  const nonce = bytes.subarray(0, NONCE_BYTES)
  const plain = sodium.decrypt(bytes.subarray(NONCE_BYTES), boundTo(key, owner), nonce, key.secret.expose())
  const blob = plain && decodeLease(plain)
  return blob?.ok === true && blob.value.node === owner ? blob : err({ code: 'BYTES_MALFORMED' })
}

/** What a member sealed: it may lie, and be broken. Never throws. */
export function decodeLease(plain: Uint8Array): Result<LeaseBlob, LeaseBlobError> {
  return decode(plain, (reader) => {
    const node = readId<NodeId>(reader, 32)
    const incarnation = readId<IncarnationId>(reader, INCARNATION_BYTES)
    const count = readUint(reader)
    const leaseMs = readUint(reader, LEASE_MS_MAX)
    const state = readState(reader)
    const held = readAscending(reader, HELD_MAX, (agent) => {
      const [term, record] = [readUint(reader, TERM_MAX), readPrefix(reader)]
      return { agent, term, record, sync: readSync(reader) }
    })
    const handed = readAscending(reader, HELD_MAX, (agent) => ({ agent, to: readPrefix(reader) }))
    const taken = readAscending(reader, TAKEN_MAX, (agent) => {
      const [term, record, holder] = [readUint(reader, TERM_MAX), readPrefix(reader), readPrefix(reader)]
      return { agent, term, record, holder, sync: readSync(reader) }
    })
    const isHeld = new Set(held.map(({ agent }) => agent))
    if (taken.some(({ agent }) => isHeld.has(agent)) || handed.some(({ agent }) => !isHeld.has(agent)))
      throw new Malformed()
    if (readFixed(reader, bytesLeft(reader)).some((byte) => byte !== 0)) throw new Malformed()
    return { node, incarnation, count, leaseMs, state, held, handed, taken }
  })
}

function writeLease(
  writer: Writer,
  { node, incarnation, count, leaseMs, state, held, handed, taken }: LeaseBlob,
): void {
  writeId(writer, node)
  writeId(writer, incarnation)
  writeUint(writer, count)
  writeUint(writer, leaseMs)
  writeByte(writer, STATES.indexOf(state.type))
  if (state.type === 'broken') writeId(writer, state.by)
  writeList(writer, held.toSorted(byAgent), ({ agent, term, record, sync }) => {
    writeId(writer, agent)
    writeUint(writer, term)
    writeId(writer, record)
    writeId(writer, sync ?? NO_PREFIX)
  })
  writeList(writer, handed.toSorted(byAgent), ({ agent, to }) => {
    writeId(writer, agent)
    writeId(writer, to)
  })
  writeList(writer, taken.toSorted(byAgent), ({ agent, term, record, holder, sync }) => {
    writeId(writer, agent)
    writeUint(writer, term)
    writeId(writer, record)
    writeId(writer, holder)
    writeId(writer, sync ?? NO_PREFIX)
  })
}

function readState(reader: Reader): LeaseState {
  const type = STATES[readByte(reader)]
  if (type === undefined) throw new Malformed()
  return type === 'broken' ? { type, by: readId<NodeId>(reader, 32) } : { type }
}

function readAscending<T>(reader: Reader, max: number, read: (agent: Prefix) => T): T[] {
  let before = ''
  return readList(reader, max, () => {
    const agent = readPrefix(reader)
    if (agent <= before) throw new Malformed()
    before = agent
    return read(agent)
  })
}

const readSync = (reader: Reader): Prefix | null => {
  const sync = readPrefix(reader)
  return sync === NO_PREFIX ? null : sync
}

const readPrefix = (reader: Reader): Prefix => readId<Prefix>(reader, PREFIX_BYTES)

/** So that a relay cannot pass one node's register for another's. */
const boundTo = (key: LeaseKey, owner: NodeId): Uint8Array =>
  concatBytes(TAGS.leaseBlob, fromHex(key.mesh), fromHex(owner))

const byAgent = (a: { readonly agent: Prefix }, b: { readonly agent: Prefix }): number => (a.agent < b.agent ? -1 : 1)
