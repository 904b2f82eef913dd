import { compareText, decode, encode, Malformed, type Reader, readByte, readId, readUint, toHex } from '../bytes.ts'
import { writeByte, writeId, writeUint } from '../bytes.ts'
import type { ClosedDigest, DocumentId, IncarnationId } from '../ids.ts'
import { HASH_BYTES } from '../keys.ts'
import { CLOSED_ENTRIES_MAX, CLOSED_LINK_ENTRIES_MAX, CLOSED_LINKS_MAX } from '../limits.ts'
import { assert } from '../result.ts'
import type { Sodium } from '../sodium.ts'
import { TAGS } from '../tags.ts'
import { type Clock, type Dot, firstOf, isSameDot, readClock, type VersionVector, writeClock } from './clock.ts'

/**
 * A closed set names incarnations of a document that have ended, each with its last block, so that vectors need not
 * write them out (docs/spec/03-blocks.md §2.1). It is a chain of links; a link's hash names the set of its entries and
 * those of all its parents. What it says is true of nothing but itself: a vector that stands on it says the rest.
 *
 *   version 1B | document 32B | flag, parent 32B if 1 | count of entries, the parents' included | entries: a clock
 */
export interface ClosedLink {
  readonly document: DocumentId
  readonly parent: ClosedDigest | null
  /** With those of its parents. */
  readonly count: number
  /** Sorted, one for an incarnation, none that a parent has. */
  readonly entries: Clock
  readonly digest: ClosedDigest
  readonly bytes: Uint8Array
}

const VERSION = 0x01
/** Of a link: with fewer that still hold it is made anew. Some incarnations go on although they seemed to have ended. */
const SOUND_PART = 7 / 8

export function makeLink(draft: Omit<ClosedLink, 'digest' | 'bytes'>, sodium: Sodium): ClosedLink {
  const bytes = encode((w) => {
    writeByte(w, VERSION)
    writeId(w, draft.document)
    writeByte(w, draft.parent === null ? 0 : 1)
    if (draft.parent !== null) writeId(w, draft.parent)
    writeUint(w, draft.count)
    writeClock(w, draft.entries)
  })
  return { ...draft, digest: digestOf(bytes, sodium), bytes }
}

/** Untrusted bytes in. Never throws. Undefined unless they are one link, in their only form. */
export function decodeLink(bytes: Uint8Array, sodium: Sodium): ClosedLink | undefined {
  const draft = decode(bytes, readLink)
  if (!draft.ok) return undefined
  const link = makeLink(draft.value, sodium)
  // A number in a longer form would give one link two names.
  return link.bytes.length === bytes.length && link.bytes.every((byte, at) => byte === bytes[at]) ? link : undefined
}

function readLink(r: Reader): Omit<ClosedLink, 'digest' | 'bytes'> {
  if (readByte(r) !== VERSION) throw new Malformed()
  const document = readId<DocumentId>(r, HASH_BYTES)
  const flag = readByte(r)
  if (flag > 1) throw new Malformed()
  const parent = flag === 0 ? null : readId<ClosedDigest>(r, HASH_BYTES)
  const count = readUint(r, CLOSED_ENTRIES_MAX)
  const entries = readClock(r, CLOSED_LINK_ENTRIES_MAX)
  const before = count - entries.length
  if (entries.length === 0 || before < 0 || (parent === null) !== (before === 0)) throw new Malformed()
  // Only the last link of a chain may have room left.
  if (before % CLOSED_LINK_ENTRIES_MAX !== 0) throw new Malformed()
  if (entries.some(({ incarnation }, at) => entries[at - 1]?.incarnation === incarnation)) throw new Malformed()
  return { document, parent, count, entries }
}

/** Whether `parent` is what `child` says that it is: the counts bound what a chain of made-up links can cost. */
export const isParentOf = (parent: ClosedLink, child: ClosedLink): boolean =>
  parent.digest === child.parent &&
  parent.document === child.document &&
  parent.count === child.count - child.entries.length

/** All entries of a whole chain, sorted; undefined when it names an incarnation twice or has too many links. */
export function entriesOfChain(links: readonly ClosedLink[]): VersionVector | undefined {
  if (links.length > CLOSED_LINKS_MAX) return undefined
  const all = links.flatMap(({ entries }) => entries).sort((a, b) => compareText(a.incarnation, b.incarnation))
  return all.every(({ incarnation }, at) => all[at - 1]?.incarnation !== incarnation) ? all : undefined
}

/**
 * Whether `fresh` goes on from `chain`, which is whole, and names nobody whom that names. Costs what is fresh: a link of
 * one entry may follow 63 full ones.
 */
