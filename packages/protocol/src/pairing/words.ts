import type { Sodium } from '../sodium.ts'
import { TAGS } from '../tags.ts'

/** Four words of 2,048: with both nonces committed before either is shown, one try in 2^44 goes unseen. */
export const WORDS = 4
const BITS_PER_WORD = 11

/** Numbers of words in a list of 2,048, from the transcript that both sides hashed. */
export type WordNumbers = readonly [number, number, number, number]

export function wordsOf(transcript: Uint8Array, sodium: Sodium): WordNumbers {
  const hash = sodium.hash([TAGS.pairingWords, transcript])
  const word = (index: number): number => {
    let number = 0
    for (let bit = index * BITS_PER_WORD; bit < (index + 1) * BITS_PER_WORD; bit++)
      number = number * 2 + (((hash[bit >> 3] ?? 0) >> (7 - (bit & 7))) & 1)
    return number
  }
  return [word(0), word(1), word(2), word(3)]
}
