import * as Y from 'yjs'
import { isItemId } from '../ids.ts'

/**
 * What a Yjs update asks of the document before it can be applied (03-blocks §8). Checked, because Yjs trusts what it
 * is given: it keeps what it cannot place for ever, and throws halfway through what makes no sense.
 */
export interface TextUpdate {
  /** Its structs take the author's clocks from `start` up to, not including, `end`; equal when it only deletes. */
  readonly start: number
  readonly end: number
  /** For each client the highest clock that has to be there first. */
  readonly needs: ReadonlyMap<number, number>
  readonly inserts: readonly TextInsert[]
  readonly deletes: readonly { readonly client: number; readonly clock: number; readonly length: number }[]
}

/** One run of characters and the two that its author saw it between; null for an end of the text. */
export interface TextInsert {
  readonly clock: number
  readonly length: number
  readonly origin: Y.ID | null
  readonly rightOrigin: Y.ID | null
  /** The text's name where no neighbour says which it is. */
  readonly parent: string | null
}

export type TextFault = 'FOREIGN_CLIENT' | 'BROKEN_TEXT'

/** Clocks count characters; far more than any text has, and exact in sums. */
export const CLOCK_MAX = 2 ** 40

/** Untrusted bytes in. Never throws. `ownStart`: where the author's last text block ended. */
export function readTextUpdate(update: Uint8Array, client: number, ownStart: number): TextUpdate | TextFault {
  const decoded = decodeUpdate(update)
  if (decoded === undefined) return 'BROKEN_TEXT'
  const needs = new Map<number, number>()
  const need = (id: { client: number; clock: number }) => {
    if (id.clock > (needs.get(id.client) ?? -1)) needs.set(id.client, id.clock)
  }
  let end = ownStart
  const inserts: TextInsert[] = []
  for (const struct of decoded.structs) {
    if (struct.id.client !== client) return 'FOREIGN_CLIENT'
    if (!(struct instanceof Y.Item) || !isPlain(struct)) return 'BROKEN_TEXT'
    // A hole would wait for ever, and a clock used twice would mean two things.
    if (struct.id.clock !== end || struct.length <= 0) return 'BROKEN_TEXT'
    for (const id of [struct.origin, struct.rightOrigin]) {
      if (id === null) continue
      if (id.client === client && id.clock >= end) return 'BROKEN_TEXT'
      if (id.client !== client || id.clock < ownStart) need(id)
    }
    const { length, origin, rightOrigin, parent } = struct
    inserts.push({ clock: end, length, origin, rightOrigin, parent: typeof parent === 'string' ? parent : null })
    end += length
    if (end > CLOCK_MAX) return 'BROKEN_TEXT'
  }
  if (end > ownStart && ownStart > 0) need({ client, clock: ownStart - 1 })
  const deletes: { client: number; clock: number; length: number }[] = []
  for (const [of, ranges] of decoded.ds.clients) {
    for (const { clock, len: length } of ranges) {
      if (length <= 0 || clock + length > CLOCK_MAX) return 'BROKEN_TEXT'
      if (of === client && clock + length > end) return 'BROKEN_TEXT'
      if (of !== client || clock < ownStart) need({ client: of, clock: clock + length - 1 })
      deletes.push({ client: of, clock, length })
    }
  }
  // The range may reach from what was there into this update itself.
  const own = needs.get(client)
  if (own !== undefined && own >= ownStart) needs.set(client, ownStart - 1)
  return { start: ownStart, end, needs, inserts, deletes }
}

/** Text, its marks and embeds, at the root of a named text: what a Y.Text makes. */
function isPlain(item: Y.Item): boolean {
  if (item.parentSub !== null) return false
  if (item.parent !== null && (typeof item.parent !== 'string' || !isItemId(item.parent))) return false
  // Yjs reads a parent only where there is no neighbour to take it from.
  if (item.parent === null && item.origin === null && item.rightOrigin === null) return false
  const { content } = item
  return (
    content instanceof Y.ContentString ||
    content instanceof Y.ContentDeleted ||
    content instanceof Y.ContentFormat ||
    content instanceof Y.ContentEmbed
  )
}

function decodeUpdate(update: Uint8Array): ReturnType<typeof Y.decodeUpdate> | undefined {
  try {
    return Y.decodeUpdate(update)
  } catch {
    return undefined // Yjs and lib0 throw many things at malformed bytes.
  }
}
