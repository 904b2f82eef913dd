import { digest } from 'lib0/hash/sha256'
import { toHex, utf8 } from '../bytes.ts'

/** Hex digits: 48 bits, so that 100,000 facts under one heading still do not meet. */
const DIGITS = 12

/**
 * Names a fact by what it says, so that the same fact imported twice, or on two machines, is the same register.
 * Blanks do not count: wrapping a line anew does not make a new fact.
 */
export function contentHash(...parts: readonly string[]): string {
  const said = parts.map((part) => `${part.normalize('NFC').replaceAll(/\s+/gu, ' ').trim()}\0`)
  return toHex(digest(utf8(said.join('')))).slice(0, DIGITS)
}
