import { encode } from '../bytes.ts'
import type { Sodium } from '../sodium.ts'
import { TAGS } from '../tags.ts'
import { type Clock, compareDots, entriesOf, mergeByIncarnation, type VersionVector, writeClock } from './clock.ts'

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
  while (at < theirs.length) {
    const { incarnation } = theirs[at]!
    const tips = entriesOf(theirs, incarnation)
    at += tips.length
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
  return mergeByIncarnation(a, b, (ofA, ofB) => {
    const [one, other] = [ofA[0]!, ofB[0]!]
    if (ofA.length === 1 && ofB.length === 1 && one.sequence !== other.sequence)
      return one.sequence > other.sequence ? ofA : ofB
    const hashes = new Set(ofA.map((tip) => tip.hash))
    return [...ofA, ...ofB.filter((tip) => !hashes.has(tip.hash))].sort(compareDots)
  })
}
