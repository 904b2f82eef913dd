import {
  compareText,
  Malformed,
  type Reader,
  readByte,
  readBytes,
  readFixed,
  readId,
  readList,
  readText,
  readUint,
  utf8,
  type Writer,
  writeByte,
  writeBytes,
  writeFixed,
  writeId,
  writeList,
  writeText,
  writeUint,
} from '../bytes.ts'
import { readClock, writeClock } from '../crdt/clock.ts'
import { mailboxesBytes } from '../envelope/daily-mailboxes.ts'
import {
  type AgentId,
  isName,
  type MailboxId,
  NAME_CHARACTERS_MAX,
  type NodeId,
  type RecordHash,
  type RelayId,
} from '../ids.ts'
import {
  HASH_BYTES,
  type LoginPublicKey,
  SEAL_PUBLIC_KEY_BYTES,
  type SealPublicKey,
  SIGN_PUBLIC_KEY_BYTES,
  type SignPublicKey,
} from '../keys.ts'
import {
  BASIS_LAYERS_MAX,
  CUT_DOCUMENTS_MAX,
  HOST_NODES_MAX,
  PREKEY_LIFE_MS,
  PREKEY_SKEW_MS,
  RECORD_TEXT_BYTES_MAX,
  RELAY_ADDRESS_BYTES_MAX,
  RELAYS_MAX,
  TIME_MS_MAX,
  VECTOR_ENTRIES_MAX,
  WITNESSES_MAX,
} from '../limits.ts'
import { TOKEN_CHAIN_BYTES_MAX } from '../wire/token.ts'
import {
  type Basis,
  type Cut,
  DURABILITIES,
  FAILOVER_MODES,
  type GrantTo,
  LEASE_PROFILES,
  type NodeIdentity,
  type RecordBody,
  type RecordType,
} from './record.ts'

/**
 * The bodies of the sixteen kinds of record (docs/spec/02-membership.md §3). Lists that are sets are sorted by their
 * bytes and hold nothing twice, so that one meaning has one form; lists whose order means something are hosts
 * (standby order) and relays (preference).
 */

const KIND = {
  found: 1,
  admit: 2,
  host: 3,
  grant: 4,
  ungrant: 5,
  assign: 6,
  prekey: 7,
  relay: 8,
  revoke: 9,
  lapse: 10,
  recovery: 11,
  rename: 12,
  checkpoint: 13,
  witness: 14,
  failover: 15,
  sync: 16,
} as const satisfies Record<RecordType, number>

const GRANT_TO = { node: 1, agent: 2, standby: 3 } as const satisfies Record<GrantTo['type'], number>
const ACCESS = { read: 1, write: 2 } as const

export const bodyType = (body: RecordBody): number => KIND[body.type]

/** The body as every node will read it: sets in their order, reasons on one line and within their limit. */
export function canonicalBody(body: RecordBody): RecordBody {
  switch (body.type) {
    case 'host':
      return {
        ...body,
        cuts: body.cuts
          .map(({ node, cuts }) => ({ node, cuts: sortedCuts(cuts) }))
          .toSorted((a, b) => compareText(a.node, b.node)),
      }
    case 'ungrant':
    case 'lapse':
      return { ...body, cuts: sortedCuts(body.cuts) }
    case 'revoke':
      return { ...body, reason: oneLine(body.reason), cuts: sortedCuts(body.cuts) }
    case 'assign':
      return {
        ...body,
        reason: oneLine(body.reason),
        basis: body.basis.toSorted((a, b) => compareText(a.layer, b.layer)),
      }
    case 'found':
    case 'admit':
    case 'grant':
    case 'prekey':
    case 'relay':
    case 'recovery':
    case 'rename':
    case 'checkpoint':
    case 'failover':
      return body
    case 'witness':
      return { ...body, relays: body.relays.toSorted(compareText) }
    case 'sync':
      return { ...body, members: body.members.toSorted(compareText) }
  }
}

const documentKey = ({ document }: Cut): string => document.agent + document.layer // Agents are of one length.
const sortedCuts = (cuts: readonly Cut[]): Cut[] => cuts.toSorted((a, b) => compareText(documentKey(a), documentKey(b)))

