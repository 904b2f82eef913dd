import * as fs from 'node:fs'
import * as os from 'node:os'
import * as path from 'node:path'
import type { BenchOptions, Measured, Row } from '../result.ts'
import type { Part } from './part.ts'

/** Documents at scale: each part measures both sides in turn, in processes of its own. */
const parts: Readonly<Record<string, () => Promise<Part>>> = {
  commits: async () => (await import('./commits.ts')).commits,
  opening: async () => (await import('./opening.ts')).opening,
  'catching-up': async () => (await import('./catching-up.ts')).catchingUp,
  'first-sync': async () => (await import('./first-sync.ts')).firstSync,
  folder: async () => (await import('./folder.ts')).folder,
  // Half an hour of one core: last, so that who waits for the others need not wait for it.
  engine: async () => (await import('./engine.ts')).engine,
}

export async function benchDocuments({ runs, progress, only }: BenchOptions): Promise<Measured> {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'sealmesh-bench-'))
  try {
    const rows: Row[] = []
    const notes: string[] = []
    for (const [name, load] of Object.entries(parts)) {
      if (only !== undefined && only !== name) continue
      const part = await load()
      const measured = await part({ runs, progress, only, directory })
      rows.push(...measured.rows)
      notes.push(...measured.notes)
    }
    return { rows, notes }
  } finally {
    fs.rmSync(directory, { recursive: true, force: true })
  }
}
