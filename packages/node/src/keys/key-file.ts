import { open } from 'node:fs/promises'
import { equalBytes, fromHex, isHex, toHex } from '@sealmesh/protocol/bytes'
import { Failure } from '@sealmesh/protocol/errors'
import { SEED_BYTES } from '@sealmesh/protocol/keys'
import { diskFailure, errnoOf } from './disk-failure.ts'
import { writeDurably } from './durable-file.ts'
import { refuseWideModes } from './modes.ts'

/**
 * One secret in one file, one line of text:
 *
 *     sealmesh-<role>-seed-1 <64 hex: the seed> <64 hex: its public key>
 *
 * The prefix keeps one role's file from being read as another's. The public key is derived again on reading, so a
 * flipped bit or a cut file is damage with a name instead of a stranger's identity.
 */
export type SeedRole = 'sign' | 'login' | 'agent' | 'root' | 'seal'

const LINE_BYTES_MAX = 256 // The longest line has 150; a larger file is no key, and is not read.

export async function writeSeed(path: string, role: SeedRole, seed: Uint8Array, publicKey: Uint8Array): Promise<void> {
  try {
    await writeDurably(path, `${prefixOf(role)} ${toHex(seed)} ${toHex(publicKey)}\n`)
  } catch (error) {
    throw diskFailure(error, `writing the key file ${path}`)
  }
}

/** `derive` turns the seed into keys and gives their public half; the seed is erased before this returns. */
export async function readSeed<Keys extends { publicKey: Uint8Array }>(
  path: string,
  role: SeedRole,
  derive: (seed: Uint8Array) => Keys,
): Promise<Keys> {
  const [prefix, seedHex, publicHex, ...rest] = (await readKeyLine(path)).split(' ')
  if (prefix !== prefixOf(role) || seedHex === undefined || publicHex === undefined || rest.length > 0)
    throw damaged(path, `it does not hold one line that begins with ${prefixOf(role)}`)
  if (!isHex(seedHex, SEED_BYTES) || !isHex(publicHex, SEED_BYTES)) throw damaged(path, 'it is cut short or garbled')
  const seed = fromHex(seedHex)
  const keys = derive(seed)
  seed.fill(0)
  if (!equalBytes(keys.publicKey, fromHex(publicHex))) throw damaged(path, 'its two halves do not belong together')
  return keys
}

async function readKeyLine(path: string): Promise<string> {
  try {
    const file = await open(path, 'r')
    try {
      // Asked of the open file, so that nothing can be swapped between the check and the reading.
      const stats = await file.stat()
      if (!stats.isFile()) throw damaged(path, 'it is not a file')
      refuseWideModes(path, stats)
      if (stats.size > LINE_BYTES_MAX) throw damaged(path, 'it is too large for a key')
      const text = await file.readFile('latin1')
      if (!text.endsWith('\n')) throw damaged(path, 'it is cut short or garbled')
      return text.slice(0, -1)
    } finally {
      await file.close()
    }
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') throw damaged(path, 'it is missing', error)
    throw diskFailure(error, `reading the key file ${path}`)
  }
}

const prefixOf = (role: SeedRole): string => `sealmesh-${role}-seed-1`

export const damaged = (path: string, why: string, cause?: unknown): Failure =>
  new Failure('KEY_DAMAGED', `The key file ${path} cannot be used: ${why}.`, cause === undefined ? {} : { cause })
