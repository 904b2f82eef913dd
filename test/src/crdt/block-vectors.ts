import {
  encode,
  fromHex,
  toHex,
  utf8,
  type Writer,
  writeByte,
  writeBytes,
  writeFixed,
  writeId,
  writeList,
  writeText,
  writeUint,
} from '@sealmesh/protocol/bytes'
import type { Block, BlockHeader, DocumentName, Write } from '@sealmesh/protocol/crdt/block'
import { clientIdOf, documentIdOf, signBlock } from '@sealmesh/protocol/crdt/block-codec'
import { type Clock, type Dot, writeClock } from '@sealmesh/protocol/crdt/clock'
import { digestOf } from '@sealmesh/protocol/crdt/vector'
import type {
  AgentId,
  BlockHash,
  ClosedDigest,
  IncarnationId,
  MeshId,
  NodeId,
  RecordHash,
} from '@sealmesh/protocol/ids'
import { BLOCK_BYTES_MAX } from '@sealmesh/protocol/limits'
import type { Sodium } from '@sealmesh/protocol/sodium'
import { TAGS } from '@sealmesh/protocol/tags'

/** test/vectors/blocks.json: everything in hexadecimal, for any language that reads JSON. */
export interface Vectors {
  readonly about: string
  readonly key: string
  readonly wrongKey: string
  readonly good: readonly { name: string; bytes: string; hash: string; block: unknown }[]
  readonly bad: readonly { name: string; bytes: string; error: string }[]
  /** Too long to print: so many zero bytes after a version. */
  readonly tooLong: { readonly bytes: number; readonly error: string }
  readonly badSignatures: readonly { name: string; bytes: string }[]
  readonly documentIds: readonly { agent: string; layer: string; id: string }[]
  readonly clientIds: readonly { incarnation: string; client: number }[]
  readonly vectorDigests: readonly { vector: unknown; digest: string }[]
}

/** A block without what follows from its bytes, and with bytes as hexadecimal. */
export const blockView = ({ header, writes }: Block): unknown =>
  JSON.parse(
    JSON.stringify({ header, writes }, (_, each: unknown) => (each instanceof Uint8Array ? toHex(each) : each)),
  )

const OWN = '11'.repeat(16) as IncarnationId
const MESH = 'a0'.repeat(32) as MeshId
const AUTHOR = 'a2'.repeat(32) as NodeId
const NAME: DocumentName = { agent: 'a1'.repeat(32) as AgentId, layer: 'semantic' }
const hash = (byte: string) => byte.repeat(32)
const dot = (incarnation: string, sequence: number, of: string): Dot => ({
  incarnation: incarnation.repeat(16) as IncarnationId,
  sequence,
  hash: hash(of) as BlockHash,
})
const [FAR, FORKED_A, FORKED_B, LAST] = [
  dot('01', 300, 'b1'),
  dot('22', 7, 'b2'),
  dot('22', 9, 'b3'),
  dot('33', 1, 'b0'),
]

type Draft = Omit<BlockHeader, 'writesRoot'> & { writes: readonly Write[] }

const FIRST: Draft = {
  mesh: MESH,
  document: NAME,
  author: AUTHOR,
  incarnation: OWN,
  sequence: 1,
  previous: null,
  time: { wallMs: 1_800_000_000_000, counter: 0 },
  logHeads: [hash('c1') as RecordHash],
  floor: null,
  received: [],
  term: null,
  writes: [{ type: 'set', key: 'deploy-day', value: 'Friday', replaces: [] }],
}
const NEXT: Draft = { ...FIRST, sequence: 2, previous: hash('d1') as BlockHash }

