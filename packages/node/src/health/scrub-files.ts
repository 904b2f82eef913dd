import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { readLog } from '../store/level/log-file.ts'
import { readManifest } from '../store/level/manifest.ts'
import { readTable } from '../store/level/table-file.ts'

export interface ScrubbedFile {
  readonly name: string
  readonly bytes: number
  /** Places that do not match LevelDB's checksums; a file that cannot be read is one. */
  readonly places: number
}

/**
 * Every file of a database that counts, against LevelDB's own checksums: they cover every byte, while LevelDB never
 * looks at them when it reads. The database may be open: tables never change, and the logs only grow. In the order of
 * their names, from the one behind `after` on.
 */
export async function* scrubFiles(directory: string, after = ''): AsyncGenerator<ScrubbedFile> {
  const live = await liveTables(directory)
  for (const name of (await readdir(directory)).toSorted()) {
    if (name <= after) continue
    const number = Number.parseInt(name, 10)
    const counts = name.endsWith('.log') || name.startsWith('MANIFEST') || (name.endsWith('.ldb') && live.has(number))
    if (!counts) continue
    let file = await scrubFile(join(directory, name))
    // Compaction may have ended it, or begun it, meanwhile: damage is what is there twice and still counts.
    if (file.places > 0) {
      const still = name.endsWith('.ldb') ? await liveTables(directory) : undefined
      file = await scrubFile(join(directory, name))
      if (still !== undefined && !still.has(number)) file = { ...file, places: 0 }
    }
    yield { name, ...file }
  }
}

async function scrubFile(path: string): Promise<{ bytes: number; places: number }> {
  let bytes: Uint8Array
  try {
    bytes = await readFile(path)
  } catch (error) {
    const gone = error instanceof Error && 'code' in error && error.code === 'ENOENT'
    return { bytes: 0, places: gone && !path.endsWith('.ldb') ? 0 : 1 }
  }
  if (path.endsWith('.ldb')) return { bytes: bytes.length, places: readTable(bytes).damaged.length }
  return { bytes: bytes.length, places: readLog(bytes).damagedAt.length }
}

async function liveTables(directory: string): Promise<ReadonlySet<number>> {
  try {
    const current = (await readFile(join(directory, 'CURRENT'), 'latin1')).trim()
    return new Set(readManifest(await readFile(join(directory, current))).tables.keys())
  } catch {
    return new Set() // A damaged manifest is a finding of its own.
  }
}
