import {
  bytesLeft,
  compareText,
  concatBytes,
  decode,
  encode,
  fromHex,
  Malformed,
  type Reader,
  readByte,
  readBytes,
  readFixed,
  readId,
  readUint,
  type Writer,
  writeByte,
  writeBytes,
  writeId,
  writeUint,
} from '../bytes.ts'
import type { SlotId } from '../ids.ts'
import { AEAD_TAG_BYTES, NONCE_BYTES } from '../keys.ts'
import { err, ok, type Result } from '../result.ts'
import type { Sodium } from '../sodium.ts'
import { TAGS } from '../tags.ts'
import { SLOT_BLOB_BYTES } from '../wire/slot.ts'
import { type LeaseKey, SHARED_LEASE_BYTES } from './lease-blob.ts'
import { PREFIX_BYTES, type Prefix } from './prefix.ts'

/**
 * A register that three relays keep (docs/spec/12-failover.md §9), after Lamport's Paxos for a value that is compared
 * and set: each slot is an acceptor, and whoever asks is a proposer. Here is what one slot says, and what three say
 * together; `majority-witness.ts` of the node asks.
 */

/** Which of two proposals is the later one; no two have the same. */
export interface Ballot {
  readonly round: number
  /** Of the run that proposes. */
  readonly by: Prefix
}

/** What lies in the slot of one relay. */
export interface Acceptor {
  /** Nothing below it is accepted any more. */
  readonly promised: Ballot
  /** With which `value` came here; `NO_BALLOT` and null for none yet. */
  readonly accepted: Ballot
  readonly value: Uint8Array | null
}

export const NO_BALLOT: Ballot = { round: 0, by: '0'.repeat(2 * PREFIX_BYTES) as Prefix }
/** Of a slot that nothing lies in, or nothing that a member has sealed. */
export const EMPTY_ACCEPTOR: Acceptor = { promised: NO_BALLOT, accepted: NO_BALLOT, value: null }

/** How many relays have to agree. */
export const MAJORITY = 2
const PLAIN_BYTES = SLOT_BLOB_BYTES - NONCE_BYTES - AEAD_TAG_BYTES

export const compareBallots = (a: Ballot, b: Ballot): number => a.round - b.round || compareText(a.by, b.by)

/** One that is later than all of these. */
export const ballotAbove = (ballots: Iterable<Ballot>, by: Prefix): Ballot => {
  let round = 0
  for (const ballot of ballots) round = Math.max(round, ballot.round)
  return { round: round + 1, by }
}

/**
 * The value that a majority has accepted under one ballot: whatever is set afterwards is set over it. Undefined where
 * no two of these agree; then something is on its way, or was given up on it.
 */
export function chosenOf(acceptors: readonly Acceptor[]): Acceptor | undefined {
  let chosen: Acceptor | undefined
  for (const each of acceptors) {
    const agree = acceptors.filter(({ accepted }) => compareBallots(accepted, each.accepted) === 0).length
    if (agree >= MAJORITY && (chosen === undefined || compareBallots(each.accepted, chosen.accepted) > 0)) chosen = each
  }
  return chosen
}

/** Of a majority that has promised: what may have been chosen, so that it has to be gone on from. */
export const latestOf = (acceptors: readonly Acceptor[]): Acceptor =>
  acceptors.reduce((latest, each) => (compareBallots(each.accepted, latest.accepted) > 0 ? each : latest))

/** `value` of at most `SHARED_LEASE_BYTES`. */
export function sealAcceptor(
  { promised, accepted, value }: Acceptor,
  slot: SlotId,
  key: LeaseKey,
  nonce: Uint8Array,
  sodium: Sodium,
): Uint8Array {
  const plain = new Uint8Array(PLAIN_BYTES)
  plain.set(
    encode((writer) => {
      writeBallot(writer, promised)
      writeBallot(writer, accepted)
      writeByte(writer, value === null ? 0 : 1)
      if (value !== null) writeBytes(writer, value)
    }),
  )
  return concatBytes(nonce, sodium.encrypt(plain, boundTo(key, slot), nonce, key.secret.expose()))
}

/** Bytes from a relay, which may have swapped them for others. Never throws. */
export function openAcceptor(
  bytes: Uint8Array,
  slot: SlotId,
  key: LeaseKey,
  sodium: Sodium,
): Result<Acceptor, { readonly code: 'BYTES_MALFORMED' }> {
  if (bytes.length !== SLOT_BLOB_BYTES) return err({ code: 'BYTES_MALFORMED' })
  const nonce = bytes.subarray(0, NONCE_BYTES)
  const plain = sodium.decrypt(bytes.subarray(NONCE_BYTES), boundTo(key, slot), nonce, key.secret.expose())
  const acceptor = plain && decodeAcceptor(plain)
  return acceptor?.ok === true ? ok(acceptor.value) : err({ code: 'BYTES_MALFORMED' })
}

/** What a member sealed: it may lie, and be broken. Never throws. */
export const decodeAcceptor = (plain: Uint8Array): Result<Acceptor, { readonly code: 'BYTES_MALFORMED' }> =>
  decode(plain, (reader) => {
    const [promised, accepted] = [readBallot(reader), readBallot(reader)]
    const has = readByte(reader)
    if (has > 1) throw new Malformed()
    const value = has === 0 ? null : readBytes(reader, SHARED_LEASE_BYTES)
    // What was never accepted has no value, and nobody accepts above what was promised.
    if ((accepted.round === 0) !== (value === null) || compareBallots(accepted, promised) > 0) throw new Malformed()
    if (readFixed(reader, bytesLeft(reader)).some((byte) => byte !== 0)) throw new Malformed()
    return { promised, accepted, value }
  })

function writeBallot(writer: Writer, { round, by }: Ballot): void {
  writeUint(writer, round)
  writeId(writer, by)
}

const readBallot = (reader: Reader): Ballot => ({ round: readUint(reader), by: readId<Prefix>(reader, PREFIX_BYTES) })

/** So that a relay cannot pass one register for another. */
const boundTo = (key: LeaseKey, slot: SlotId): Uint8Array =>
  concatBytes(TAGS.leaseBallot, fromHex(key.mesh), fromHex(slot))
