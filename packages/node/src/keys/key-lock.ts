import { lstat, open, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { fromHex, isHex, toHex } from '@sealmesh/protocol/bytes'
import { Failure } from '@sealmesh/protocol/errors'
import { NONCE_BYTES } from '@sealmesh/protocol/keys'
import type { Sodium } from '@sealmesh/protocol/sodium'
import { ARGON2ID_SALT_BYTES, type Argon2idCost, argon2id } from '@sealmesh/sodium/argon2id'
import { diskFailure, errnoOf } from './disk-failure.ts'
import { syncDirectory, writeDurably } from './durable-file.ts'
import { damaged } from './key-file.ts'
import { refuseWideModes } from './modes.ts'

/**
 * What the passphrase of a home opens: the key under which its key files are sealed. One line in `keys/passphrase.lock`:
 *
 *     sealmesh-passphrase-1 <passes> <MiB> <salt> <nonce and sealed key> <check>
 *
 * numbers in decimal, the rest in hexadecimal. The check, the beginning of a hash of all before it, tells a damaged
 * line from a wrong passphrase, and one flipped bit is put right by it: without this line no key is of any use.
 * Another passphrase is another line, and touches no key file.
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

/** Durable when it resolves; replaces the line of an older passphrase. */
export async function writeLock(
  directory: string,
  fileKey: Uint8Array,
  passphrase: string,
  deps: { readonly sodium: Sodium; readonly random: (bytes: number) => Uint8Array },
  cost = COST,
): Promise<void> {
  const { sodium, random } = deps
  const [salt, nonce] = [random(ARGON2ID_SALT_BYTES), random(NONCE_BYTES)]
  const key = await argon2id(passphrase, salt, cost)
  const sealed = sodium.encrypt(fileKey, Buffer.from(PREFIX), nonce, key)
  key.fill(0)
  const told = `${PREFIX} ${cost.passes} ${cost.memoryMiB} ${toHex(salt)} ${toHex(nonce)}${toHex(sealed)}`
  const path = join(directory, LOCK_FILE)
  await writeDurably(path, `${told} ${checkOf(told, sodium)}\n`).catch((error: unknown) => {
    throw diskFailure(error, `writing ${path}`)
  })
}

/** The key of the key files, the caller's to erase. Throws PASSPHRASE_WRONG. */
export async function openLock(directory: string, passphrase: string, sodium: Sodium): Promise<Uint8Array> {
  const { cost, salt, nonce, sealed } = await readLock(directory, sodium)
  const key = await argon2id(passphrase, salt, cost)
  const fileKey = sodium.decrypt(sealed, Buffer.from(PREFIX), nonce, key)
  key.fill(0)
  if (fileKey === undefined)
    throw new Failure('PASSPHRASE_WRONG', 'This passphrase does not open the keys of this home.')
  return fileKey
}

export async function removeLock(directory: string): Promise<void> {
  try {
    await rm(join(directory, LOCK_FILE))
    await syncDirectory(directory)
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
      await writeDurably(path, line).catch((error: unknown) => {
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
  if (!isHex(salt, ARGON2ID_SALT_BYTES) || !isHex(sealed, NONCE_BYTES + FILE_KEY_BYTES + TAG_BYTES)) return undefined
  const both = fromHex(sealed)
  return { cost, salt: fromHex(salt), nonce: both.subarray(0, NONCE_BYTES), sealed: both.subarray(NONCE_BYTES) }
}

const checkOf = (told: string, sodium: Sodium): string =>
  toHex(sodium.hash([Buffer.from(told, 'latin1')]).subarray(0, CHECK_BYTES))
