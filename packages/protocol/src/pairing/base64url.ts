import { err, ok, type Result } from '../result.ts'

const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'

/** RFC 4648 §5 without padding: survives mail, chat and a shell unquoted. */
export function toBase64Url(bytes: Uint8Array): string {
  let text = ''
  for (let at = 0; at < bytes.length; at += 3) {
    const left = Math.min(3, bytes.length - at)
    const group = ((bytes[at] ?? 0) << 16) | ((bytes[at + 1] ?? 0) << 8) | (bytes[at + 2] ?? 0)
    for (let digit = 0; digit <= left; digit++) text += ALPHABET[(group >> (18 - 6 * digit)) & 63]
  }
  return text
}

/** Refuses what `toBase64Url` would not have written, so that one link has one text. */
export function fromBase64Url(text: string): Result<Uint8Array, 'malformed'> {
  const bytes = new Uint8Array(Math.floor((text.length * 3) / 4))
  let [group, bits, at] = [0, 0, 0]
  for (const character of text) {
    const digit = ALPHABET.indexOf(character)
    if (digit < 0) return err('malformed')
    group = ((group << 6) | digit) & 0xffff
    bits += 6
    if (bits < 8) continue
    bits -= 8
    bytes[at++] = (group >> bits) & 0xff
  }
  // One digit over says nothing, and bits that are dropped must not have said anything.
  if (bits >= 6 || (group & ((1 << bits) - 1)) !== 0) return err('malformed')
  return ok(bytes)
}
