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
 * flipped bit or a cut file is damage with a name instead of a stranger's identity. One flipped bit is also put right:
 * there are some 1,200 lines that differ in one, and only the true one's halves belong together.
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
  const line = await readKeyLine(path)
  const read = readLine(line, role, derive)
  if (typeof read !== 'string') return read
  const mended = mendLine(line, role, derive)
  if (mended === undefined) throw damaged(path, read)
  await writeDurably(path, mended.line).catch((error: unknown) => {
    throw diskFailure(error, `mending the key file ${path}`)
  })
  return mended.keys
}

/** The keys, or what is wrong with the line. */
function readLine<Keys extends { publicKey: Uint8Array }>(
  line: string,
  role: SeedRole,
  derive: (seed: Uint8Array) => Keys,
): Keys | string {
  if (!line.endsWith('\n')) return 'it is cut short or garbled'
  const [prefix, seedHex, publicHex, ...rest] = line.slice(0, -1).split(' ')
  if (prefix !== prefixOf(role) || seedHex === undefined || publicHex === undefined || rest.length > 0)
    return `it does not hold one line that begins with ${prefixOf(role)}`
  if (!isHex(seedHex, SEED_BYTES) || !isHex(publicHex, SEED_BYTES)) return 'it is cut short or garbled'
  const seed = fromHex(seedHex)
  const keys = derive(seed)
  seed.fill(0)
  if (!equalBytes(keys.publicKey, fromHex(publicHex))) return 'its two halves do not belong together'
  return keys
}

function mendLine<Keys extends { publicKey: Uint8Array }>(
  line: string,
  role: SeedRole,
  derive: (seed: Uint8Array) => Keys,
): { readonly line: string; readonly keys: Keys } | undefined {
  const bytes = Buffer.from(line, 'latin1')
  for (let bit = 0; bit < 8 * bytes.length; bit++) {
    bytes[bit >> 3]! ^= 1 << (bit & 7)
    const candidate = bytes.toString('latin1')
    const keys = readLine(candidate, role, derive)
    if (typeof keys !== 'string') return { line: candidate, keys }
    bytes[bit >> 3]! ^= 1 << (bit & 7)
  }
  return undefined
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
      return await file.readFile('latin1')
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
