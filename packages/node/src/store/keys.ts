import { concatBytes, fromHex, fromUtf8, toHex, utf8 } from '@sealmesh/protocol/bytes'
import type { DocumentName } from '@sealmesh/protocol/crdt/block'
import type { Dot } from '@sealmesh/protocol/crdt/clock'
import type {
  AgentId,
  BlockHash,
  ClosedDigest,
  DocumentId,
  IncarnationId,
  NodeId,
  RecordHash,
} from '@sealmesh/protocol/ids'

/**
 * How the one database is divided. Keys sort by unsigned bytes, so a prefix is a table and a fixed-length field a
 * range within it.
 *
 *   0x01                                                              format version
 *   0x02 name                                                         small named values
 *   0x03                                                              which database this is, and how many batches it has taken
 *   0x10 document 32                                                  its name, and incarnations that have forked
 *   0x11 document 32 | incarnation 16 | sequence 8, big-endian | hash 32   a block, as signed
 *   0x12 document 32                                                  what is missing of its blocks, found and not yet repaired
 *   0x13 document 32 | incarnation 16                                 the last block of that incarnation: both, if it has forked
 *   0x14 document 32                                                  its base, and where what is left below it lies
 *   0x15 document 32 | generation 8 | incarnation 16 | sequence 8 | hash 32   what is left of a block below its base
 *   0x16 page 2, big-endian                                           256 entries of the index in one, for a quick start
 *   0x17 document 32                                                  its entry is in none of those pages yet
 *   0x18 document 32 | digest 32                                      a link of one of its closed sets, and who sent it
 *   0x19 document 32                                                  the digest of the closed set that its vectors stand on
 *   0x1a document 32                                                  whether this node has ever had it whole, and since which lapses
 *   0x1b document 32 | block 32 | key                                a value that a base has left out, for its reader to judge
 *   0x1c document 32 | digest 32                                      the same as under 0x18, a second time
 *   0x20 place 8, big-endian | hash 32                                a membership record, as signed, in order of arrival
 *   0x30 peer 32 | agent 32 | layer                                   the version vector that the peer has receipted
 *   0x31 peer 32 | agent 32 | layer                                   the one that the relay has answered for
 *   0x50 folder 8 | 0x01 path                                         what a mirrored folder and its document last agreed on
 *   0x50 folder 8 | 0x02 path                                         the text of that
 *   0x51 folder 8                                                     which folders are mirrored
 *   0x60 agent 32 | place 6, big-endian                                an act that the agent was let do
 *   0x61 agent 32                                                     the hash of the token under which programs may attach, and its rights
 *   0x62 agent 32 | number 8, big-endian                              a durable message that the agent has not acknowledged
 *   0x63 agent 32 | number 8, big-endian                              a durable message of the agent on its way to another machine
 *   0x64 agent 32 | sender 32 | id                                    a durable message from another machine that the agent was given
 *   0x40 agent 32 | entry                                             the diary, in a database of its own
 *   0x7e key                                                          damaged bytes that lay under that key, kept as evidence
 */
export const TABLES = {
  version: 0x01,
  meta: 0x02,
  count: 0x03,
  document: 0x10,
  block: 0x11,
  damage: 0x12,
  tips: 0x13,
  base: 0x14,
  pruned: 0x15,
  page: 0x16,
  unpaged: 0x17,
  closed: 0x18,
  floor: 0x19,
  caughtUp: 0x1a,
  leftOut: 0x1b,
  closedTwin: 0x1c,
  record: 0x20,
  receipt: 0x30,
  handed: 0x31,
  diary: 0x40,
  folderBase: 0x50,
  folder: 0x51,
  act: 0x60,
  agentToken: 0x61,
  letter: 0x62,
  letterOut: 0x63,
  letterTaken: 0x64,
  aside: 0x7e,
} as const

export const VERSION_KEY = Uint8Array.of(TABLES.version)
export const COUNT_KEY = Uint8Array.of(TABLES.count)

export const metaKey = (name: string): Uint8Array => concatBytes(Uint8Array.of(TABLES.meta), utf8(name))

export const documentKey = (document: DocumentId): Uint8Array => under(TABLES.document, document)
export const documentOfKey = (key: Uint8Array): DocumentId => toHex(key.subarray(1, 33)) as DocumentId

export const pageKey = (page: number): Uint8Array => Uint8Array.of(TABLES.page, page >> 8, page & 0xff)
export const unpagedKey = (document: DocumentId): Uint8Array => under(TABLES.unpaged, document)
export const caughtUpKey = (document: DocumentId): Uint8Array => under(TABLES.caughtUp, document)
export const leftOutKey = (document: DocumentId, block: BlockHash, key: string): Uint8Array =>
  concatBytes(under(TABLES.leftOut, document), fromHex(block), utf8(key))
export const damageKey = (document: DocumentId): Uint8Array => under(TABLES.damage, document)
export const tipsPrefix = (document: DocumentId): Uint8Array => under(TABLES.tips, document)
export const tipKey = (document: DocumentId, incarnation: IncarnationId): Uint8Array =>
  concatBytes(tipsPrefix(document), fromHex(incarnation))
