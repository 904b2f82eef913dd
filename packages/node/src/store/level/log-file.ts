import { CRC_START, crcStep, maskedCrcOf, uint32At } from './crc32c.ts'

/**
 * LevelDB's log format, which its write-ahead logs and manifests share: blocks of 32 KiB, in them pieces of records,
 * each with a checksum. LevelDB itself drops what does not match, with the rest of its block, and says nothing.
 */
export interface LogRecord {
  readonly payload: Uint8Array
  /** Whether every piece matched its checksum. */
  readonly whole: boolean
}

export interface ReadLog {
  readonly records: readonly LogRecord[]
  /** Where a piece did not match its checksum, or made no sense. */
  readonly damagedAt: readonly number[]
  /** The last piece was never finished: what a crash in the middle of a write leaves. */
  readonly torn: boolean
}

const BLOCK_BYTES = 32_768
const HEADER_BYTES = 7
const [FULL, FIRST, MIDDLE, LAST] = [1, 2, 3, 4]

export function readLog(bytes: Uint8Array): ReadLog {
  const records: LogRecord[] = []
  const damagedAt: number[] = []
  let pieces: Uint8Array[] = []
  let whole = true
  let torn = false
  const finish = () => {
    if (pieces.length > 0) records.push({ payload: Buffer.concat(pieces), whole })
    pieces = []
    whole = true
  }
  for (let at = 0; at < bytes.length; ) {
    const left = BLOCK_BYTES - (at % BLOCK_BYTES)
    if (left < HEADER_BYTES) {
      at += left
      continue
    }
    if (bytes.length - at < HEADER_BYTES) {
      torn = true
      break
    }
    const length = bytes[at + 4]! | (bytes[at + 5]! << 8)
    const type = bytes[at + 6]!
    const end = at + HEADER_BYTES + length
    if (length > left - HEADER_BYTES) {
      // The length itself is damaged: where the next piece begins only the next block knows.
      damagedAt.push(at)
      whole = false
      finish()
      at += left
      continue
    }
    if (end > bytes.length) {
      torn = true
      break
    }
    const matches = maskedCrcOf(bytes, at + HEADER_BYTES, end, crcStep(CRC_START, type)) === uint32At(bytes, at)
    if (!matches) {
      damagedAt.push(at)
      whole = false
    }
    if ((type === FULL || type === FIRST) && pieces.length > 0) {
      if (whole) damagedAt.push(at)
      const own = matches
      whole = false
      finish()
      whole = own
    }
    pieces.push(bytes.subarray(at + HEADER_BYTES, end))
    if (type === FULL || type === LAST || (type !== FIRST && type !== MIDDLE)) finish()
    at = end
  }
  if (pieces.length > 0) {
    torn ||= whole
    whole = false
    finish()
  }
  return { records, damagedAt, torn }
}