function oneLine(text: string): string {
  let line = ''
  let bytes = 0
  for (const character of text.toWellFormed()) {
    bytes += utf8(character).length
    if (bytes > RECORD_TEXT_BYTES_MAX) break
    line += isControl(character) ? ' ' : character
  }
  return line
}

export function writeBody(writer: Writer, body: RecordBody): void {
  switch (body.type) {
    case 'found':
      writeText(writer, body.meshName)
      return writeIdentity(writer, body.node)
    case 'admit':
      writeIdentity(writer, body.node)
      writeFlag(writer, body.admin)
      return writeBytes(writer, body.token)
    case 'host':
      writeId(writer, body.agent)
      writeText(writer, body.name)
      writeList(writer, body.nodes, (node) => writeId(writer, node))
      writeFlag(writer, body.delegate)
      return writeList(writer, body.cuts, ({ node, cuts }) => {
        writeId(writer, node)
        writeCuts(writer, cuts)
      })
    case 'grant':
      writeId(writer, body.agent)
      writeText(writer, body.layer)
      writeGrantTo(writer, body.to)
      return writeByte(writer, ACCESS[body.access])
    case 'ungrant':
      writeId(writer, body.agent)
      writeId(writer, body.grant)
      return writeCuts(writer, body.cuts)
    case 'assign':
      writeId(writer, body.agent)
      writeUint(writer, body.term)
      writeId(writer, body.holder)
      writeFlag(writer, body.previous !== null)
      if (body.previous !== null) writeId(writer, body.previous)
      writeText(writer, body.reason)
      return writeList(writer, body.basis, (basis) => {
        writeText(writer, basis.layer)
        writeClock(writer, basis.vector)
        writeFixed(writer, basis.digest)
      })
    case 'prekey':
      writeId(writer, body.node)
      writeFixed(writer, body.publicKey)
      writeUint(writer, body.notBeforeMs)
      writeUint(writer, body.expiresMs)
      return writeFixed(writer, body.mailboxes)
    case 'relay':
      return writeList(writer, body.relays, ({ address, relay }) => {
        writeText(writer, address)
        writeId(writer, relay)
      })
    case 'revoke':
      writeId(writer, body.node)
      writeText(writer, body.reason)
      return writeCuts(writer, body.cuts)
    case 'lapse':
      writeId(writer, body.node)
      return writeCuts(writer, body.cuts)
    case 'recovery':
      writeFixed(writer, body.loginKey)
      writeFixed(writer, body.sealKey)
      return writeId(writer, body.mailbox)
    case 'rename':
      writeId(writer, body.node)
      return writeText(writer, body.name)
    case 'checkpoint':
      return writeFixed(writer, body.digest)
    case 'witness':
      writeList(writer, body.relays, (relay) => writeId(writer, relay))
      return writeByte(writer, LEASE_PROFILES.indexOf(body.profile))
    case 'failover':
      writeId(writer, body.agent)
      writeByte(writer, FAILOVER_MODES.indexOf(body.mode))
      return writeByte(writer, DURABILITIES.indexOf(body.durability))
    case 'sync':
      writeId(writer, body.agent)
      writeId(writer, body.term)
      return writeList(writer, body.members, (member) => writeId(writer, member))
  }
}