export const incarnationOfTipKey = (key: Uint8Array): IncarnationId => toHex(key.subarray(33)) as IncarnationId
/** Damaged bytes keep the key under which they lay. */
export const asideKey = (key: Uint8Array): Uint8Array => concatBytes(Uint8Array.of(TABLES.aside), key)

const SEQUENCE_AT = 49
const HASH_AT = 57

export function blockKey(document: DocumentId, dot: Dot): Uint8Array {
  return concatBytes(runPrefix(document, dot.incarnation), uint64(dot.sequence), fromHex(dot.hash))
}

export function dotOfKey(key: Uint8Array): Dot {
  return {
    incarnation: toHex(key.subarray(33, SEQUENCE_AT)) as IncarnationId,
    sequence: readUint64(key, SEQUENCE_AT),
    hash: toHex(key.subarray(HASH_AT)) as BlockHash,
  }
}

export const documentPrefix = (document: DocumentId): Uint8Array => under(TABLES.block, document)
/** All blocks of one incarnation in one document. */
export const runPrefix = (document: DocumentId, incarnation: IncarnationId): Uint8Array =>
  concatBytes(documentPrefix(document), fromHex(incarnation))
/** Where blocks of that sequence begin. */
export const runFrom = (document: DocumentId, incarnation: IncarnationId, sequence: number): Uint8Array =>
  concatBytes(runPrefix(document, incarnation), uint64(sequence))

export const baseKey = (document: DocumentId): Uint8Array => under(TABLES.base, document)
export const prunedDocument = (document: DocumentId): Uint8Array => under(TABLES.pruned, document)
/** What one drawing of a base left. */
export const prunedPrefix = (document: DocumentId, generation: number): Uint8Array =>
  concatBytes(prunedDocument(document), uint64(generation))
/** Where what is left of one incarnation begins, from that sequence on. */
export const prunedFrom = (
  document: DocumentId,
  generation: number,
  incarnation: IncarnationId,
  sequence: number,
): Uint8Array => concatBytes(prunedPrefix(document, generation), fromHex(incarnation), uint64(sequence))
export const prunedKey = (document: DocumentId, generation: number, dot: Dot): Uint8Array =>
  concatBytes(prunedFrom(document, generation, dot.incarnation, dot.sequence), fromHex(dot.hash))
export const generationOfPrunedKey = (key: Uint8Array): number => readUint64(key, 33)
export const dotOfPrunedKey = (key: Uint8Array): Dot => ({
  incarnation: toHex(key.subarray(41, 57)) as IncarnationId,
  sequence: readUint64(key, 57),
  hash: toHex(key.subarray(65)) as BlockHash,
})

export type ClosedTable = typeof TABLES.closed | typeof TABLES.closedTwin
export const closedPrefix = (table: ClosedTable, document: DocumentId): Uint8Array => under(table, document)
export const closedKey = (table: ClosedTable, document: DocumentId, digest: ClosedDigest): Uint8Array =>
  concatBytes(closedPrefix(table, document), fromHex(digest))
export const digestOfClosedKey = (key: Uint8Array): ClosedDigest => toHex(key.subarray(33)) as ClosedDigest
/** Where the other copy of a link lies. */
export const twinOfClosedKey = (key: Uint8Array): Uint8Array =>
  key.with(0, key[0] === TABLES.closed ? TABLES.closedTwin : TABLES.closed)
export const floorKey = (document: DocumentId): Uint8Array => under(TABLES.floor, document)

export const recordKey = (place: number, hash: RecordHash): Uint8Array =>
  concatBytes(Uint8Array.of(TABLES.record), uint64(place), fromHex(hash))
export const placeOfRecordKey = (key: Uint8Array): number => readUint64(key, 1)
export const hashOfRecordKey = (key: Uint8Array): RecordHash => toHex(key.subarray(9)) as RecordHash

export type PeerTable = typeof TABLES.receipt | typeof TABLES.handed
export const peerPrefix = (table: PeerTable, peer: NodeId): Uint8Array => under(table, peer)
export const peerKey = (table: PeerTable, peer: NodeId, name: DocumentName): Uint8Array =>
  concatBytes(peerPrefix(table, peer), fromHex(name.agent), utf8(name.layer))
/** As `keyOf` names it. */
export const documentOfPeerKey = (key: Uint8Array): string =>
  `${toHex(key.subarray(33, 65))}.${fromUtf8(key.subarray(65))}`

export const diaryPrefix = (agent: AgentId): Uint8Array => under(TABLES.diary, agent)
export const diaryKey = (agent: AgentId, entry: string): Uint8Array => concatBytes(diaryPrefix(agent), utf8(entry))
export const entryOfDiaryKey = (key: Uint8Array): string => fromUtf8(key.subarray(33))

/** `folder`: 16 hex digits. */
export const folderPrefix = (folder: string): Uint8Array => under(TABLES.folderBase, folder)
export const folderKey = (folder: string): Uint8Array => under(TABLES.folder, folder)

