import type { Document } from '@sealmesh/protocol/crdt/document'
import { DELETE_SETTLE_MS, DELETE_SETTLE_MS_MAX } from './core/limits.ts'
import { parentOf } from './core/names.ts'
import type { TreeFile } from './core/tree.ts'
import { hashIn, type Plan, setEntry } from './plan.ts'
import type { BaseEntry } from './ports.ts'
import { isIgnored } from './refresh.ts'
import type { MirrorState } from './state.ts'

/** Deletions by a person or program here. So many at once that it may be an accident are held. */
export function planDeletions(state: MirrorState, document: Document, plan: Plan, keys: ReadonlySet<string>): void {
  const deleted: { key: string; base: BaseEntry; file: TreeFile }[] = []
  for (const key of new Set([...keys, ...state.heldOut])) {
    const base = state.base.get(key)
    if (base === undefined || state.disk.has(key)) {
      state.heldOut.delete(key)
      continue
    }
    const file = state.tree.files.get(base.id)
    // Renamed alike on another machine: it is not gone, it is where they say.
    const elsewhere = file !== undefined && file.shown !== key && state.disk.has(file.shown)
    if (file !== undefined && !elsewhere && hashIn(state, document, file) === base.hash)
      deleted.push({ key, base, file })
    else {
      // Deleted there too, or changed there meanwhile: then it comes back.
      state.dropBase(key)
      state.missing.delete(key)
      state.heldOut.delete(key)
    }
  }
  const files = state.base.size
  // Nothing at all is left: as when a disk is not mounted.
  const vanished = state.disk.size === 0 && deleted.length > 0
  const now = state.deps.now()
  if (!state.confirmed && (vanished || state.massOut.holds(deleted.length, files, now))) {
    for (const { key } of deleted) state.heldOut.add(key)
    return
  }
  state.massOut.did(deleted.length, files, now)
  for (const { key, base, file } of deleted) {
    plan.entries.push(setEntry(base.id, { ...file.entry, gone: base.hash }, file.writes))
    plan.after.push(() => {
      state.dropBase(key)
      state.missing.delete(key)
      state.heldOut.delete(key)
    })
  }
}

/**
 * Names that have been gone from the disk for long enough. `rm -r` takes its time: while more vanish, none of them is
 * acted on, so that they count together.
 */
export function overdue(state: MirrorState): string[] {
  const now = state.deps.now()
  for (const key of state.dirty) {
    if (state.disk.has(key) || !state.base.has(key)) continue
    if (isIgnored(state, key)) {
      // Excluded by now: it stays where it is, here and elsewhere, and is mirrored no longer.
      state.dropBase(key)
      state.missing.delete(key)
    } else if (linkAbove(state, key) !== undefined) {
      // What lies behind a link is not looked at, so it is not known to be deleted either.
      state.waiting.add(key)
    } else if (!state.missing.has(key)) state.missing.set(key, now)
  }
  const gone = [...state.missing].filter(([key]) => !state.heldOut.has(key))
  let [first, last] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]
  for (const [, since] of gone) [first, last] = [Math.min(first, since), Math.max(last, since)]
  const settledAtMs = Math.min(last + DELETE_SETTLE_MS, first + DELETE_SETTLE_MS_MAX)
  if (now >= settledAtMs) return gone.map(([key]) => key)
  for (const [key] of gone) {
    state.waiting.add(key)
    state.again(key, settledAtMs)
  }
  return []
}

function linkAbove(state: MirrorState, key: string): string | undefined {
  for (let parent = parentOf(key); parent !== ''; parent = parentOf(parent))
    if (state.disk.get(parent)?.blocked !== undefined) return parent
  return undefined
}