export function readBody(reader: Reader): RecordBody {
  switch (readByte(reader)) {
    case KIND.found:
      return { type: 'found', meshName: readLine(reader, RECORD_TEXT_BYTES_MAX), node: readIdentity(reader) }
    case KIND.admit:
      return {
        type: 'admit',
        node: readIdentity(reader),
        admin: readFlag(reader),
        token: readBytes(reader, TOKEN_CHAIN_BYTES_MAX),
      }
    case KIND.host:
      return readHost(reader)
    case KIND.grant:
      return {
        type: 'grant',
        agent: readAgent(reader),
        layer: readName(reader),
        to: readGrantTo(reader),
        access: readAccess(reader),
      }
    case KIND.ungrant:
      return { type: 'ungrant', agent: readAgent(reader), grant: readRecordHash(reader), cuts: readCuts(reader) }
    case KIND.assign:
      return readAssign(reader)
    case KIND.prekey:
      return readPrekey(reader)
    case KIND.relay: {
      const relays = readList(reader, RELAYS_MAX, (each) => ({
        address: readLine(each, RELAY_ADDRESS_BYTES_MAX),
        relay: readId<RelayId>(each, HASH_BYTES),
      }))
      return { type: 'relay', relays }
    }
    case KIND.revoke:
      return {
        type: 'revoke',
        node: readNode(reader),
        reason: readLine(reader, RECORD_TEXT_BYTES_MAX),
        cuts: readCuts(reader),
      }
    case KIND.lapse:
      return { type: 'lapse', node: readNode(reader), cuts: readCuts(reader) }
    case KIND.recovery:
      return {
        type: 'recovery',
        loginKey: readFixed(reader, SIGN_PUBLIC_KEY_BYTES) as LoginPublicKey,
        sealKey: readFixed(reader, SEAL_PUBLIC_KEY_BYTES) as SealPublicKey,
        mailbox: readId<MailboxId>(reader, HASH_BYTES),
      }
    case KIND.rename:
      return { type: 'rename', node: readNode(reader), name: readName(reader) }
    case KIND.checkpoint:
      return { type: 'checkpoint', digest: readFixed(reader, HASH_BYTES) }
    case KIND.witness:
      return readWitness(reader)
    case KIND.failover:
      return {
        type: 'failover',
        agent: readAgent(reader),
        mode: readOneOf(reader, FAILOVER_MODES),
        durability: readOneOf(reader, DURABILITIES),
      }
    case KIND.sync: {
      const [agent, term] = [readAgent(reader), readRecordHash(reader)]
      return { type: 'sync', agent, term, members: readSorted(reader, HOST_NODES_MAX, readNode, String) }
    }
    default:
      throw new Malformed()
  }
}

/** A list that is a set: sorted by `keyOf`, nothing twice. */
export function readSorted<T>(
  reader: Reader,
  max: number,
  read: (reader: Reader) => T,
  keyOf: (item: T) => string,
): T[] {
  const items = readList(reader, max, read)
  for (let i = 1; i < items.length; i++)
    if (compareText(keyOf(items[i - 1] as T), keyOf(items[i] as T)) >= 0) throw new Malformed()
  return items
}

function readHost(reader: Reader): RecordBody {
  const agent = readAgent(reader)
  const name = readName(reader)
  const nodes = readList(reader, HOST_NODES_MAX, readNode)
  if (new Set(nodes).size !== nodes.length) throw new Malformed()
  const delegate = readFlag(reader)
  const cuts = readSorted(
    reader,
    HOST_NODES_MAX,
    (each) => ({ node: readNode(each), cuts: readCuts(each) }),
    (each) => each.node,
  )
  // A cut says what still counts of a node that this list leaves out.
  if (cuts.some(({ node }) => nodes.includes(node))) throw new Malformed()
  return { type: 'host', agent, name, nodes, delegate, cuts }
}

function readAssign(reader: Reader): RecordBody {
  const agent = readAgent(reader)
  const term = readUint(reader)
  if (term < 1) throw new Malformed()
  const holder = readNode(reader)
  const previous = readFlag(reader) ? readRecordHash(reader) : null
  const reason = readLine(reader, RECORD_TEXT_BYTES_MAX)
  const readBasis = (each: Reader): Basis => ({
    layer: readName(each),
    vector: readClock(each, VECTOR_ENTRIES_MAX),
    digest: readFixed(each, HASH_BYTES),
  })
  const basis = readSorted(reader, BASIS_LAYERS_MAX, readBasis, (each) => each.layer)
  return { type: 'assign', agent, term, holder, previous, reason, basis }
}

function readPrekey(reader: Reader): RecordBody {
  const node = readNode(reader)
  const publicKey = readFixed(reader, SEAL_PUBLIC_KEY_BYTES) as SealPublicKey
  const notBeforeMs = readUint(reader, TIME_MS_MAX)
  const expiresMs = readUint(reader, TIME_MS_MAX)
  // A key that lives longer than its rotation says would void the one forward secrecy that there is.
  const lifeMs = expiresMs - notBeforeMs
  if (lifeMs <= 0 || lifeMs > PREKEY_LIFE_MS + 2 * PREKEY_SKEW_MS) throw new Malformed()
  const mailboxes = readFixed(reader, mailboxesBytes({ notBeforeMs, expiresMs }))
  return { type: 'prekey', node, publicKey, notBeforeMs, expiresMs, mailboxes }
}

