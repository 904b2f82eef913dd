import { mkdir, readdir, readFile, rename, rm, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { Level } from 'level'
import { PRIVATE_DIRECTORY_MODE, syncDirectory } from '../../keys/durable-file.ts'
import { valueOf } from '../check.ts'
import { TABLES } from '../keys.ts'
import { readLog } from './log-file.ts'
import { readTable } from './table-file.ts'
import { type RawEntry, readBatch } from './write-batch.ts'

export interface Rebuilt {
  /** Where the files are now, as they were found. */
  readonly keptIn: string
  /** Entries whose check says that they are whole. */
  readonly whole: number
  /** Entries that are damage: written back as they are, so that the scrub names them. */
  readonly ruined: number
  /** Places in files that did not match LevelDB's own checksum. */
  readonly places: number
}

/** Copies of a damaged database that stay; each is as large as the database. */
const KEPT_MAX = 3
const BATCH_BYTES = 1_048_576
const NAME = /^(\d+)\.(ldb|sst|log)$/

/**
 * A new database from all that is left of an old one's files, read by ourselves: every value carries a check over its
 * key and itself, so what matches is what was written, wherever it is found. LevelDB's own repair keeps flipped bits,
 * drops a whole record for one of them, and a key that has changed may hide others behind it. The old files are moved
 * aside and never changed. Nobody may have the database open.
 */
export async function rebuildDatabase(directory: string, nowMs: number): Promise<Rebuilt> {
  const fresh = `${directory}.new`
  await rm(fresh, { recursive: true, force: true })
  await mkdir(fresh, { mode: PRIVATE_DIRECTORY_MODE })
  const files = (await readdir(directory).catch(() => [])).filter((name) => NAME.test(name))
  files.sort((a, b) => Number.parseInt(a, 10) - Number.parseInt(b, 10))
  // First what decides between several versions: of blocks, which never change, only the deletions.
  const newest = new Map<string, { sequence: number; whole: boolean }>()
  const present = new Set<string>()
  let places = 0
  const read = async (name: string, count: boolean): Promise<RawEntry[]> => {
    const file = await entriesOf(join(directory, name))
    if (count) places += file.places
    return file.entries
  }
  for (const name of files) {
    for (const { key, value, sequence } of await read(name, true)) {
      const id = Buffer.from(key).toString('latin1')
      const whole = value === undefined || valueOf(key, value) !== undefined
      if (isContent(key) && value !== undefined) {
        if (!whole) continue
        present.add(id)
        const deleted = newest.get(id)
        if (deleted !== undefined && deleted.sequence < sequence) newest.delete(id)
        continue
      }
      const known = newest.get(id)
      if (known === undefined || (whole && !known.whole) || (whole === known.whole && sequence >= known.sequence))
        newest.set(id, { sequence, whole })
    }
  }
  const target = new Level<Uint8Array, Uint8Array>(fresh, { keyEncoding: 'view', valueEncoding: 'view' })
  await target.open()
  let whole = 0
  let ruined = 0
  try {
    const written = new Set<string>()
    for (const name of files) {
      let batch = target.batch()
      let bytes = 0
      for (const { key, value, sequence } of await read(name, false)) {
        if (value === undefined) continue
        const id = Buffer.from(key).toString('latin1')
        const isWhole = valueOf(key, value) !== undefined
        const best = newest.get(id)
        if (isContent(key)) {
          if (best !== undefined && best.sequence >= sequence) continue // Deleted later.
          if (!isWhole && present.has(id)) continue
        } else if (best === undefined || best.sequence !== sequence || best.whole !== isWhole) continue
        if (written.has(id)) continue
        written.add(id)
        if (isWhole) whole += 1
        else ruined += 1
        batch.put(key, value)
        bytes += key.length + value.length
        if (bytes < BATCH_BYTES) continue
        await batch.write()
        batch = target.batch()
        bytes = 0
      }
      await batch.write()
    }
    await target.batch().del(Uint8Array.of(0)).write({ sync: true })
  } finally {
    await target.close()
  }
  const keptIn = `${directory}.damaged-${nowMs}`
  await rename(directory, keptIn)
  await rename(fresh, directory)
  await syncDirectory(directory)
  await syncDirectory(dirname(directory))
  await forgetOldest(directory)
  return { keptIn, whole, ruined, places }
}

/** A crash between the two renames leaves no database, and the new one whole beside it: it is taken. */
export async function finishRebuild(directory: string): Promise<void> {
  const exists = (path: string) =>
    stat(path).then(
      () => true,
      () => false,
    )
  if ((await exists(directory)) && (await readdir(directory)).length > 0) return
  const kept = (await readdir(dirname(directory)).catch(() => [])).some((name) =>
    join(dirname(directory), name).startsWith(`${directory}.damaged-`),
  )
  if (!kept || !(await exists(join(`${directory}.new`, 'CURRENT')))) return
  await rm(directory, { recursive: true, force: true })
  await rename(`${directory}.new`, directory)
  await syncDirectory(dirname(directory))
}

/** Blocks and records: named by their own hashes, so that two versions of one cannot differ in what they say. */
const isContent = (key: Uint8Array): boolean => key[0] === TABLES.block || key[0] === TABLES.record

async function entriesOf(path: string): Promise<{ entries: RawEntry[]; places: number }> {
  let bytes: Uint8Array
  try {
    bytes = await readFile(path)
  } catch {
    return { entries: [], places: 1 } // A sector that the disk does not give: the rest of the files is still good.
  }
  if (path.endsWith('.log')) {
    const { records, damagedAt } = readLog(bytes)
    return { entries: records.flatMap(({ payload }) => readBatch(payload)), places: damagedAt.length }
  }
  const table = readTable(bytes)
  return { entries: [...table.entries()], places: table.damaged.length }
}

async function forgetOldest(directory: string): Promise<void> {
  const parent = dirname(directory)
  const kept = (await readdir(parent))
    .map((name) => join(parent, name))
    .filter((path) => path.startsWith(`${directory}.damaged-`))
    .toSorted()
  for (const path of kept.slice(0, Math.max(0, kept.length - KEPT_MAX)))
    await rm(path, { recursive: true, force: true })
}
