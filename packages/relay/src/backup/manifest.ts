import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Failure } from '@sealmesh/protocol/errors'
import { z } from 'zod'

/** What a backup says of itself. It is written last: a folder without one is no backup. */
const Manifest = z.object({
  format: z.literal(1),
  /** Of the relay that made it. */
  version: z.string(),
  madeMs: z.number().int().nonnegative(),
  rows: z.number().int().nonnegative(),
  /** SHA-256 over all rows, as `store/rows.ts` streams them. */
  sha256: z.string().regex(/^[0-9a-f]{64}$/),
  /** Whether the relay's key, and its certificate where it has one of its own, are in it. */
  withKey: z.boolean(),
})
export type Manifest = z.infer<typeof Manifest>

export const manifestPath = (folder: string): string => join(folder, 'backup.json')

/** Throws FILE_NOT_FOUND for a folder that is no backup. */
export async function loadManifest(folder: string): Promise<Manifest> {
  const text = await readFile(manifestPath(folder), 'utf8').catch(() => undefined)
  let json: unknown
  try {
    json = text === undefined ? undefined : JSON.parse(text)
  } catch {
    json = undefined
  }
  const manifest = Manifest.safeParse(json)
  if (manifest.success) return manifest.data
  throw new Failure('FILE_NOT_FOUND', `There is no backup of a relay in ${folder}.`, {
    next: 'name the folder that sealmesh-relay backup has made',
  })
}
