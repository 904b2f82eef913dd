import { encode } from '../bytes.ts'
import type { Sodium } from '../sodium.ts'
import { TAGS } from '../tags.ts'
import {
  type Clock,
  compareDots,
  type Dot,
  entriesOf,
  firstOf,
  isSameDot,
  type VersionVector,
  writeClock,
} from './clock.ts'

/** Names a vector in 32 bytes (03-blocks §2): equal vectors, equal digests. */
export const digestOf = (vector: VersionVector, sodium: Sodium): Uint8Array =>
  sodium.hash([TAGS.vectorDigest, encode((writer) => writeClock(writer, vector))])

/**
 * How many blocks `theirs` covers and `mine` does not, by sequence. On an incarnation that either shows forked only
 * ancestry could tell: there every tip of theirs that is not one of mine counts, so that an answer of 0 is certain
 * and an exchange of vectors settles the rest.
 */
export function countMissing(mine: VersionVector, theirs: VersionVector): number {
  let missing = 0
  let at = 0
  let from = 0
  while (at < theirs.length) {
    const tip = theirs[at]!
    // Nearly always the same entry, if not the same object: of 10,000 incarnations a write changes one.
    if (tip === mine[from]) {
      at++
      from++
      continue
    }
    const { incarnation, hash } = tip
    while (from < mine.length && mine[from]!.incarnation < incarnation) from++
    if (tip === mine[from]) continue
    const isOne = theirs[at + 1]?.incarnation !== incarnation && mine[from + 1]?.incarnation !== incarnation
    const isHere = mine[from]?.incarnation === incarnation
    if (isOne && (isHere ? mine[from]?.hash === hash : theirs[at - 1]?.incarnation !== incarnation)) {
      if (!isHere) missing += tip.sequence
      at++
      continue
    }
    const tips = entriesOf(theirs, incarnation)
    at = firstOf(theirs, incarnation) + tips.length
    missing += missingTips(entriesOf(mine, incarnation), tips)
  }
  return missing
}

function missingTips(mine: Clock, theirs: Clock): number {
  const unknown = theirs.filter((tip) => !mine.some((own) => own.hash === tip.hash))
  if (unknown.length === 0) return 0
  const ahead = highest(theirs) - highest(mine)
  if (mine.length === 0) return highest(theirs) + theirs.length - 1
  if (theirs.length > 1 || mine.length > 1) return Math.max(ahead, unknown.length)
  return ahead === 0 ? 1 : Math.max(ahead, 0)
}

const highest = (tips: Clock): number => tips.reduce((most, tip) => Math.max(most, tip.sequence), 0)

/**
 * What either covers, as well as it can be told without the document: of two single tips the higher sequence, of
 * forked incarnations all tips of both. Only for estimates of what is on its way.
 */
export function joinTips(a: VersionVector, b: VersionVector): VersionVector {
  if (b.length === 0 || a === b) return a
  if (a.length === 0) return b
  return b.length <= FEW && a.length > FEW ? joinFew(a, b) : joinMany(a, b)
}

/** Entries of `after` that are not in `before`. */
export function tipsBeyond(before: VersionVector, after: VersionVector): Dot[] {
  let at = 0
  return after.filter((tip) => {
    while (at < before.length && before[at] !== tip && compareDots(before[at]!, tip) < 0) at++
    return before[at] !== tip && before[at]?.hash !== tip.hash
  })
}

export const isSameVector = (a: VersionVector, b: VersionVector): boolean =>
  a === b || (a.length === b.length && a.every((dot, at) => dot === b[at] || isSameDot(dot, b[at]!)))

/** What a write brings: looked up in the longer one. */
const FEW = 8

function joinFew(a: VersionVector, b: VersionVector): VersionVector {
  const joined = [...a]
  for (let at = 0; at < b.length; ) {
    const { incarnation } = b[at]!
    const [ofA, ofB] = [entriesOf(joined, incarnation), entriesOf(b, incarnation)]
    joined.splice(firstOf(joined, incarnation), ofA.length, ...(ofA.length === 0 ? ofB : joinOfOne(ofA, ofB)))
    at += ofB.length
  }
  return joined
}

function joinMany(a: VersionVector, b: VersionVector): VersionVector {
  const joined: Dot[] = []
  for (let i = 0, j = 0; i < a.length || j < b.length; ) {
    if (a[i] === b[j]) {
      joined.push(a[i]!)
      i++
      j++
      continue
    }
    const incarnation =
      j === b.length || (i < a.length && a[i]!.incarnation < b[j]!.incarnation) ? a[i]!.incarnation : b[j]!.incarnation
    const [ofA, ofB] = [entriesOf(a, incarnation), entriesOf(b, incarnation)]
    // Of a fork the first entries may have been the same.
    while (joined.at(-1)?.incarnation === incarnation) joined.pop()
    joined.push(...(ofA.length === 0 ? ofB : ofB.length === 0 ? ofA : joinOfOne(ofA, ofB)))
    i = firstOf(a, incarnation) + ofA.length
    j = firstOf(b, incarnation) + ofB.length
  }
  return joined.length === a.length && joined.every((tip, at) => tip === a[at]) ? a : joined
}

/** The same with the objects of `known` where they say the same: such vectors are compared without looking into them. */
export function sharing(vector: VersionVector, known: VersionVector): VersionVector {
  let from = 0
  let same = 0
  const shared = vector.map((tip) => {
    for (; from < known.length; from++) {
      const other = known[from]!
      if (other === tip || (other.hash === tip.hash && other.incarnation === tip.incarnation)) {
        if (other !== tip && other.sequence !== tip.sequence) return tip
        same += 1
        from += 1
        return other
      }
      if (compareDots(other, tip) > 0) return tip
    }
    return tip
  })
  return same === known.length && same === vector.length ? known : shared
}

function joinOfOne(ofA: Clock, ofB: Clock): Clock {
  const [one, other] = [ofA[0]!, ofB[0]!]
  // The later one's object: what a peer says has those of our own vector.
  if (ofA.length === 1 && ofB.length === 1 && isSameDot(one, other)) return ofB
  if (ofA.length === 1 && ofB.length === 1 && one.sequence !== other.sequence)
    return one.sequence > other.sequence ? ofA : ofB
  const hashes = new Set(ofA.map((tip) => tip.hash))
  return [...ofA, ...ofB.filter((tip) => !hashes.has(tip.hash))].sort(compareDots)
}
