import { randomBytes } from 'node:crypto'
import { access } from 'node:fs/promises'
import { Failure } from '@sealmesh/protocol/errors'
import { loadSodium } from '@sealmesh/sodium/load'
import { createClaim } from '../data/claims.ts'
import { dataDirectory, prepareDataDirectory } from '../data/data-directory.ts'

/** A new code. The relay need not run, and need not be told when it does. */
export async function claim(flags: Readonly<Record<string, string | undefined>>): Promise<void> {
  const data = dataDirectory(flags['data'], process.env)
  try {
    await access(data.key)
  } catch {
    throw new Failure('HOME_UNUSABLE', `There is no relay in ${data.path}.`, {
      next: 'sealmesh-relay up, or --data DIR',
    })
  }
  await prepareDataDirectory(data)
  const sodium = await loadSodium()
  const code = await createClaim(data, { sodium, random: (bytes) => randomBytes(bytes), nowMs: Date.now() })
  process.stdout.write(flags['json'] === undefined ? `${code}\n` : `${JSON.stringify({ claim: code })}\n`)
}
