import * as fs from 'node:fs'
import { Level } from 'level'

/**
 * A child process: puts numbered entries into a LevelDB as fast as it can, and prints each number once its put has
 * resolved, which is when a caller would have been told that it is safe.
 *
 *   node level-writer.js DIRECTORY sync|nosync FIRST [syncdir]
 */
const [directory = '', mode, first = '0', syncdir] = process.argv.slice(2)
const db = new Level<string, string>(directory)
await db.open()
if (syncdir !== undefined) {
  // LevelDB renames CURRENT last, and syncs its directory before that only.
  const handle = fs.openSync(directory, 'r')
  fs.fsyncSync(handle)
  fs.closeSync(handle)
}
// As any program that stores its format's version first, and synced: it makes LevelDB's own new files durable.
// Without it a cut leaves CURRENT naming an empty manifest, and nothing opens at all.
await db.put('version', '1', { sync: true })
process.stdout.write('ready\n')
const IN_FLIGHT = 8

async function lane(next: () => number): Promise<never> {
  for (;;) {
    const number = next()
    await db.put(key(number), `${number}:${'v'.repeat(100)}`, { sync: mode === 'sync' })
    process.stdout.write(`${number}\n`)
  }
}

const key = (number: number): string => String(number).padStart(10, '0')
let at = Number(first)
await Promise.all(Array.from({ length: IN_FLIGHT }, async () => await lane(() => at++)))
