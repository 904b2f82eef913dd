import * as Y from 'yjs'
import type { BaseTip } from './base.ts'
import { clientIdOf } from './block-codec.ts'
import { areSameTexts, isInOrder } from './text-order.ts'
import type { TextRun } from './text-run.ts'
import { sliceText } from './text-slice.ts'

/**
 * Whether these runs, all of one base, make texts by themselves: nothing is missing, nothing stands twice, and nothing
 * stands where it could not have been typed, so that they are the same texts when they are cut into runs anew.
 */
export function runsFit(runs: readonly TextRun[]): boolean {
  const owners = new Map<number, string>()
  for (const { end } of runs) {
    const { incarnation } = end.header
    const client = clientIdOf(incarnation)
    if ((owners.get(client) ?? incarnation) !== incarnation) return false
    owners.set(client, incarnation)
  }
  const scratch = new Y.Doc()
  const fits = placeRuns(scratch, runs) && isInOrder(scratch) && staysWhenCut(scratch)
  scratch.destroy()
  return fits
}

function staysWhenCut(yDoc: Y.Doc): boolean {
  const updates: Uint8Array[] = []
  for (const client of yDoc.store.clients.keys()) {
    const update = sliceText(yDoc, client, 0, Y.getState(yDoc.store, client), Number.POSITIVE_INFINITY)
    if (update === undefined) return false
    updates.push(update)
  }
  return makeTexts(updates, yDoc)
}

/** Whether these updates, a whole base's, make just the texts that are there. */
export function makeTexts(updates: readonly Uint8Array[], yDoc: Y.Doc): boolean {
  const scratch = new Y.Doc()
  try {
    if (updates.length > 0) Y.applyUpdate(scratch, Y.mergeUpdates([...updates]))
    const { pendingStructs, pendingDs } = scratch.store
    return pendingStructs === null && pendingDs === null && areSameTexts(scratch, yDoc)
  } catch {
    return false
  } finally {
    scratch.destroy()
  }
}

/** Whether each incarnation's runs, in chain order, end where its base says that its texts do. */
export function reachTips(runs: readonly TextRun[], tips: readonly BaseTip[]): boolean {
  const ends = new Map(runs.map(({ end, to }) => [end.header.incarnation, to]))
  return tips.every(({ dot, textEnd }) => (ends.get(dot.incarnation) ?? 0) === textEnd)
}

/** In one update, for runs build on each other. When it is false the Y.Doc is good for nothing. */
export function placeRuns(yDoc: Y.Doc, runs: readonly TextRun[]): boolean {
  if (runs.length === 0) return true
  try {
    Y.applyUpdate(yDoc, Y.mergeUpdates(runs.map(({ update }) => update)))
  } catch {
    return false // Yjs and lib0 throw many things at updates that make no sense.
  }
  const { store } = yDoc
  if (store.pendingStructs !== null || store.pendingDs !== null) return false
  const ends = new Map<number, number>()
  for (const { end, to } of runs) {
    const client = clientIdOf(end.header.incarnation)
    ends.set(client, Math.max(to, ends.get(client) ?? 0))
  }
  return [...ends].every(([client, to]) => Y.getState(store, client) === to)
}

/** Of `runs` those that build on `out`, directly or not. */
export function dependantsOf(out: readonly TextRun[], runs: readonly TextRun[]): TextRun[] {
  if (out.length === 0) return []
  const gone = new Map<number, number>()
  const lose = ({ end, from }: TextRun): void => {
    const client = clientIdOf(end.header.incarnation)
    gone.set(client, Math.min(from, gone.get(client) ?? from))
  }
  for (const run of out) lose(run)
  const isGone = (id: Y.ID | null): boolean =>
    id !== null && (gone.get(id.client) ?? Number.POSITIVE_INFINITY) <= id.clock
  let left = runs.map((run) => ({ run, structs: Y.decodeUpdate(run.update).structs }))
  const found: TextRun[] = []
  for (let before = -1; before < found.length; ) {
    before = found.length
    left = left.filter(({ run, structs }) => {
      // One that only deletes has no struct that says whose clocks it goes on from.
      const goesOn = run.to > (gone.get(clientIdOf(run.end.header.incarnation)) ?? Number.POSITIVE_INFINITY)
      const stays =
        !goesOn &&
        !structs.some((struct) => struct instanceof Y.Item && (isGone(struct.origin) || isGone(struct.rightOrigin)))
      if (!stays) {
        found.push(run)
        lose(run)
      }
      return stays
    })
  }
  return found
}