export function buildVectors(sodium: Sodium): Vectors {
  const { publicKey, secretKey } = sodium.signKeys('sign', new Uint8Array(32).fill(1))
  const good: [string, Draft][] = [
    ['the first of an incarnation', FIRST],
    [
      'a delete that replaces another incarnation',
      { ...NEXT, writes: [{ type: 'delete', key: 'k', replaces: [FAR] }] },
    ],
    ['what the author had received, a fork included', { ...FIRST, received: [FAR, FORKED_A, FORKED_B, LAST] }],
    ['over a closed set', { ...FIRST, floor: { digest: hash('f1') as ClosedDigest, upTo: null }, received: [FAR] }],
    [
      'over the beginning of a closed set',
      { ...FIRST, floor: { digest: hash('f1') as ClosedDigest, upTo: LAST.incarnation }, received: [FORKED_A] },
    ],
    [
      'under a term, as the session is written',
      { ...NEXT, document: { ...NAME, layer: 'session' }, term: { number: 300, assign: hash('e1') as RecordHash } },
    ],
    [
      'concurrent log heads, a counter',
      {
        ...NEXT,
        time: { wallMs: 1_800_000_000_001, counter: 200 },
        logHeads: [hash('c1'), hash('c2')] as RecordHash[],
      },
    ],
    ['no log heads', { ...NEXT, logHeads: [] }],
    [
      'five writes, sorted by UTF-8 and not by UTF-16, sharing a table',
      {
        ...NEXT,
        writes: [
          { type: 'set', key: '\u{1f511}', value: 'a key beyond U+FFFF sorts last', replaces: [FAR, LAST] },
          { type: 'set', key: '\uff21', value: '', replaces: [FORKED_A, FORKED_B] },
          { type: 'delete', key: 'a', replaces: [] },
          { type: 'set', key: 'ab', value: 'x\u0000y', replaces: [FORKED_B] },
          { type: 'set', key: 'é', value: 'é', replaces: [FAR, FORKED_A, FORKED_B, LAST] },
        ],
      },
    ],
    [
      'a text',
      { ...NEXT, writes: [{ type: 'text', update: fromHex('010101b89ba0fa0100040105' + '6e6f746573' + '02686900') }] },
    ],
    [
      '17 writes: three levels of the tree',
      {
        ...NEXT,
        writes: Array.from({ length: 17 }, (_, at) => ({
          type: 'set',
          key: `k${String.fromCharCode(97 + at)}`,
          value: '',
          replaces: [],
        })),
      },
    ],
  ]
  const made = good.map(([name, draft]) => ({ name, block: signBlock(draft, secretKey, sodium) }))
  const [first] = made
  const bytes = first!.block.bytes
  return {
    about: 'Blocks: docs/spec/03-blocks.md. Bytes, ids and keys are hexadecimal.',
    key: toHex(publicKey),
    wrongKey: toHex(sodium.signKeys('sign', new Uint8Array(32)).publicKey),
    good: made.map(({ name, block }) => ({
      name,
      bytes: toHex(block.bytes),
      hash: block.hash,
      block: blockView(block),
    })),
    bad: badBlocks(bytes),
    tooLong: { bytes: BLOCK_BYTES_MAX + 1, error: 'BLOCK_SIZE' },
    badSignatures: [
      { name: 'one bit of the signature', bytes: flipped(bytes, -1) },
      { name: 'one bit of the author', bytes: flipped(bytes, 1 + 32 + 32 + 9) },
      { name: 'one bit of a value', bytes: flipped(bytes, -66) },
      { name: 'signed without the tag', bytes: signedUnder(new Uint8Array(), first!.block) },
      { name: 'signed under the tag of a record', bytes: signedUnder(TAGS.record, first!.block) },
    ],
    documentIds: ['semantic', 'session'].map((layer) => ({
      agent: NAME.agent,
      layer,
      id: documentIdOf({ ...NAME, layer }, sodium),
    })),
    clientIds: ['0102030405060708090a0b0c0d0e0f10', 'ff'.repeat(16)].map((incarnation) => ({
      incarnation,
      client: clientIdOf(incarnation as IncarnationId),
    })),
    vectorDigests: [[], [FAR], [FAR, FORKED_A, FORKED_B, LAST]].map((vector) => ({
      vector,
      digest: toHex(digestOf(vector, sodium)),
    })),
  }

  function signedUnder(tag: Uint8Array, block: Block): string {
    const header = crafted({}).subarray(0, headerLength())
    const signature = sodium.sign(new Uint8Array([...tag, ...header, ...block.header.writesRoot]), secretKey)
    return toHex(block.bytes.subarray(0, -64)) + toHex(signature)
  }
}

const flipped = (bytes: Uint8Array, at: number): string => toHex(bytes.with(at, bytes.at(at)! ^ 1))

