import { open, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { Level } from 'level'
import { syncDirectory } from '../data/data-directory.ts'
import { openFailure } from '../store/disk-failure.ts'
import type { Row } from '../store/rows.ts'
import type { Database } from '../store/store.ts'

/** Opens a database that is there, or makes a new one. Throws HOME_IN_USE, STORE_DAMAGED, DISK_FULL or DISK_FAILED. */
export async function openDatabase(directory: string, isNew: boolean): Promise<Database> {
  const options = { keyEncoding: 'buffer', valueEncoding: 'buffer', compression: false } as const
  const db: Database = new Level(directory, { ...options, createIfMissing: isNew, errorIfExists: isNew })
  try {
    await db.open()
    return db
  } catch (error) {
    throw openFailure(error)
  }
}

/** Writes rows into a new database, and makes it durable as a whole when the last one is there. */
export async function writeRows(
  directory: string,
  groups: AsyncGenerator<readonly Row[], string>,
  last: readonly Row[] = [],
): Promise<{ rows: number; sha256: string }> {
  const db = await openDatabase(directory, true)
  let rows = 0
  let sha256: string
  try {
    for (;;) {
      const { value, done } = await groups.next()
      if (done === true) {
        sha256 = value
        break
      }
      rows += value.length
      await put(db, value)
    }
    if (last.length > 0) await put(db, last)
  } finally {
    await db.close()
  }
  // Nothing of it was synced on the way.
  for (const name of await readdir(directory)) {
    const file = await open(join(directory, name), 'r+')
    try {
      await file.sync()
    } finally {
      await file.close()
    }
  }
  await syncDirectory(directory)
  return { rows, sha256 }
}

async function put(db: Database, rows: readonly Row[]): Promise<void> {
  const batch = db.batch()
  for (const [key, value] of rows) batch.put(key, value)
  await batch.write()
}
