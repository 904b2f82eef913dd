import { lstat, open } from 'node:fs/promises'
import { join } from 'node:path'
import { fromHex, isHex, toHex } from '@sealmesh/protocol/bytes'
import { Failure } from '@sealmesh/protocol/errors'
import { NONCE_BYTES } from '@sealmesh/protocol/keys'
import type { Sodium } from '@sealmesh/protocol/sodium'
import { ARGON2ID_SALT_BYTES, type Argon2idCost, argon2id } from '@sealmesh/sodium/argon2id'
import { diskFailure, errnoOf } from './disk-failure.ts'
import { destroyFile, replaceSecret } from './durable-file.ts'
import { damaged } from './key-file.ts'
import { refuseWideModes } from './modes.ts'

/**
 * What the passphrase of a home opens: the key under which its key files are sealed. One line in `keys/passphrase.lock`:
 *
 *     sealmesh-passphrase-1 <passes> <MiB> <salt> <nonce and sealed keys> <check>
 *
 * numbers in decimal, the rest in hexadecimal. The check, the beginning of a hash of all before it, tells a damaged
 * line from a wrong passphrase, and one flipped bit is put right by it: without this line no key is of any use.
 * Another passphrase comes with another key of the key files; until all of them are sealed under that one, the line has
 * both, so that the new passphrase opens the home at every moment from the one on at which the old one does not.
 */
export const LOCK_FILE = 'passphrase.lock'

/** 0.7 s and 256 MiB for each guess: what libsodium calls moderate. */
const COST: Argon2idCost = { passes: 3, memoryMiB: 256 }
/** Of a line that somebody wrote into a home: more would be a way to stop its node. */
const COST_MAX: Argon2idCost = { passes: 64, memoryMiB: 1_024 }
const PREFIX = 'sealmesh-passphrase-1'
export const FILE_KEY_BYTES = 32
const TAG_BYTES = 16
const CHECK_BYTES = 8
const LINE_BYTES_MAX = 512

/** The caller's to erase. */
export interface FileKeys {
  readonly key: Uint8Array
  /** Of the passphrase before, while key files may be sealed under it still. */
  readonly former?: Uint8Array
}

interface LockLine {
  readonly cost: Argon2idCost
  readonly salt: Uint8Array
  readonly nonce: Uint8Array
  readonly sealed: Uint8Array
}

/** Whether a passphrase was given to these keys. */
export async function isLocked(directory: string): Promise<boolean> {
  try {
    await lstat(join(directory, LOCK_FILE))
    return true
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return false
    throw diskFailure(error, `looking at ${directory}`)
  }
}

/** Durable when it resolves; the line of an older passphrase is overwritten. */
export async function writeLock(
  directory: string,
  { key: fileKey, former }: FileKeys,
  passphrase: string,
  deps: { readonly sodium: Sodium; readonly random: (bytes: number) => Uint8Array },
  cost = COST,
): Promise<void> {
  const { sodium, random } = deps
  const [salt, nonce] = [random(ARGON2ID_SALT_BYTES), random(NONCE_BYTES)]
  const key = await argon2id(passphrase, salt, cost)
  const both = Buffer.concat([fileKey, former ?? new Uint8Array()])
  const sealed = sodium.encrypt(both, Buffer.from(PREFIX), nonce, key)
  both.fill(0)
  key.fill(0)
  const told = `${PREFIX} ${cost.passes} ${cost.memoryMiB} ${toHex(salt)} ${toHex(nonce)}${toHex(sealed)}`
  const path = join(directory, LOCK_FILE)
  await replaceSecret(path, `${told} ${checkOf(told, sodium)}\n`).catch((error: unknown) => {
    throw diskFailure(error, `writing ${path}`)
  })
}

/** Throws PASSPHRASE_WRONG. */
export async function openLock(directory: string, passphrase: string, sodium: Sodium): Promise<FileKeys> {
  const { cost, salt, nonce, sealed } = await readLock(directory, sodium)
  const key = await argon2id(passphrase, salt, cost)
  const both = sodium.decrypt(sealed, Buffer.from(PREFIX), nonce, key)
  key.fill(0)
  if (both === undefined) throw new Failure('PASSPHRASE_WRONG', 'This passphrase does not open the keys of this home.')
  const fileKey = both.subarray(0, FILE_KEY_BYTES)
  return both.length === FILE_KEY_BYTES ? { key: fileKey } : { key: fileKey, former: both.subarray(FILE_KEY_BYTES) }
}

export async function removeLock(directory: string): Promise<void> {
  try {
    await destroyFile(join(directory, LOCK_FILE))
  } catch (error) {
    throw diskFailure(error, `removing ${join(directory, LOCK_FILE)}`)
  }
}

async function readLock(directory: string, sodium: Sodium): Promise<LockLine> {
  const path = join(directory, LOCK_FILE)
  const bytes = await readSmall(path)
  const read = parseLine(bytes.toString('latin1'), sodium)
  if (read !== undefined) return read
  for (let bit = 0; bit < 8 * bytes.length; bit++) {
    bytes[bit >> 3]! ^= 1 << (bit & 7)
    const line = bytes.toString('latin1')
    const mended = parseLine(line, sodium)
    if (mended !== undefined) {
      await replaceSecret(path, line).catch((error: unknown) => {
        throw diskFailure(error, `mending ${path}`)
      })
      return mended
    }
    bytes[bit >> 3]! ^= 1 << (bit & 7)
  }
  throw damaged(path, 'it is cut short or garbled')
}

async function readSmall(path: string): Promise<Buffer> {
  try {
    const file = await open(path, 'r')
    try {
      const stats = await file.stat()
      if (!stats.isFile() || stats.size > LINE_BYTES_MAX) throw damaged(path, 'it is not what locks keys')
      refuseWideModes(path, stats)
      return await file.readFile()
    } finally {
      await file.close()
    }
  } catch (error) {
    throw diskFailure(error, `reading ${path}`)
  }
}

function parseLine(line: string, sodium: Sodium): LockLine | undefined {
  if (!line.endsWith('\n')) return undefined
  const at = line.lastIndexOf(' ')
  if (line.slice(at + 1, -1) !== checkOf(line.slice(0, at), sodium)) return undefined
  const [prefix, passes = '', mib = '', salt = '', sealed = '', ...rest] = line.slice(0, at).split(' ')
  const cost = { passes: Number(passes), memoryMiB: Number(mib) }
  const isCost = [cost.passes, cost.memoryMiB].every((each) => Number.isInteger(each) && each > 0)
  if (prefix !== PREFIX || rest.length > 0 || !isCost) return undefined
  if (cost.passes > COST_MAX.passes || cost.memoryMiB > COST_MAX.memoryMiB) return undefined
  const isSealed = [1, 2].some((keys) => isHex(sealed, NONCE_BYTES + keys * FILE_KEY_BYTES + TAG_BYTES))
  if (!isHex(salt, ARGON2ID_SALT_BYTES) || !isSealed) return undefined
  const both = fromHex(sealed)
  return { cost, salt: fromHex(salt), nonce: both.subarray(0, NONCE_BYTES), sealed: both.subarray(NONCE_BYTES) }
}

const checkOf = (told: string, sodium: Sodium): string =>
  toHex(sodium.hash([Buffer.from(told, 'latin1')]).subarray(0, CHECK_BYTES))
