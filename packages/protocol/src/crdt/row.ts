import { ROW_BYTES_MAX } from '../limits.ts'
import { err, ok, type Result } from '../result.ts'
import type { Sodium } from '../sodium.ts'
import { concatBytes } from '../bytes.ts'
import { decodePruned, type PrunedBlock } from './pruned.ts'
import { decodeRun, type TextRun } from './text-run.ts'

/** What is left below a base, on disk and on the wire alike: 0x00 and a pruned block, or 0x01 and a text run. */
export type Row = PrunedBlock | TextRun

const PRUNED = 0x00
const RUN = 0x01

export const isRun = (row: Row): row is TextRun => 'maker' in row

/** The block that the row is of, or ends at. */
export const blockOf = (row: Row): PrunedBlock => (isRun(row) ? row.end : row)

export const encodeRow = (row: Row): Uint8Array => concatBytes(Uint8Array.of(isRun(row) ? RUN : PRUNED), row.bytes)

/** Untrusted bytes in. Never throws. The result shares memory with `bytes`. */
export function decodeRow(bytes: Uint8Array, sodium: Sodium): Result<Row, { code: 'BLOCK_MALFORMED' }> {
  if (bytes.length > ROW_BYTES_MAX) return err({ code: 'BLOCK_MALFORMED' })
  const rest = bytes.subarray(1)
  if (bytes[0] === PRUNED) return decodePruned(rest, sodium)
  if (bytes[0] !== RUN) return err({ code: 'BLOCK_MALFORMED' })
  const run = decodeRun(rest, sodium)
  return run.ok ? ok(run.value) : run
}
