import type { TextEdit } from '../text/text-edits.ts'
import type { Doc, Text } from 'yjs'
import { EDIT_BYTES_TARGET } from './core/limits.ts'
import { textName } from './core/entry.ts'
import { applyEdits } from '../text/text-edits.ts'
import { carryOver, type Stage, stagesOf } from './core/three-way.ts'
import type { BaseChange } from './ports.ts'
import type { MirrorState } from './state.ts'

/** Edits of one text, made to `base`; the document may have moved on. */
export interface TextPush {
  readonly id: string
  readonly base: string
  readonly edits: readonly TextEdit[]
  /** What disk and document have in common when the document has taken so much of it; undefined: as before. */
  readonly baseWith?: (text: string) => BaseChange
}

interface Step extends Stage {
  readonly push: TextPush
}

/** Blocks in flight: enough to share fsyncs, and few enough to hold in memory. */
const IN_FLIGHT = 16

/**
 * Writes edits into texts: many small ones share a block, a large one takes several. What both have in common from then
 * on goes into the same batch: after a crash between the two the edit would be taken for one that is yet to be made, of
 * a file that may be another one by then.
 */
export async function pushTexts(state: MirrorState, pushes: readonly TextPush[]): Promise<void> {
  const { document } = state.deps
  let flight: Promise<void>[] = []
  const failures: unknown[] = []
  for (const group of groupsOf(pushes)) {
    const changes = new Map<string, BaseChange>()
    for (const { push, base, edits } of group) {
      const change = push.baseWith?.(applyEdits(base, edits))
      if (change !== undefined) changes.set(change.key, change)
    }
    const flown = document.edit(
      (doc) => {
        for (const step of group) write(doc, step)
      },
      [...changes.values()],
    )
    // In the order of the calls: a document writes one after another, and after a failure nothing more is asked for.
    flight.push(
      flown.then(
        () => {
          if (failures.length === 0) for (const change of changes.values()) state.landed(change)
        },
        (error: unknown) => void failures.push(error),
      ),
    )
    if (flight.length < IN_FLIGHT) continue
    await Promise.all(flight)
    flight = []
    if (failures.length > 0) break
  }
  await Promise.all(flight)
  if (failures.length > 0) throw failures[0]
}

function* groupsOf(pushes: readonly TextPush[]): Generator<Step[]> {
  let group: Step[] = []
  let bytes = 0
  for (const push of pushes) {
    for (const stage of stagesOf(push.base, push.edits)) {
      if (group.length > 0 && bytes + stage.bytes > EDIT_BYTES_TARGET) {
        yield group
        group = []
        bytes = 0
      }
      group.push({ ...stage, push })
      bytes += stage.bytes
    }
  }
  if (group.length > 0) yield group
}

function write(doc: Doc, { push, base, edits }: Step): void {
  const text = doc.getText(textName(push.id))
  dropEmbeds(text)
  // From the end, so that no edit moves the place of one that is still to come.
  for (const { at, remove, insert } of carryOver(base, edits, text.toString()).reverse()) {
    if (remove > 0) text.delete(at, remove)
    if (insert !== '') text.insert(at, insert)
  }
}

/** Another program may have put something into the text that is no character; positions would count it. */
function dropEmbeds(text: Text): void {
  if (text.length === text.toString().length) return
  let at = 0
  for (const { insert } of text.toDelta() as { insert: unknown }[]) {
    if (typeof insert === 'string') at += insert.length
    else text.delete(at, 1)
  }
}
