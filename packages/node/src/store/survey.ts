import type { Block } from '@sealmesh/protocol/crdt/block'
import { decodeBlock, documentIdOf } from '@sealmesh/protocol/crdt/block-codec'
import type { VersionVector } from '@sealmesh/protocol/crdt/clock'
import { Failure } from '@sealmesh/protocol/errors'
import type { BlockHash, DocumentId, IncarnationId } from '@sealmesh/protocol/ids'
import type { Sodium } from '@sealmesh/protocol/sodium'
import { uncheckedValue, valueOf } from './check.ts'
import { afterPrefix, blockKey, documentPrefix, dotOfKey } from './keys.ts'
import type { Store } from './store.ts'

/** Blocks of one incarnation, in one document, that should be here and are not. */
export interface Gap {
  readonly incarnation: IncarnationId
  /** First and last of them. */
  readonly from: number
  readonly to: number
  /** The block that the first of them follows; null at the beginning of the incarnation. */
  readonly before: BlockHash | null
}

export interface Survey {
  readonly gaps: readonly Gap[]
  /** Whole blocks under a key that has changed: only their place has to be mended. */
  readonly misplaced: readonly { readonly at: Uint8Array; readonly raw: Uint8Array; readonly block: Block }[]
  /** Entries that are damage and no more. */
  readonly ruined: readonly { readonly key: Uint8Array; readonly raw: Uint8Array }[]
  /** LevelDB could not read a part of its files: entries may be missing that a repaired database would show. */
  readonly unreadable: boolean
}

export interface Surveyed {
  readonly store: Store
  readonly sodium: Sodium
  /** The block of these bytes, or undefined. */
  readonly decode: (bytes: Uint8Array) => Block | undefined
  /** LevelDB could not read a part of its files: only a rebuild finds what is whole in it. */
  readonly unreadable?: () => void
  /** Whether an incarnation can be anybody's: a flipped bit in a key makes one that is nobody's. */
  readonly exists: (incarnation: IncarnationId) => boolean
}

/** How far beyond the last whole block a damaged key's own sequence is believed: further is a flipped bit in it. */
const BELIEVED_AHEAD = 64

/**
 * Reads all that is stored of a document and says what is wrong with it. A hole is damage, since only what arrived in
 * chain order was ever stored; a lost end shows only against `known`: sequences that were here, or were missed already.
 */
export async function surveyBlocks(
  { store, sodium, decode, exists }: Surveyed,
  document: DocumentId,
  known: readonly { readonly incarnation: IncarnationId; readonly sequence: number }[],
  /** Where its base lies. */
  base: VersionVector,
): Promise<Survey> {
  const whole = new Map<IncarnationId, Map<number, Place[]>>()
  const ahead = new Map<IncarnationId, number[]>()
  const misplaced: { at: Uint8Array; raw: Uint8Array; block: Block }[] = []
  const ruined: { key: Uint8Array; raw: Uint8Array }[] = []
  let unreadable = false
  const note = ({ header, hash }: Block): void => {
    const places = whole.get(header.incarnation) ?? new Map<number, Place[]>()
    whole.set(header.incarnation, places)
    places.set(header.sequence, [...(places.get(header.sequence) ?? []), { hash, previous: header.previous }])
  }
  try {
    const prefix = documentPrefix(document)
    for await (const { key, value, raw } of store.examine({ from: prefix, to: afterPrefix(prefix) })) {
      const block = decode(value ?? uncheckedValue(raw))
      const dot = dotOfKey(key)
      if (value !== undefined && block?.hash === dot.hash) {
        note(block)
        continue
      }
      // The check covers key and value, so it also proves that a block belongs under the key that it names.
      const rightful = block && blockKey(documentIdOf(block.header.document, sodium), dotOf(block))
      if (block !== undefined && rightful !== undefined && valueOf(rightful, raw) !== undefined) {
        misplaced.push({ at: key, raw, block })
        if (documentIdOf(block.header.document, sodium) === document) note(block)
        continue
      }
      ruined.push({ key, raw })
      if (dot.hash.length === 64 && exists(dot.incarnation))
        ahead.set(dot.incarnation, [...(ahead.get(dot.incarnation) ?? []), dot.sequence])
    }
  } catch (error) {
    if (!(error instanceof Failure) || error.code !== 'STORE_DAMAGED') throw error
    unreadable = true
  }
  const certain = new Map<IncarnationId, number>()
  for (const { incarnation, sequence } of known)
    certain.set(incarnation, Math.max(sequence, certain.get(incarnation) ?? 0))
  const gaps: Gap[] = []
  for (const incarnation of new Set([...whole.keys(), ...ahead.keys(), ...certain.keys()])) {
    const places = whole.get(incarnation) ?? new Map<number, Place[]>()
    const end = endOf(places, ahead.get(incarnation) ?? [], certain.get(incarnation) ?? 0)
    const from = base.find((dot) => dot.incarnation === incarnation)
    // Of what lies below a base only the end is looked at; the rest is counted when it is loaded.
    if (from !== undefined) places.set(from.sequence, [{ hash: from.hash, previous: null }])
    gaps.push(...gapsOf(incarnation, places, end, from?.sequence ?? 0))
  }
  return { gaps, misplaced, ruined, unreadable }
}

interface Place {
  readonly hash: BlockHash
  readonly previous: BlockHash | null
}

/** The last sequence that is known to have been here. */
function endOf(places: Map<number, Place[]>, ahead: readonly number[], certain: number): number {
  let end = certain
  for (const sequence of places.keys()) end = Math.max(end, sequence)
  for (const sequence of ahead.toSorted((a, b) => a - b))
    if (sequence > end && sequence - end <= BELIEVED_AHEAD) end = sequence
  return end
}

function gapsOf(incarnation: IncarnationId, places: Map<number, Place[]>, end: number, base: number): Gap[] {
  const gaps: Gap[] = []
  let from: number | undefined
  for (let sequence = base + 1; sequence <= end + 1; sequence++) {
    const here = places.get(sequence)
    const missing = sequence <= end && here === undefined
    if (missing) from ??= sequence
    if (!missing && from !== undefined) {
      gaps.push({ incarnation, from, to: sequence - 1, before: places.get(from - 1)?.[0]?.hash ?? null })
      from = undefined
    }
    // Where an incarnation has forked, one branch hides the hole in the other from the count; hashes show it.
    const before = places.get(sequence - 1)
    const orphan = here?.some(({ previous }) => previous !== null && !before?.some(({ hash }) => hash === previous))
    if (orphan && before !== undefined && sequence > base + 1) {
      const root = places.get(sequence - 2)?.[0]?.hash ?? null
      gaps.push({ incarnation, from: sequence - 1, to: sequence - 1, before: root })
    }
  }
  return gaps
}

const dotOf = ({ header, hash }: Block) => ({ incarnation: header.incarnation, sequence: header.sequence, hash })

/** For `Surveyed.decode`. */
export function decodedBlock(bytes: Uint8Array, sodium: Sodium): Block | undefined {
  const block = decodeBlock(bytes, sodium)
  return block.ok ? block.value : undefined
}
