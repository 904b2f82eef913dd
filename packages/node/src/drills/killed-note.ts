import { readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { Agent, Count, DrillId, Node, RecoveryPoint, Signed } from '@sealmesh/protocol/drills/facts'
import { z } from 'zod'
import { errnoOf } from '../keys/disk-failure.ts'
import { writeDurably } from '../keys/durable-file.ts'

/** Longer than a standby waits for a holder to come back. */
const KEPT_MS = 2 * 60 * 60_000

const Note = z.strictObject({
  drill: DrillId,
  standby: Node,
  agent: Agent,
  point: RecoveryPoint,
  signature: Signed,
  lateBefore: Count,
  atMs: Count,
  /** For so long the machine counts as dead. */
  awayMs: Count,
})
/** What a holder must know of a drill when it comes back from being killed in it. */
export type KilledNote = z.infer<typeof Note>

const fileIn = (directory: string): string => join(directory, 'killed')

/** Durable when it resolves. */
export const writeKilledNote = (directory: string, note: KilledNote): Promise<void> =>
  writeDurably(fileIn(directory), new TextEncoder().encode(JSON.stringify(Note.parse(note))))

export const removeKilledNote = (directory: string): Promise<void> => rm(fileIn(directory), { force: true })

/**
 * A holder that its service manager starts at once would have its lease back before anybody noticed, and nothing would
 * be rehearsed: it comes up when a standby has had its time.
 */
export async function stayAway(
  directory: string,
  now: () => number,
  logger: { info(about: object, words: string): void },
): Promise<void> {
  const note = await readKilledNote(directory, now())
  if (note === undefined) return
  const waitMs = Math.min(note.awayMs, note.atMs + note.awayMs - now())
  if (waitMs <= 0) return
  logger.info({ waitMs }, 'this node was killed in a drill, and comes up when a standby has had its time')
  await pause(waitMs)
}

/** Undefined where there is none, or one that is of no use any more. */
export async function readKilledNote(directory: string, nowMs: number): Promise<KilledNote | undefined> {
  try {
    const note = Note.safeParse(JSON.parse(await readFile(fileIn(directory), 'utf8')))
    if (note.success && nowMs - note.data.atMs < KEPT_MS) return note.data
  } catch (error) {
    if (!(error instanceof SyntaxError) && errnoOf(error) !== 'ENOENT') throw error
    if (errnoOf(error) === 'ENOENT') return undefined
  }
  await removeKilledNote(directory)
  return undefined
}
