import { readdir, readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { readLog } from './log-file.ts'
import { readManifest } from './manifest.ts'

/**
 * Why a database must not be opened as it is: LevelDB makes a new one where CURRENT is gone (and deletes the tables
 * of the old), and opens cleanly without a log that was deleted or behind a record that has changed. Reads the
 * manifest and the logs, some MiB at most; tables are the scrub's.
 */
export async function inspectDatabase(directory: string): Promise<string[]> {
  const names = await readdir(directory).catch(() => [])
  const has = new Set(names)
  const ours = names.filter((name) => /^(\d+\.(ldb|sst|log)|MANIFEST-\d+|CURRENT)$/.test(name))
  if (ours.length === 0) return []
  const current = has.has('CURRENT') ? await readFile(join(directory, 'CURRENT'), 'latin1').catch(() => '') : undefined
  if (current === undefined) return ['CURRENT is missing']
  const manifestName = /^(MANIFEST-\d+)\n$/.exec(current)?.[1]
  if (manifestName === undefined) return ['CURRENT has changed']
  if (!has.has(manifestName)) return ['the manifest is missing']
  const reasons: string[] = []
  const manifest = readManifest(await bytesOf(join(directory, manifestName)))
  if (manifest.damaged) return ['the manifest has changed']
  for (const [number, bytes] of manifest.tables) {
    const name = ['ldb', 'sst'].map((kind) => fileOf(number, kind)).find((each) => has.has(each))
    if (name === undefined) reasons.push('a table is missing')
    else if ((await stat(join(directory, name)).catch(() => undefined))?.size !== bytes)
      reasons.push('a table has another length')
  }
  if (!has.has(fileOf(manifest.logNumber, 'log'))) reasons.push('the log is missing')
  for (const name of names) {
    if (!name.endsWith('.log') || Number.parseInt(name, 10) < manifest.logNumber) continue
    if (readLog(await bytesOf(join(directory, name))).damagedAt.length > 0) reasons.push('the log has changed')
  }
  return [...new Set(reasons)]
}

const bytesOf = (path: string): Promise<Uint8Array> => readFile(path).catch(() => new Uint8Array())
const fileOf = (number: number, kind: string): string => `${String(number).padStart(6, '0')}.${kind}`
