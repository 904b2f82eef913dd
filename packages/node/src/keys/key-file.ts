import { open } from 'node:fs/promises'
import { equalBytes, fromHex, isHex, toHex } from '@sealmesh/protocol/bytes'
import { Failure } from '@sealmesh/protocol/errors'
import { NONCE_BYTES, SEED_BYTES } from '@sealmesh/protocol/keys'
import type { Sodium } from '@sealmesh/protocol/sodium'
import { diskFailure, errnoOf } from './disk-failure.ts'
import { replaceSecret } from './durable-file.ts'
import { refuseWideModes } from './modes.ts'

/**
 * One secret in one file, one line of text:
 *
 *     sealmesh-<role>-seed-1 <64 hex: the seed> <64 hex: its public key>
 *     sealmesh-<role>-sealed-1 <144 hex: nonce, the seed under the home's file key> <64 hex: its public key>
 *
 * The second in a home with a passphrase (`key-lock.ts`), bound to role and public key.
 * The prefix keeps one role's file from being read as another's. The public key is derived again on reading, so a
 * flipped bit or a cut file is damage with a name instead of a stranger's identity. One flipped bit is also put right:
 * there are some 1,200 lines that differ in one, and only the true one's halves belong together.
 */
export type SeedRole = 'sign' | 'login' | 'agent' | 'root' | 'seal'

const LINE_BYTES_MAX = 256 // The longest line has 235; a larger file is no key, and is not read.
const TAG_BYTES = 16
const SEALED_BYTES = NONCE_BYTES + SEED_BYTES + TAG_BYTES

/** In a home with a passphrase: what its key files are sealed under. */
export interface FileSeal {
  readonly key: Uint8Array
  /** What some may be sealed under still, while the passphrase is being changed. */
  readonly former?: Uint8Array
  readonly sodium: Sodium
}

/** In clear without a seal. Overwrites what was there. */
export async function writeSeed(
  path: string,
  role: SeedRole,
  seed: Uint8Array,
  publicKey: Uint8Array,
  seal?: FileSeal & { readonly random: (bytes: number) => Uint8Array },
): Promise<void> {
  try {
    if (seal === undefined) return await replaceSecret(path, `${prefixOf(role)} ${toHex(seed)} ${toHex(publicKey)}\n`)
    const nonce = seal.random(NONCE_BYTES)
    const sealed = seal.sodium.encrypt(seed, boundTo(role, publicKey), nonce, seal.key)
    await replaceSecret(path, `${sealedPrefixOf(role)} ${toHex(nonce)}${toHex(sealed)} ${toHex(publicKey)}\n`)
  } catch (error) {
    throw diskFailure(error, `writing the key file ${path}`)
  }
}

/** `derive` turns the seed into keys and gives their public half; the seed is erased before this returns. */
export async function readSeed<Keys extends { publicKey: Uint8Array }>(
  path: string,
  role: SeedRole,
  derive: (seed: Uint8Array) => Keys,
  seal?: FileSeal,
): Promise<Keys> {
  const line = await readKeyLine(path)
  const read = readLine(line, role, derive, seal)
  if (typeof read !== 'string') return read
  const mended = mendLine(line, role, derive, seal)
  if (mended === undefined) throw damaged(path, read)
  await replaceSecret(path, mended.line).catch((error: unknown) => {
    throw diskFailure(error, `mending the key file ${path}`)
  })
  return mended.keys
}

/** The keys, or what is wrong with the line. */
function readLine<Keys extends { publicKey: Uint8Array }>(
  line: string,
  role: SeedRole,
  derive: (seed: Uint8Array) => Keys,
  seal: FileSeal | undefined,
): Keys | string {
  if (!line.endsWith('\n')) return 'it is cut short or garbled'
  const [prefix, seedHex, publicHex, ...rest] = line.slice(0, -1).split(' ')
  const isSealed = prefix === sealedPrefixOf(role)
  if ((!isSealed && prefix !== prefixOf(role)) || seedHex === undefined || publicHex === undefined || rest.length > 0)
    return `it does not hold one line that begins with ${prefixOf(role)}`
  if (!isHex(seedHex, isSealed ? SEALED_BYTES : SEED_BYTES) || !isHex(publicHex, SEED_BYTES))
    return 'it is cut short or garbled'
  const seed = isSealed ? unseal(fromHex(seedHex), role, fromHex(publicHex), seal) : fromHex(seedHex)
  if (seed === undefined)
    return seal === undefined ? 'it is sealed, and what opens it is missing' : 'it is sealed under another key'
  const keys = derive(seed)
  seed.fill(0)
  if (!equalBytes(keys.publicKey, fromHex(publicHex))) return 'its two halves do not belong together'
  return keys
}

