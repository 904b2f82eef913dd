import { open, readFile, rm } from 'node:fs/promises'
import { dirname } from 'node:path'
import { Failure } from '@sealmesh/protocol/errors'
import type { Sodium } from '@sealmesh/protocol/sodium'
import { diskFailure, errnoOf } from '../keys/disk-failure.ts'
import { PRIVATE_FILE_MODE, syncDirectory } from '../keys/durable-file.ts'
import { decodeKit, encodeKit, type Kit, kitInvalid } from './kit.ts'
import { runAge } from './passphrase-age.ts'

/** A log of 100,000 records, in base64 twice. */
const KIT_BYTES_MAX = 256 * 1_048_576
/** What age's own tool takes: about a second, and 256 MiB. */
const WORK_FACTOR = 18

/**
 * The kit as an age file, in text form, that `age -d` opens too. Never over a file that is there: it may be the only
 * good kit. What has been written is read back from the disk and opened before anybody relies on it.
 */
export async function writeKit(
  path: string,
  kit: Kit,
  passphrase: string,
  sodium: Sodium,
  workFactor = WORK_FACTOR,
): Promise<void> {
  const text = encodeKit(kit)
  const { armored } = await runAge({ type: 'encrypt', text, passphrase, workFactor })
  try {
    const file = await open(path, 'wx', PRIVATE_FILE_MODE)
    try {
      await file.writeFile(armored)
      await file.sync()
    } catch (error) {
      await rm(path, { force: true })
      throw error
    } finally {
      await file.close()
    }
    await syncDirectory(dirname(path))
  } catch (error) {
    if (errnoOf(error) === 'EEXIST')
      throw new Failure('FILE_EXISTS', `There is a file ${path} already, and it may be a kit that you need.`)
    throw diskFailure(error, `writing the recovery kit ${path}`)
  }
  const back = await readKit(path, passphrase, sodium)
  if (encodeKit(back) !== text) throw kitInvalid(`${path} does not say what was written`)
}

/** Throws KIT_INVALID, or PASSPHRASE_WRONG. */
export async function readKit(path: string, passphrase: string, sodium: Sodium): Promise<Kit> {
  const bytes = await readFile(path).catch((error: unknown) => {
    throw new Failure('FILE_NOT_FOUND', `The recovery kit ${path} cannot be read.`, { cause: error })
  })
  if (bytes.length > KIT_BYTES_MAX) throw kitInvalid('it is too large for one')
  const opened = await runAge({ type: 'decrypt', file: bytes, passphrase })
  if (opened.ok) return decodeKit(opened.text, sodium)
  const cause = new Error(opened.message)
  switch (opened.why) {
    case 'passphrase':
      throw new Failure('PASSPHRASE_WRONG', 'This passphrase does not open the recovery kit.', { cause })
    case 'armor':
      throw kitInvalid('it is damaged', cause)
    case 'damaged':
      throw kitInvalid('it is damaged, or no file of age', cause)
  }
}
