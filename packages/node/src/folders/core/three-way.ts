import { applyEdits, editsBetween, type TextEdit } from '../../text/text-edits.ts'
import { EDIT_BYTES_TARGET } from './limits.ts'

/**
 * The edits that somebody made to `base`, as edits of `now`, which others have made of `base` meanwhile. Everything
 * that either side inserted is in the result, everything that either deleted is not; the same change made by both is
 * made once, so that a push that was cut off after it was stored is not made twice.
 */
export function carryOver(base: string, edits: readonly TextEdit[], now: string): TextEdit[] {
  if (base === now) return [...edits]
  const theirs = editsBetween(base, now)
  const same = new Set(theirs.map(nameOf))
  const carried: TextEdit[] = []
  let [next, shift] = [0, 0]
  for (const mine of edits) {
    if (same.has(nameOf(mine))) continue
    while (next < theirs.length && endOf(theirs[next]!) < mine.at) {
      shift += theirs[next]!.insert.length - theirs[next]!.remove
      next += 1
    }
    carryOne(mine, theirs, next, shift, carried)
  }
  return mergeTouching(carried)
}

const nameOf = ({ at, remove, insert }: TextEdit): string => `${at} ${remove} ${insert}`
const endOf = ({ at, remove }: TextEdit): number => at + remove

/** What of `mine` is still there to remove, in the pieces that others left, and the insertion once. */
function carryOne(
  mine: TextEdit,
  theirs: readonly TextEdit[],
  from: number,
  shiftBefore: number,
  out: TextEdit[],
): void {
  const end = endOf(mine)
  let [at, shift, pending] = [mine.at, shiftBefore, mine.insert]
  const push = (place: number, remove: number): void => {
    if (remove === 0 && pending === '') return
    out.push({ at: place, remove, insert: pending })
    pending = ''
  }
  for (let n = from; n < theirs.length && theirs[n]!.at <= end; n++) {
    const their = theirs[n]!
    // Insertions at one place: theirs first, so that `now` is not torn apart.
    if (their.at > at) push(at + shift, Math.min(their.at, end) - at)
    at = Math.max(at, Math.min(endOf(their), end))
    if (endOf(their) > end) {
      // They replaced what lies around; mine goes before their words, or after when their words begin before.
      if (their.at < mine.at || mine.remove === 0) push(their.at + shift + their.insert.length, 0)
      else push(their.at + shift, 0)
      return
    }
    shift += their.insert.length - their.remove
  }
  push(at + shift, end - at)
}

/** Ascending and apart, as edits are. */
function mergeTouching(edits: TextEdit[]): TextEdit[] {
  const merged: TextEdit[] = []
  for (const edit of edits.toSorted((a, b) => a.at - b.at)) {
    const last = merged.at(-1)
    if (last !== undefined && endOf(last) >= edit.at) {
      const end = Math.max(endOf(last), endOf(edit))
      merged[merged.length - 1] = { at: last.at, remove: end - last.at, insert: last.insert + edit.insert }
    } else merged.push(edit)
  }
  return merged
}

export interface Stage {
  /** What the text was before these edits. */
  readonly base: string
  readonly edits: readonly TextEdit[]
  /** What a Yjs update of them takes, about. */
  readonly bytes: number
}

/** A deleted character may take a range of its own in an update. */
const REMOVED_BYTES = 5
const EDIT_BYTES = 32

/** One large edit as several, each small enough for a block, each with the text that it starts from. */
export function stagesOf(base: string, edits: readonly TextEdit[]): Stage[] {
  const stages: Stage[] = []
  let [now, shift]: [string, number] = [base, 0]
  let group: TextEdit[] = []
  let bytes = 0
  const flush = (): void => {
    if (group.length === 0) return
    stages.push({ base: now, edits: group, bytes })
    for (const { insert, remove } of group) shift += insert.length - remove
    now = applyEdits(now, group)
    group = []
    bytes = 0
  }
  for (const edit of edits) {
    for (const piece of piecesOf(edit)) {
      const cost = costOf(piece)
      if (bytes + cost > EDIT_BYTES_TARGET) flush()
      group.push({ ...piece, at: piece.at + shift })
      bytes += cost
    }
  }
  flush()
  return stages
}

const encoder = new TextEncoder()
const costOf = ({ remove, insert }: TextEdit): number =>
  EDIT_BYTES + remove * REMOVED_BYTES + encoder.encode(insert).length

/** Characters of one piece: at three bytes each within a stage. */
const PIECE_CHARACTERS = 16_384

/** Pieces of one edit, in the positions of the text before it; those that only insert follow what was inserted. */
function* piecesOf(edit: TextEdit): Generator<TextEdit> {
  if (edit.remove <= PIECE_CHARACTERS && edit.insert.length <= PIECE_CHARACTERS) return yield edit
  let { at, remove, insert } = edit
  for (;;) {
    const taken = Math.min(remove, PIECE_CHARACTERS)
    let cut = Math.min(insert.length, PIECE_CHARACTERS)
    const code = insert.charCodeAt(cut - 1)
    // Never between the two halves of one character.
    if (cut < insert.length && code >= 0xd800 && code < 0xdc00) cut -= 1
    if (taken === 0 && cut === 0) return
    yield { at, remove: taken, insert: insert.slice(0, cut) }
    at += taken
    remove -= taken
    insert = insert.slice(cut)
  }
}
