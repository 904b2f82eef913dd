import { toHex } from '@sealmesh/protocol/bytes'
import type { Block } from '@sealmesh/protocol/crdt/block'
import { clientIdOf, signBlock } from '@sealmesh/protocol/crdt/block-codec'
import { Document } from '@sealmesh/protocol/crdt/document'
import { encodeRow } from '@sealmesh/protocol/crdt/row'
import { signRun, type TextRun } from '@sealmesh/protocol/crdt/text-run'
import { sliceText } from '@sealmesh/protocol/crdt/text-slice'
import type { AgentId, BlockHash, IncarnationId, MeshId, NodeId } from '@sealmesh/protocol/ids'
import type { Sodium } from '@sealmesh/protocol/sodium'

/** test/vectors/text-runs.json: everything in hexadecimal, for any language that reads JSON. */
export interface RunVectors {
  readonly about: string
  readonly authorKey: string
  readonly makerKey: string
  readonly good: readonly { name: string; row: string; end: string; from: number; to: number }[]
  /** What all good ones make together. */
  readonly text: string
  /** Refused when it is decoded, or for what is in its update. */
  readonly bad: readonly { name: string; row: string }[]
}

const id = (byte: string) => byte.repeat(32)
const ONE = '11'.repeat(16) as IncarnationId
const TWO = '22'.repeat(16) as IncarnationId
export const MAKER = id('a3') as NodeId

const NAME = { agent: id('a1') as AgentId, layer: 'semantic' }

/** Some text block of that incarnation: its update is not looked at. */
function endBlock(incarnation: IncarnationId, sequence: number, sodium: Sodium): Block {
  const { secretKey } = sodium.signKeys('sign', new Uint8Array(32).fill(1))
  return signBlock(
    {
      mesh: id('a0') as MeshId,
      document: NAME,
      author: id('a2') as NodeId,
      incarnation,
      sequence,
      previous: id('d1') as BlockHash,
      time: { wallMs: 1_800_000_000_000, counter: 3 },
      logHeads: [],
      floor: null,
      received: [],
      term: null,
      writes: [{ type: 'text', update: Uint8Array.of(0, 0) }],
    },
    secretKey,
    sodium,
  )
}

/** Two authors in one text: one writes into the other's words, and deletes some of them. */
function edited(sodium: Sodium): Document['yDoc'] {
  const { yDoc } = new Document(NAME, sodium)
  const as = (incarnation: IncarnationId, edit: (text: ReturnType<typeof yDoc.getText>) => void) => {
    yDoc.clientID = clientIdOf(incarnation)
    edit(yDoc.getText('notes'))
  }
  as(ONE, (text) => text.insert(0, 'We meet on Tuesday at noon, in the small room behind the stairs.'))
  as(TWO, (text) => {
    text.delete(11, 7)
    text.insert(11, 'Friday')
  })
  as(TWO, (text) => text.delete(24, 36))
  as(ONE, (text) => text.insert(text.length, ' Bring cake.'))
  as(ONE, (text) => text.delete(0, 1))
  return yDoc
}

export function buildRunVectors(sodium: Sodium): RunVectors {
  const { publicKey } = sodium.signKeys('sign', new Uint8Array(32).fill(1))
  const maker = sodium.signKeys('sign', new Uint8Array(32).fill(2))
  const yDoc = edited(sodium)
  const make = (
    incarnation: IncarnationId,
    sequence: number,
    from: number,
    to: number,
    update?: Uint8Array,
  ): TextRun => {
    const cut = update ?? sliceText(yDoc, clientIdOf(incarnation), from, to, 10_000)
    const end = endBlock(incarnation, sequence, sodium)
    const run = cut && signRun({ end, from, to, update: cut }, { node: MAKER, signKey: maker.secretKey }, sodium)
    if (run === undefined) throw new Error('It fits.')
    return run
  }
  const end = 64 + ' Bring cake.'.length
  const good: [string, TextRun][] = [
    ['the first words of one author, some of them deleted', make(ONE, 3, 0, 64)],
    ['what the same author wrote later', make(ONE, 9, 64, end)],
    ['what another put into them', make(TWO, 4, 0, 6)],
    ['blocks that only deleted', make(TWO, 7, 6, 6)],
  ]
  const first = good[0]![1]
  const row = encodeRow(first)
  const changed = (at: number, value: number) => toHex(row.with(at, value))
  const other = sliceText(yDoc, clientIdOf(TWO), 0, 6, 10_000)!
  const whole = endBlock(ONE, 3, sodium)
  const unpruned = { ...first, bytes: first.bytes.with(0, 2) }
  const bad = [
    { name: 'a row of another kind', row: changed(0, 2) },
    { name: 'another version', row: toHex(encodeRow(unpruned)) },
    { name: 'cut short', row: toHex(row.subarray(0, -1)) },
    { name: 'a byte too many', row: `${toHex(row)}00` },
    { name: 'a whole block', row: `01${toHex(whole.bytes)}` },
    { name: 'words of another client', row: toHex(encodeRow(make(ONE, 3, 0, 6, other))) },
    { name: 'a range that does not reach as far as it says', row: toHex(encodeRow(make(ONE, 3, 0, 70, first.update))) },
    { name: 'a range that begins elsewhere', row: toHex(encodeRow(make(ONE, 3, 64, 64, first.update))) },
    { name: 'deletes beyond its range', row: toHex(encodeRow(make(TWO, 4, 6, 6, deleting(ONE, sodium)))) },
    { name: 'no update', row: toHex(encodeRow(make(ONE, 3, 0, 64, new Uint8Array()))) },
    { name: 'empty', row: '' },
  ]
  return {
    about: 'Rows of text runs (docs/spec/09-bases.md §5). The good ones make one text together.',
    authorKey: toHex(publicKey),
    makerKey: toHex(maker.publicKey),
    good: good.map(([name, run]) => ({
      name,
      row: toHex(encodeRow(run)),
      end: run.end.hash,
      from: run.from,
      to: run.to,
    })),
    text: yDoc.getText('notes').toString(),
    bad,
  }
}

/** An update that only deletes. */
function deleting(incarnation: IncarnationId, sodium: Sodium): Uint8Array {
  const { yDoc } = new Document(NAME, sodium)
  yDoc.clientID = clientIdOf(incarnation)
  yDoc.getText('notes').insert(0, 'x')
  let update: Uint8Array | undefined
  yDoc.on('update', (bytes: Uint8Array) => {
    update = bytes
  })
  yDoc.getText('notes').delete(0, 1)
  if (update === undefined) throw new Error('Something was deleted.')
  return update
}
