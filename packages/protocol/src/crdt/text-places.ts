import * as Y from 'yjs'
import type { TextInsert } from './text-update.ts'

/**
 * Whether every insert of an update could have been made where it says (03-blocks §8). Yjs sorts what was inserted at
 * one place by the neighbours that its author named, and trusts that they were neighbours: with others, for example a
 * right one that lies to the left, replicas differ by the order of arrival for ever. Ask before the update is applied,
 * and when all that it builds on is there.
 */
export function areNeighbours(inserts: readonly TextInsert[], client: number, yDoc: Y.Doc): boolean {
  // As the author saw them, where this update has changed them: the next and the one before, by place.
  const next = new Map<string, Place>()
  const before = new Map<string, Place>()
  const begun = new Set<string | null>()
  for (const { clock, length, origin, rightOrigin, parent } of inserts) {
    if (origin === null && rightOrigin === null) {
      // The author saw an empty text: it has put nothing there itself.
      if (begun.has(parent) || hasOwn(parent, client, yDoc)) return false
      begun.add(parent)
    }
    const [after, ahead] = [next.get(keyOf(origin)), before.get(keyOf(rightOrigin))]
    if (after !== undefined || ahead !== undefined) {
      // Places at the two ends of different texts have one key; that the texts are the same is asked below.
      if (after !== undefined && origin !== null && keyOf(after) !== keyOf(rightOrigin)) return false
      if (ahead !== undefined && rightOrigin !== null && keyOf(ahead) !== keyOf(origin)) return false
    } else if (!areNeighboursHere(origin, rightOrigin, client, yDoc.store)) return false
    const [first, last] = [
      { client, clock },
      { client, clock: clock + length - 1 },
    ]
    for (let at = clock; at < clock + length - 1; at++) {
      next.set(keyOf({ client, clock: at }), { client, clock: at + 1 })
      before.set(keyOf({ client, clock: at + 1 }), { client, clock: at })
    }
    if (origin !== null) next.set(keyOf(origin), first)
    if (rightOrigin !== null) before.set(keyOf(rightOrigin), last)
    next.set(keyOf(last), rightOrigin)
    before.set(keyOf(first), origin)
  }
  return true
}

/** A character; null stands for an end of the text. */
type Place = { readonly client: number; readonly clock: number } | null

const keyOf = (place: Place): string => (place === null ? '' : `${place.client}.${place.clock}`)

/**
 * Between them may stand only what the author had not seen: nothing of its own, and nothing that one of the two was
 * put beside.
 */
function areNeighboursHere(origin: Place, rightOrigin: Place, client: number, store: Y.Doc['store']): boolean {
  const left = origin === null ? null : itemAt(store, origin)
  const right = rightOrigin === null ? null : itemAt(store, rightOrigin)
  if (left === undefined || right === undefined) return false
  if (left !== null && right !== null && left.parent !== right.parent) return false
  if (left !== null && left === right) return origin?.clock === (rightOrigin?.clock ?? 0) - 1
  // Within a run a character was put beside the one before it.
  if (right !== null && rightOrigin !== null && rightOrigin.clock !== right.id.clock) return false
  const seen = [right?.origin, left?.rightOrigin]
  const isSeen = (of: number, from: number, to: number) =>
    of === client || seen.some((id) => id != null && id.client === of && id.clock >= from && id.clock < to)
  if (left !== null && origin !== null) {
    // What follows in the same run may have been typed, and joined to it, since.
    const end = left.id.clock + left.length
    if (origin.clock + 1 < end && isSeen(left.id.client, origin.clock + 1, end)) return false
  }
  for (let item = left === null ? firstOf(right) : left.right; item !== right; item = item.right)
    if (item === null || isSeen(item.id.client, item.id.clock, item.id.clock + item.length)) return false
  return true
}

function itemAt(store: Y.Doc['store'], id: NonNullable<Place>): Y.Item | undefined {
  const structs = store.clients.get(id.client)
  const last = structs?.at(-1)
  if (structs === undefined || last === undefined || last.id.clock + last.length <= id.clock) return undefined
  const struct = structs[Y.findIndexSS(structs, id.clock)]
  return struct instanceof Y.Item ? struct : undefined
}

function hasOwn(text: string | null, client: number, { share }: Y.Doc): boolean {
  for (let item = text === null ? null : (share.get(text)?._start ?? null); item !== null; item = item.right)
    if (item.id.client === client) return true
  return false
}

/** Of the text that the item stands in; null when nothing is named. */
function firstOf(item: Y.Item | null): Y.Item | null {
  let first = item
  while (first !== null && first.left !== null) first = first.left
  return first
}
