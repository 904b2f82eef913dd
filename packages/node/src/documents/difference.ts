import type { Change, Document, Entry } from '@sealmesh/protocol/crdt/document'
import type { HybridTime } from '@sealmesh/protocol/crdt/hybrid-time'
import type { NodeId } from '@sealmesh/protocol/ids'

/** What a reader of a document sees: enough to say afterwards what a rebuild changed. */
export interface Seen {
  readonly registers: ReadonlyMap<string, Entry>
  readonly texts: ReadonlyMap<string, string>
}

export function seenOf(document: Document): Seen {
  const registers = new Map<string, Entry>()
  for (const key of document.keys()) {
    const entry = document.read(key)
    if (entry !== undefined) registers.set(key, entry)
  }
  const texts = new Map<string, string>()
  for (const name of document.textNames()) texts.set(name, document.text(name) ?? '')
  return { registers, texts }
}

/** `lastText`: who wrote texts last, since a text that a rebuild changed has no single author. */
export function differenceBetween(
  before: Seen,
  after: Seen,
  document: Document,
  lastText: { author: NodeId; time: HybridTime } | undefined,
): Change[] {
  const changes: Change[] = []
  for (const [key, { author, time, value, dot }] of after.registers) {
    if (before.registers.get(key)?.dot.hash === dot.hash) continue
    if (value !== undefined) changes.push({ type: 'set', key, value, author, time })
  }
  for (const [key, was] of before.registers) {
    if (after.registers.has(key)) continue
    // The tombstone that won, or, where the write itself was set aside, the write that is gone.
    const { author, time } = document.read(key) ?? was
    changes.push({ type: 'delete', key, value: undefined, author, time })
  }
  for (const name of new Set([...before.texts.keys(), ...after.texts.keys()])) {
    if (lastText === undefined || (before.texts.get(name) ?? '') === (after.texts.get(name) ?? '')) continue
    changes.push({ type: 'text', name, ...lastText })
  }
  return changes
}
