import { toHex } from '@sealmesh/protocol/bytes'
import type { Block } from '@sealmesh/protocol/crdt/block'
import { signBlock } from '@sealmesh/protocol/crdt/block-codec'
import type { Clock } from '@sealmesh/protocol/crdt/clock'
import { type Beyond, prune, type PrunedBlock } from '@sealmesh/protocol/crdt/pruned'
import type { AgentId, BlockHash, IncarnationId, MeshId, NodeId, RecordHash } from '@sealmesh/protocol/ids'
import type { Sodium } from '@sealmesh/protocol/sodium'

/** test/vectors/pruned.json: everything in hexadecimal, for any language that reads JSON. */
export interface PrunedVectors {
  readonly about: string
  readonly key: string
  readonly whole: string
  readonly hash: string
  readonly good: readonly { name: string; bytes: string; keys: readonly string[] }[]
  readonly bad: readonly { name: string; bytes: string }[]
}

const id = (byte: string) => byte.repeat(32)

/** A block of so many writes. */
export function wholeBlock(writes: number, sodium: Sodium): Block {
  const { secretKey } = sodium.signKeys('sign', new Uint8Array(32).fill(1))
  return signBlock(
    {
      mesh: id('a0') as MeshId,
      document: { agent: id('a1') as AgentId, layer: 'semantic' },
      author: id('a2') as NodeId,
      incarnation: '11'.repeat(16) as IncarnationId,
      sequence: 2,
      previous: id('d1') as BlockHash,
      time: { wallMs: 1_800_000_000_000, counter: 3 },
      logHeads: [id('c1') as RecordHash],
      floor: null,
      received: [{ incarnation: '22'.repeat(16) as IncarnationId, sequence: 7, hash: id('b2') as BlockHash }],
      term: null,
      writes: Array.from({ length: writes }, (_, at) => {
        const key = `key-${String(at).padStart(4, '0')}`
        const replaces =
          at % 3 === 0
            ? [{ incarnation: '22'.repeat(16) as IncarnationId, sequence: 7, hash: id('b2') as BlockHash }]
            : []
        return at % 5 === 4 ? { type: 'delete', key, replaces } : { type: 'set', key, value: `value ${at}`, replaces }
      }),
    },
    secretKey,
    sodium,
  )
}

/** What stays of it: writes by their place, with clocks beyond the base for some. */
export function keptAt(block: Block, places: readonly number[], clock: Clock = []): Map<string, Beyond> {
  return new Map(
    places.map((place) => {
      const write = block.writes[place]
      if (write === undefined || write.type === 'text') throw new Error('The test names a register write.')
      return [write.key, { open: place % 2 === 0 ? [] : clock, met: place % 3 === 0 ? clock : [] }]
    }),
  )
}

export const keysOf = ({ writes }: PrunedBlock): string[] =>
  writes.map((write) => (write.type === 'text' ? '' : write.key))

export function buildPrunedVectors(sodium: Sodium): PrunedVectors {
  const { publicKey } = sodium.signKeys('sign', new Uint8Array(32).fill(1))
  const block = wholeBlock(18, sodium)
  const open: Clock = [{ incarnation: '33'.repeat(16) as IncarnationId, sequence: 9, hash: id('b3') as BlockHash }]
  const cases: [string, readonly number[]][] = [
    ['every write is left', Array.from({ length: 18 }, (_, at) => at)],
    ['one write in the middle', [5]],
    ['the last write, which has no neighbours on its level', [17]],
    ['two writes far apart, with clocks beyond the base', [0, 15]],
    ['no write is left', []],
  ]
  const good = cases.map(([name, places]) => {
    const pruned = prune(block, keptAt(block, places, open), sodium)
    return { name, bytes: toHex(pruned.bytes), keys: keysOf(pruned) }
  })
  const one = prune(block, keptAt(block, [5]), sodium).bytes
  const changed = (at: number, value: number) => toHex(one.with(at, value))
  const bad = [
    { name: 'another version', bytes: changed(0, 2) },
    { name: 'cut short', bytes: toHex(one.subarray(0, -1)) },
    { name: 'a byte too many', bytes: `${toHex(one)}00` },
    { name: 'a header of another version', bytes: changed(1, 9) },
    { name: 'empty', bytes: '' },
  ]
  return {
    about: 'Pruned blocks of one block (docs/spec/09-bases.md). All give its hash, and its signature verifies.',
    key: toHex(publicKey),
    whole: toHex(block.bytes),
    hash: block.hash,
    good,
    bad,
  }
}
