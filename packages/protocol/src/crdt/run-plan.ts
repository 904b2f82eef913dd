import type * as Y from 'yjs'
import { PRUNED_BYTES_MAX, TEXT_RUN_BYTES_TARGET } from '../limits.ts'
import { clientIdOf } from './block-codec.ts'
import type { IncarnationId } from '../ids.ts'
import type { RunDraft, TextRun } from './text-run.ts'
import { sliceText } from './text-slice.ts'

/** Where a text block of an incarnation ends, in Yjs's count. */
export interface TextEnd {
  readonly sequence: number
  readonly clock: number
}

export type RunPlan = Omit<RunDraft, 'end'> & { readonly sequence: number }

/**
 * The runs of one incarnation at a new base: `before` are those of the last base, `since` its text blocks above that,
 * in chain order. `yDoc` holds what lies at and below the new base and no more. Ends with 'too long' where what became
 * of one block does not fit a row. One step for each run, since each costs as much as it has bytes.
 */
export function* planRuns(
  yDoc: Y.Doc,
  incarnation: IncarnationId,
  before: readonly TextRun[],
  since: readonly TextEnd[],
): Generator<RunPlan | 'too long'> {
  const client = clientIdOf(incarnation)
  const last = before.at(-1)
  // Headers within an old run are gone: it may grow at its end, and is never split.
  for (const { from, to, end } of before.slice(0, -1)) {
    const update = sliceText(yDoc, client, from, to, PRUNED_BYTES_MAX)
    yield update === undefined ? 'too long' : { sequence: end.header.sequence, from, to, update }
  }
  const ends = last === undefined ? since : [{ sequence: last.end.header.sequence, clock: last.to }, ...since]
  let from = last?.from ?? 0
  for (let at = 0; at < ends.length; ) {
    const { next, update } = longest(yDoc, client, from, ends, at)
    const { sequence, clock: to } = ends[next - 1]!
    yield update === undefined ? 'too long' : { sequence, from, to, update }
    from = to
    at = next
  }
}

/** As many blocks from `at` on as fit one run, and one at least. */
function longest(
  yDoc: Y.Doc,
  client: number,
  from: number,
  ends: readonly TextEnd[],
  at: number,
): { next: number; update: Uint8Array | undefined } {
  const upTo = (next: number, bytesMax: number) => sliceText(yDoc, client, from, ends[next - 1]!.clock, bytesMax)
  let [fits, update] = [at + 1, upTo(at + 1, PRUNED_BYTES_MAX)]
  let low = at + 2
  for (let high = ends.length, next = high; low <= high; next = Math.ceil((low + high) / 2)) {
    const longer = upTo(next, TEXT_RUN_BYTES_TARGET)
    if (longer === undefined) high = next - 1
    else {
      fits = next
      update = longer
      low = next + 1
    }
  }
  return { next: fits, update }
}