/** What a file in a folder of keys looks like, by its beginning alone. */
export async function formOf(
  path: string,
): Promise<{ readonly form: 'clear' | 'sealed' | 'unknown'; readonly role?: SeedRole }> {
  const file = await open(path, 'r').catch((error: unknown) => {
    throw diskFailure(error, `reading the key file ${path}`)
  })
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(LINE_BYTES_MAX), 0, LINE_BYTES_MAX, 0)
    const begun = /^sealmesh-(sign|login|agent|root|seal)-(seed|sealed)-1/.exec(buffer.toString('latin1', 0, bytesRead))
    if (begun === null) return { form: 'unknown' }
    return { form: begun[2] === 'seed' ? 'clear' : 'sealed', role: begun[1] as SeedRole }
  } finally {
    await file.close()
  }
}

/** Whether this seal alone opens it. Throws KEY_DAMAGED where it is no key. */
export async function isSealedUnder(
  path: string,
  role: SeedRole,
  derive: (seed: Uint8Array) => { publicKey: Uint8Array },
  { key, sodium }: FileSeal,
): Promise<boolean> {
  return typeof readLine(await readKeyLine(path), role, derive, { key, sodium }) !== 'string'
}

/** The same key in another form, sealed or in clear. */
export async function rewriteSeed(
  path: string,
  role: SeedRole,
  derive: (seed: Uint8Array) => { publicKey: Uint8Array },
  from: FileSeal | undefined,
  to: (FileSeal & { readonly random: (bytes: number) => Uint8Array }) | undefined,
): Promise<void> {
  let seed = new Uint8Array()
  const { publicKey } = await readSeed(
    path,
    role,
    (read) => {
      seed = Uint8Array.from(read)
      return derive(read)
    },
    from,
  )
  try {
    await writeSeed(path, role, seed, publicKey, to)
  } finally {
    seed.fill(0)
  }
}

function unseal(
  bytes: Uint8Array,
  role: SeedRole,
  publicKey: Uint8Array,
  seal: FileSeal | undefined,
): Uint8Array | undefined {
  const nonce = bytes.subarray(0, NONCE_BYTES)
  if (seal === undefined) return undefined
  const open = (key: Uint8Array) =>
    seal.sodium.decrypt(bytes.subarray(NONCE_BYTES), boundTo(role, publicKey), nonce, key)
  return open(seal.key) ?? (seal.former === undefined ? undefined : open(seal.former))
}

function mendLine<Keys extends { publicKey: Uint8Array }>(
  line: string,
  role: SeedRole,
  derive: (seed: Uint8Array) => Keys,
  seal: FileSeal | undefined,
): { readonly line: string; readonly keys: Keys } | undefined {
  const bytes = Buffer.from(line, 'latin1')
  for (let bit = 0; bit < 8 * bytes.length; bit++) {
    bytes[bit >> 3]! ^= 1 << (bit & 7)
    const candidate = bytes.toString('latin1')
    const keys = readLine(candidate, role, derive, seal)
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
const sealedPrefixOf = (role: SeedRole): string => `sealmesh-${role}-sealed-1`

const boundTo = (role: SeedRole, publicKey: Uint8Array): Uint8Array =>
  Buffer.concat([Buffer.from(sealedPrefixOf(role)), publicKey])

export const damaged = (path: string, why: string, cause?: unknown): Failure =>
  new Failure('KEY_DAMAGED', `The key file ${path} cannot be used: ${why}.`, cause === undefined ? {} : { cause })
