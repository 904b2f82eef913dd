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