function readWitness(reader: Reader): RecordBody {
  const relays = readSorted(reader, WITNESSES_MAX, (each) => readId<RelayId>(each, HASH_BYTES), String)
  // Of two neither has a majority.
  if (relays.length !== 1 && relays.length !== WITNESSES_MAX) throw new Malformed()
  return { type: 'witness', relays, profile: readOneOf(reader, LEASE_PROFILES) }
}

function writeIdentity(writer: Writer, node: NodeIdentity): void {
  writeText(writer, node.name)
  writeFixed(writer, node.signKey)
  writeFixed(writer, node.loginKey)
  writeId(writer, node.foundingAgent.id)
  writeText(writer, node.foundingAgent.name)
}

const readIdentity = (reader: Reader): NodeIdentity => ({
  name: readName(reader),
  signKey: readFixed(reader, SIGN_PUBLIC_KEY_BYTES) as SignPublicKey,
  loginKey: readFixed(reader, SIGN_PUBLIC_KEY_BYTES) as LoginPublicKey,
  foundingAgent: { id: readAgent(reader), name: readName(reader) },
})

function writeCuts(writer: Writer, cuts: readonly Cut[]): void {
  writeList(writer, cuts, ({ document, vector }) => {
    writeId(writer, document.agent)
    writeText(writer, document.layer)
    writeClock(writer, vector)
  })
}

const readCuts = (reader: Reader): Cut[] =>
  readSorted(
    reader,
    CUT_DOCUMENTS_MAX,
    (each) => ({
      document: { agent: readAgent(each), layer: readName(each) },
      vector: readClock(each, VECTOR_ENTRIES_MAX),
    }),
    documentKey,
  )

function writeGrantTo(writer: Writer, to: GrantTo): void {
  writeByte(writer, GRANT_TO[to.type])
  switch (to.type) {
    case 'node':
      return writeId(writer, to.node)
    case 'agent':
      return writeId(writer, to.agent)
    case 'standby':
      return
  }
}

function readGrantTo(reader: Reader): GrantTo {
  switch (readByte(reader)) {
    case GRANT_TO.node:
      return { type: 'node', node: readNode(reader) }
    case GRANT_TO.agent:
      return { type: 'agent', agent: readAgent(reader) }
    case GRANT_TO.standby:
      return { type: 'standby' }
    default:
      throw new Malformed()
  }
}

function readAccess(reader: Reader): 'read' | 'write' {
  const access = readByte(reader)
  if (access === ACCESS.read) return 'read'
  if (access === ACCESS.write) return 'write'
  throw new Malformed()
}

function readOneOf<T>(reader: Reader, words: readonly T[]): T {
  const word = words[readByte(reader)]
  if (word === undefined) throw new Malformed()
  return word
}

const writeFlag = (writer: Writer, flag: boolean): void => writeByte(writer, flag ? 1 : 0)

function readFlag(reader: Reader): boolean {
  const flag = readByte(reader)
  if (flag > 1) throw new Malformed()
  return flag === 1
}

const readAgent = (reader: Reader): AgentId => readId(reader, HASH_BYTES)
const readNode = (reader: Reader): NodeId => readId(reader, HASH_BYTES)
const readRecordHash = (reader: Reader): RecordHash => readId(reader, HASH_BYTES)

function readName(reader: Reader): string {
  const name = readText(reader, NAME_CHARACTERS_MAX)
  if (!isName(name)) throw new Malformed()
  return name
}

/** Text for people, on one line: peers choose it, so nothing in it may steer a terminal. */
function readLine(reader: Reader, maxBytes: number): string {
  const text = readText(reader, maxBytes)
  for (const character of text) if (isControl(character)) throw new Malformed()
  return text
}

function isControl(character: string): boolean {
  const code = character.charCodeAt(0)
  // C1 controls too: terminals obey them.
  return code < 32 || (code >= 127 && code < 160)
}