interface Wrong {
  readonly draft?: Partial<Draft>
  readonly version?: number
  readonly sequence?: (w: Writer) => void
  readonly previous?: (w: Writer) => void
  readonly floor?: (w: Writer) => void
  readonly term?: (w: Writer) => void
  readonly table?: Clock
  readonly writes?: (w: Writer) => void
  readonly end?: string
}

/** The layout of §4 and §5, written down a second time, so that it can be got wrong on purpose. */
function crafted(wrong: Wrong): Uint8Array {
  const draft = { ...FIRST, ...wrong.draft }
  return encode((w) => {
    writeHeader(w, wrong, draft)
    if (wrong.writes !== undefined) wrong.writes(w)
    else writeList(w, [0], () => set(w, 'deploy-day', 'Friday'))
    writeFixed(w, new Uint8Array(64))
    writeFixed(w, fromHex(wrong.end ?? ''))
  })
}

function writeHeader(w: Writer, wrong: Wrong, draft: Draft): void {
  writeByte(w, wrong.version ?? 1)
  writeId(w, draft.mesh)
  writeId(w, draft.document.agent)
  writeText(w, draft.document.layer)
  writeId(w, draft.author)
  writeId(w, draft.incarnation)
  if (wrong.sequence !== undefined) wrong.sequence(w)
  else writeUint(w, draft.sequence)
  if (wrong.previous !== undefined) wrong.previous(w)
  else if (draft.previous !== null) writeId(w, draft.previous)
  writeUint(w, draft.time.wallMs)
  writeUint(w, draft.time.counter)
  writeList(w, draft.logHeads, (head) => writeId(w, head))
  if (wrong.floor !== undefined) wrong.floor(w)
  else writeByte(w, 0)
  writeClock(w, draft.received)
  if (wrong.term !== undefined) wrong.term(w)
  else writeByte(w, 0)
  writeClock(w, wrong.table ?? [])
}

const headerLength = (): number => encode((w) => writeHeader(w, {}, FIRST)).length

function set(w: Writer, key: string, value: string, replaces: readonly number[] = []): void {
  writeByte(w, 1)
  writeText(w, key)
  writeText(w, value)
  writeList(w, replaces, (step) => writeUint(w, step))
}

