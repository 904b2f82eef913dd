import type { DocumentName } from '@sealmesh/protocol/crdt/block'
import { decodeHeader, documentIdOf } from '@sealmesh/protocol/crdt/block-codec'
import type { Dot, VersionVector } from '@sealmesh/protocol/crdt/clock'
import type { BlockHash, IncarnationId } from '@sealmesh/protocol/ids'
import type { Sodium } from '@sealmesh/protocol/sodium'
import { type BlockStore, endsOf } from '../store/block-store.ts'
import { afterPrefix, documentPrefix, dotOfKey } from '../store/keys.ts'
import type { Put } from '../store/database.ts'
import type { Store } from '../store/store.ts'
import type { DrillPace } from './drill-pace.ts'

export interface Covered {
  /** Entries of the block table as they are stored. */
  readonly entries: readonly Put[]
  readonly hashes: ReadonlySet<BlockHash>
  /** Blocks that the vector covers, those below the base among them. */
  readonly blocks: number
  readonly missing: number
  /** Of these, what `receipted` covers. */
  readonly missingAcknowledged: number
}

/** Where blocks are looked for, and how hastily. */
export interface Source {
  readonly store: Store
  readonly blocks: BlockStore
  readonly sodium: Sodium
  readonly pace: DrillPace
}

/**
 * The blocks of a document that a vector covers, walked back from its ends by their hashes: on a fork only the named
 * branches. What lies at or below the base is not looked at here.
 */
export async function coveredBlocks(
  { store, blocks, sodium, pace }: Source,
  name: DocumentName,
  vector: VersionVector,
  receipted: VersionVector,
): Promise<Covered> {
  const id = documentIdOf(name, sodium)
  const ends = endsOf(await blocks.bases.read(id))
  const stored = new Map<string, Stored[]>()
  const prefix = documentPrefix(id)
  for await (const { key, value } of store.examine({ from: prefix, to: afterPrefix(prefix) })) {
    const dot = dotOfKey(key)
    const place = placeOf(dot)
    const before = stored.get(place)
    const each = { dot, key, value }
    if (before === undefined) stored.set(place, [each])
    else before.push(each)
    await pace.turn()
  }
  const chosen = new Map<BlockHash, Put>()
  let [count, missing, missingAcknowledged] = [0, 0, 0]
  for (const tip of vector) {
    const end = ends.get(tip.incarnation) ?? 0
    count += Math.min(end, tip.sequence)
    const acknowledged = receiptedUpTo(receipted, tip.incarnation)
    let wanted: BlockHash | null = tip.hash
    for (let sequence = tip.sequence; sequence > end; sequence--) {
      const here: readonly Stored[] = stored.get(placeOf({ incarnation: tip.incarnation, sequence })) ?? []
      // Behind a hole no hash says which one is meant; where there is only one it is that.
      const found: Stored | undefined = wanted === null ? here[0] : here.find(({ dot }) => dot.hash === wanted)
      if (found === undefined) {
        missing += 1
        if (sequence <= acknowledged) missingAcknowledged += 1
        wanted = null
        continue
      }
      if (chosen.has(found.dot.hash)) break // A branch that was walked already.
      count += 1
      // Damaged: it is taken along as an empty one, which no signature fits.
      chosen.set(found.dot.hash, { type: 'put', key: found.key, value: found.value ?? new Uint8Array() })
      wanted = found.value === undefined ? null : previousOf(found.value)
      await pace.turn()
    }
  }
  return { entries: [...chosen.values()], hashes: new Set(chosen.keys()), blocks: count, missing, missingAcknowledged }
}

interface Stored {
  readonly dot: Dot
  readonly key: Uint8Array
  readonly value: Uint8Array | undefined
}

const placeOf = ({ incarnation, sequence }: Pick<Dot, 'incarnation' | 'sequence'>): string =>
  `${incarnation}.${sequence}`

const receiptedUpTo = (vector: VersionVector, incarnation: IncarnationId): number =>
  vector.reduce((most, dot) => (dot.incarnation === incarnation ? Math.max(most, dot.sequence) : most), 0)

function previousOf(bytes: Uint8Array): BlockHash | null {
  const header = decodeHeader(bytes)
  return header.ok ? header.value.previous : null
}
