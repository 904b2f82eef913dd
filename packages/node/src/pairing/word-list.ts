import { CODE_NUMBERS, type PairingCode } from '@sealmesh/protocol/pairing/code'
import type { WordNumbers } from '@sealmesh/protocol/pairing/words'
import { wordlist } from '@scure/bip39/wordlists/english.js'

/** BIP 39's English list: 2,048 words that differ in their first four letters, so that they survive a telephone. */
export const wordsFrom = (numbers: WordNumbers): string[] => numbers.map((number) => wordlist[number] ?? '')

/** Undefined unless there are four words of the list. Case and spaces around them do not matter. */
export function numbersFrom(words: readonly string[]): WordNumbers | undefined {
  const [a, b, c, d, ...more] = words.map((word) => wordlist.indexOf(word.trim().toLowerCase()))
  if (a === undefined || b === undefined || c === undefined || d === undefined || more.length > 0) return undefined
  return a < 0 || b < 0 || c < 0 || d < 0 ? undefined : [a, b, c, d]
}

const CODE_DIGITS = 6

/** `482119-laptop-zebra` */
export const codeText = ({ number, words }: PairingCode): string =>
  [String(number).padStart(CODE_DIGITS, '0'), ...words.map((word) => wordlist[word] ?? '')].join('-')

/** Undefined for what is no code. Case, spaces and what stands between the parts do not matter. */
export function codeFrom(text: string): PairingCode | undefined {
  const parts = /^\s*(\d{6})[\s-]+([a-z]{3,8})[\s-]+([a-z]{3,8})\s*$/i.exec(text)
  const [a, b] = [2, 3].map((at) => wordlist.indexOf((parts?.[at] ?? '').toLowerCase()))
  if (parts === null || a === undefined || b === undefined || a < 0 || b < 0) return undefined
  return { number: Number(parts[1]), words: [a, b] }
}

/** `random` gives that many random bytes. 20 bits above a million are drawn again, so that all numbers are alike. */
export function newCode(random: (bytes: number) => Uint8Array): PairingCode {
  for (;;) {
    const [a = 0, b = 0, c = 0, d = 0, e = 0, f = 0] = random(6)
    const number = ((a & 0x0f) << 16) | (b << 8) | c
    const words = (d << 16) | (e << 8) | f
    if (number < CODE_NUMBERS) return { number, words: [(words >> 11) & 2_047, words & 2_047] }
  }
}
