import { createHash } from 'node:crypto'
import { z } from 'zod'

/**
 * How an edit is taken back so that a file that nobody has changed since is what it was, byte for byte. No copy of the
 * file is kept: it may hold another program's secrets.
 */
export const Undo = z.object({
  /** Null: there was no file. */
  before: z.string().nullable(),
  /** SHA-256 of the file, before and after, in hexadecimal. */
  after: z.string(),
  /** Where the edit begins, and what stood there before and after, in UTF-16 units. */
  at: z.number().int().min(0),
  removed: z.string(),
  inserted: z.string(),
})
export type Undo = z.infer<typeof Undo>

export function undoOf(before: string | null, after: string): Undo {
  const from = before ?? ''
  const most = Math.min(from.length, after.length)
  let at = 0
  while (at < most && from[at] === after[at]) at += 1
  let tail = 0
  while (tail < most - at && from[from.length - 1 - tail] === after[after.length - 1 - tail]) tail += 1
  return {
    before: before === null ? null : hashOf(before),
    after: hashOf(after),
    at,
    removed: from.slice(at, from.length - tail),
    inserted: after.slice(at, after.length - tail),
  }
}

/** `changed`: somebody has edited the file since. `gone`: there was none, so there shall be none. */
export function undone(now: string, undo: Undo): { readonly text: string } | 'gone' | 'changed' {
  if (hashOf(now) !== undo.after) return 'changed'
  if (undo.before === null) return 'gone'
  const text = now.slice(0, undo.at) + undo.removed + now.slice(undo.at + undo.inserted.length)
  return hashOf(text) === undo.before ? { text } : 'changed'
}

const hashOf = (text: string): string => createHash('sha256').update(text).digest('hex')
