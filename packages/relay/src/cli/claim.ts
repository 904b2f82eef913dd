import { randomBytes } from 'node:crypto'
import { access } from 'node:fs/promises'
import { Failure } from '@sealmesh/protocol/errors'
import { loadSodium } from '@sealmesh/sodium/load'
import { askRelay } from '../control/client.ts'
import { createClaim } from '../data/claims.ts'
import { type DataDirectory, prepareDataDirectory } from '../data/data-directory.ts'
import { type CommonFlags, dataOf } from './flags.ts'
import { Output } from './output.ts'

/** A new code. The relay need not run; one that does makes it itself, so that its own user can read the file. */
export async function claim(flags: CommonFlags): Promise<void> {
  const data = dataOf(flags)
  const code = await newCode(data)
  new Output(flags.json === true).result({ claim: code }, code)
}

async function newCode(data: DataDirectory): Promise<string> {
  try {
    await access(data.key)
  } catch {
    throw new Failure('HOME_UNUSABLE', `There is no relay in ${data.path}.`, {
      next: 'sealmesh-relay up, or --data DIR',
    })
  }
  try {
    return (await askRelay(data, '/claim', {})).claim
  } catch (error) {
    if (!(error instanceof Failure && error.code === 'RELAY_UNREACHABLE')) throw error
  }
  await prepareDataDirectory(data)
  const sodium = await loadSodium()
  return await createClaim(data, { sodium, random: (bytes) => randomBytes(bytes), nowMs: Date.now() })
}