export const agentTokenKey = (agent: AgentId): Uint8Array => under(TABLES.agentToken, agent)
export const letterKey = (agent: AgentId, number: number): Uint8Array =>
  concatBytes(under(TABLES.letter, agent), uint64(number))
export const letterOutKey = (agent: AgentId, number: number): Uint8Array =>
  concatBytes(under(TABLES.letterOut, agent), uint64(number))
export const letterTakenKey = (recipient: AgentId, sender: AgentId, id: string): Uint8Array =>
  concatBytes(under(TABLES.letterTaken, recipient), fromHex(sender), utf8(id))
export const senderOfTakenKey = (key: Uint8Array): AgentId => toHex(key.subarray(33, 65)) as AgentId
export const idOfTakenKey = (key: Uint8Array): string => fromUtf8(key.subarray(65))
/** Of each table that goes by agent. */
export const agentOfKey = (key: Uint8Array): AgentId => toHex(key.subarray(1, 33)) as AgentId
/** Of a letter that waits here, or is on its way. */
export const numberOfLetterKey = (key: Uint8Array): number => readUint64(key, 33)

export const tablePrefix = (table: number): Uint8Array => Uint8Array.of(table)

/** The first key after all that begin with `prefix`. No table is 0xff, so there is always one. */
export function afterPrefix(prefix: Uint8Array): Uint8Array {
  let length = prefix.length
  while (prefix[length - 1] === 0xff) length -= 1
  const end = prefix.slice(0, length)
  end[length - 1] = (end[length - 1] ?? 0) + 1
  return end
}

/** For messages: which entry of which table, without a name that a person or peer chose. */
export function describeKey(key: Uint8Array): string {
  switch (key[0]) {
    case TABLES.version:
      return 'the format version'
    case TABLES.count:
      return 'the count of batches'
    case TABLES.meta:
      return 'a named value'
    case TABLES.document:
      return `the index entry of document ${toHex(key.subarray(1, 33))}`
    case TABLES.block: {
      const { incarnation, sequence, hash } = dotOfKey(key)
      const document = toHex(key.subarray(1, 33))
      return `block ${sequence} of incarnation ${incarnation} in document ${document} (${hash})`
    }
    case TABLES.damage:
      return `the list of what is missing of document ${toHex(key.subarray(1, 33))}`
    case TABLES.tips:
      return `the note of the last blocks of document ${toHex(key.subarray(1, 33))}`
    case TABLES.base:
      return `the base of document ${toHex(key.subarray(1, 33))}`
    case TABLES.pruned: {
      const { incarnation, sequence } = dotOfPrunedKey(key)
      return `what is left of block ${sequence} of incarnation ${incarnation} in document ${toHex(key.subarray(1, 33))}`
    }
    case TABLES.closed:
    case TABLES.closedTwin:
      return `a closed set of document ${toHex(key.subarray(1, 33))}`
    case TABLES.floor:
      return `the name of the closed set that document ${toHex(key.subarray(1, 33))} stands on`
    case TABLES.page:
      return 'a page of the index'
    case TABLES.unpaged:
      return `the note that document ${toHex(key.subarray(1, 33))} is in no page of the index`
    case TABLES.caughtUp:
      return `the note of how document ${toHex(key.subarray(1, 33))} stands to what others have`
    case TABLES.leftOut:
      return `something that a base has left out of document ${toHex(key.subarray(1, 33))}`
    case TABLES.aside:
      return 'damaged bytes that were kept'
    case TABLES.record:
      return `membership record ${toHex(key.subarray(9))}`
    case TABLES.receipt:
      return `a receipt of node ${toHex(key.subarray(1, 33))}`
    case TABLES.handed:
      return `what the relay took for node ${toHex(key.subarray(1, 33))}`
    case TABLES.folderBase:
    case TABLES.folder:
      return `a record of folder ${toHex(key.subarray(1, 9))}`
    case TABLES.act:
      return `an act of agent ${toHex(key.subarray(1, 33))}`
    case TABLES.agentToken:
      return `the token of agent ${toHex(key.subarray(1, 33))}`
    case TABLES.letter:
      return `a message that waits for agent ${toHex(key.subarray(1, 33))}`
    case TABLES.letterOut:
      return `a message of agent ${toHex(key.subarray(1, 33))} to another machine`
    case TABLES.letterTaken:
      return `the note of a message that agent ${toHex(key.subarray(1, 33))} was given`
    case TABLES.diary:
      return 'a diary entry'
    default:
      return 'an unknown entry'
  }
}

const under = (table: number, id: string): Uint8Array => concatBytes(Uint8Array.of(table), fromHex(id))

// Two halves, since a shift works on 32 bits only. Sequences stay below 2^53.
function uint64(value: number): Uint8Array {
  const bytes = new Uint8Array(8)
  const view = new DataView(bytes.buffer)
  view.setUint32(0, Math.floor(value / 2 ** 32))
  view.setUint32(4, value >>> 0)
  return bytes
}

function readUint64(bytes: Uint8Array, at: number): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset)
  return view.getUint32(at) * 2 ** 32 + view.getUint32(at + 4)
}
