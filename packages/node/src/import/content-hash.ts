import { createHash } from 'node:crypto'
import { CONTENT_HASH_DIGITS } from './limits.ts'

/**
 * Names a fact by what it says, so that the same fact imported twice, or on two machines, is the same register.
 * Blanks do not count: wrapping a line anew does not make a new fact.
 */
export function contentHash(...parts: readonly string[]): string {
  const hash = createHash('sha256')
  for (const part of parts) hash.update(part.normalize('NFC').replaceAll(/\s+/gu, ' ').trim()).update('\0')
  return hash.digest('hex').slice(0, CONTENT_HASH_DIGITS)
}