function badBlocks(good: Uint8Array): Vectors['bad'] {
  const table = [FAR, FORKED_A]
  const heads = (...bytes: string[]) => ({ logHeads: bytes.map(hash) as RecordHash[] })
  const one = (write: (w: Writer) => void) => (w: Writer) => writeList(w, [0], () => write(w))
  const two = (a: (w: Writer) => void, b: (w: Writer) => void) => (w: Writer) =>
    writeList(w, [a, b], (write) => write(w))
  const text = (w: Writer) => {
    writeByte(w, 3)
    writeBytes(w, utf8('x'))
  }
  const malformed: [string, Wrong][] = [
    ['one byte more', { end: '00' }],
    ['sequence 0', { sequence: (w) => writeUint(w, 0) }],
    [
      'a sequence beyond 2^40',
      { sequence: (w) => writeUint(w, 2 ** 40 + 1), draft: { previous: hash('d1') as BlockHash } },
    ],
    ['a sequence in a longer form', { sequence: (w) => writeFixed(w, fromHex('8100')) }],
    ['a length in a longer form', { writes: one((w) => writeFixed(w, fromHex('0181006b0000'))) }],
    ['a place in a longer form', { table: [FAR], writes: one((w) => writeFixed(w, fromHex('01016b00018000'))) }],
    ['a number beyond 2^53', { sequence: (w) => writeFixed(w, fromHex('ffffffffffffffffff7f')) }],
    ['a first block with a previous one', { previous: (w) => writeId(w, hash('d1')) }],
    ['a second block without a previous one', { draft: { sequence: 2 } }],
    ['a layer with a dot', { draft: { document: { ...NAME, layer: 'a.b' } } }],
    ['no layer', { draft: { document: { ...NAME, layer: '' } } }],
    ['a time beyond 2^48', { draft: { time: { wallMs: 2 ** 48, counter: 0 } } }],
    ['a counter beyond 2^32', { draft: { time: { wallMs: 1, counter: 2 ** 32 } } }],
    ['log heads out of order', { draft: heads('c2', 'c1') }],
    ['a log head twice', { draft: heads('c1', 'c1') }],
    ['65 log heads', { draft: heads(...Array.from({ length: 65 }, (_, at) => (16 + at).toString(16))) }],
    ['received out of order', { draft: { received: [LAST, FAR] } }],
    ['received with an entry twice', { draft: { received: [FAR, FAR] } }],
    ['received with the incarnation itself', { draft: { received: [dot('11', 1, 'b1')] } }],
    ['received at sequence 0', { draft: { received: [dot('01', 0, 'b1')] } }],
    ['a kind of floor that there is not', { floor: (w) => writeByte(w, 3) }],
    [
      'a floor in a later block',
      {
        draft: { sequence: 2, previous: hash('d1') as BlockHash },
        floor: (w) => writeFixed(w, fromHex(`01${hash('f1')}`)),
      },
    ],
    ['a floor without its digest', { floor: (w) => writeByte(w, 1) }],
    ['a term flag that is neither 0 nor 1', { term: (w) => writeByte(w, 2) }],
    ['a term without its assign', { term: (w) => writeFixed(w, fromHex('0101')) }],
    ['a table with the incarnation itself', { table: [dot('11', 1, 'b1')], writes: one((w) => set(w, 'k', '', [0])) }],
    ['a table out of order', { table: [LAST, FAR], writes: one((w) => set(w, 'k', '', [0, 1])) }],
    ['an entry of the table that nobody replaces', { table, writes: one((w) => set(w, 'k', '', [0])) }],
    ['a place beyond the table', { table, writes: one((w) => set(w, 'k', '', [0, 2])) }],
    ['a place twice', { table: [FAR], writes: one((w) => set(w, 'k', '', [0, 0])) }],
    ['more places than the table has', { table: [FAR], writes: one((w) => set(w, 'k', '', [0, 1, 1])) }],
    ['no writes', { writes: (w) => writeUint(w, 0) }],
    ['1,025 writes', { writes: (w) => writeUint(w, 1_025) }],
    ['a count of writes that the bytes cannot hold', { writes: (w) => writeUint(w, 1_000) }],
    [
      'keys out of order',
      {
        writes: two(
          (w) => set(w, 'b', ''),
          (w) => set(w, 'a', ''),
        ),
      },
    ],
    [
      'keys in the order of UTF-16',
      {
        writes: two(
          (w) => set(w, '\u{1f511}', ''),
          (w) => set(w, '\uff21', ''),
        ),
      },
    ],
    [
      'a key twice',
      {
        writes: two(
          (w) => set(w, 'a', ''),
          (w) => set(w, 'a', ''),
        ),
      },
    ],
    ['an empty key', { writes: one((w) => set(w, '', '')) }],
    ['a key with a control character', { writes: one((w) => set(w, 'a\nb', '')) }],
    ['a key of 513 bytes', { writes: one((w) => set(w, 'k'.repeat(513), '')) }],
    ['a key that is not UTF-8', { writes: one((w) => writeFixed(w, fromHex('0102c3280000'))) }],
    ['a value longer than the bytes that are left', { writes: one((w) => writeFixed(w, fromHex('01016bffff0f'))) }],
    ['an unknown kind of write', { writes: one((w) => writeByte(w, 4)) }],
    [
      'a text beside a register',
      {
        writes: two(
          (w) => text(w),
          (w) => set(w, 'a', ''),
        ),
      },
    ],
    ['two texts', { writes: two(text, text) }],
  ]
  return [
    { name: 'nothing', bytes: '', error: 'BLOCK_MALFORMED' },
    { name: 'only a version', bytes: '01', error: 'BLOCK_MALFORMED' },
    { name: 'cut short', bytes: toHex(good.subarray(0, -1)), error: 'BLOCK_MALFORMED' },
    { name: 'another version', bytes: toHex(crafted({ version: 2 })), error: 'BLOCK_VERSION' },
    ...malformed.map(([name, wrong]) => ({ name, bytes: toHex(crafted(wrong)), error: 'BLOCK_MALFORMED' })),
  ]
}

/** The good layout by the second hand: equal to the first but for the signature. */
export const craftedGood = (): Uint8Array => crafted({})