export function goesOn(chain: readonly ClosedLink[], fresh: readonly ClosedLink[]): boolean {
  if (chain.length + fresh.length > CLOSED_LINKS_MAX) return false
  let parent = chain.at(-1)
  for (const link of fresh) {
    if (parent === undefined ? link.parent !== null : !isParentOf(parent, link)) return false
    parent = link
  }
  const isNamed = ({ incarnation }: Dot): boolean =>
    chain.some(({ entries }) => entries[firstOf(entries, incarnation)]?.incarnation === incarnation)
  return entriesOfChain(fresh)?.every((entry) => !isNamed(entry)) ?? false
}

/**
 * A set of `chain`, first link first, and `fresh` together, as links of which the first are those of the chain that
 * are full: what stood in the others is written anew, so that a set that grows little by little stays short. Gives the
 * new links only; entries beyond the limit are left out.
 */
export function extendChain(
  document: DocumentId,
  chain: readonly ClosedLink[],
  fresh: readonly Dot[],
  sodium: Sodium,
): ClosedLink[] {
  const notFull = chain.findIndex(({ entries }) => entries.length < CLOSED_LINK_ENTRIES_MAX)
  const full = notFull < 0 ? chain : chain.slice(0, notFull)
  const again = chain.slice(full.length).flatMap(({ entries }) => entries)
  let parent = full.at(-1)?.digest ?? null
  let count = full.at(-1)?.count ?? 0
  const entries = [...again, ...fresh.slice(0, CLOSED_ENTRIES_MAX - count - again.length)].sort((a, b) =>
    compareText(a.incarnation, b.incarnation),
  )
  const links: ClosedLink[] = []
  for (let from = 0; from < entries.length; from += CLOSED_LINK_ENTRIES_MAX) {
    const some = entries.slice(from, from + CLOSED_LINK_ENTRIES_MAX)
    count += some.length
    const link = makeLink({ document, parent, count, entries: some }, sodium)
    assert(link.count <= CLOSED_ENTRIES_MAX, 'a closed set stays within its limit')
    links.push(link)
    parent = link.digest
  }
  return links
}

/**
 * What a set, or a link of it, is worth to whoever holds a base: how many of its entries are ends of the base, which is
 * how many a vector need not write out. Undefined when it names what does not lie at or below the base: who holds that
 * may not say that he has it.
 */
export function worthOf(entries: VersionVector, ends: VersionVector): number | undefined {
  let worth = 0
  for (const entry of entries) {
    const end = ends[firstOf(ends, entry.incarnation)]
    if (end?.incarnation !== entry.incarnation || end.sequence < entry.sequence) return undefined
    if (isSameDot(end, entry)) worth += 1
    else if (end.sequence === entry.sequence) return undefined
  }
  return worth
}

/** The first links of a chain that are full and still worth naming: nearly all that they name ends there. */
export function soundLinks(chain: readonly ClosedLink[], ends: VersionVector): ClosedLink[] {
  const unsound = chain.findIndex(
    ({ entries }) =>
      entries.length < CLOSED_LINK_ENTRIES_MAX || (worthOf(entries, ends) ?? 0) < SOUND_PART * CLOSED_LINK_ENTRIES_MAX,
  )
  return chain.slice(0, unsound < 0 ? chain.length : unsound)
}

/** An end of a base: of which incarnation, whose it is, and when its last block was written. */
export interface ClosedEnd {
  readonly dot: Dot
  readonly author: string
  readonly wallMs: number
}

/** An author that has written nothing for so long is not expected to go on under its last incarnation. */
export const SILENT_AUTHOR_MS = 7 * 24 * 60 * 60_000

/**
 * Which ends of a base are those of incarnations that have ended: nothing of them lies above the base, so all have
 * receipted them, and their author has begun another since or is silent. Should one go on all the same nothing breaks:
 * vectors write it out.
 */
export function closedEnds(
  ends: readonly ClosedEnd[],
  vector: VersionVector,
  own: IncarnationId,
  nowMs: number,
): Dot[] {
  const latest = new Map<string, ClosedEnd>()
  for (const end of ends) {
    const other = latest.get(end.author)
    if (other === undefined || end.wallMs > other.wallMs) latest.set(end.author, end)
  }
  const last = new Map(vector.map((dot) => [dot.incarnation, dot]))
  return ends
    .filter(({ dot, author, wallMs }) => {
      if (dot.incarnation === own || last.get(dot.incarnation)?.hash !== dot.hash) return false
      return (latest.get(author)?.wallMs ?? 0) > wallMs || wallMs < nowMs - SILENT_AUTHOR_MS
    })
    .map(({ dot }) => last.get(dot.incarnation)!)
}

const digestOf = (bytes: Uint8Array, sodium: Sodium): ClosedDigest =>
  toHex(sodium.hash([TAGS.closedSet, bytes])) as ClosedDigest
