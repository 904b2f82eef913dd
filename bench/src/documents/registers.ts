/** The registers that both systems are filled with: 100 bytes each, which no compressor can make small. */

export const VALUE_BYTES = 100
/** Registers in one call here, and in one Yjs transaction there. */
export const SET_AT_ONCE = 1_000

export const keyOf = (i: number): string => `fact-${i}`

/** Letters from a small generator, so that every process makes the same ones, and half of each is text that repeats. */
export function valueOf(i: number, round: number): string {
  let value = `${round}.${i}.`
  let state = (i * 2_654_435_761 + round * 40_503 + 1) >>> 0
  while (value.length < VALUE_BYTES) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    value += WORDS[state >>> 26]
  }
  return value.slice(0, VALUE_BYTES)
}

/** 64 words: prose compresses to a third or so, and so do these. */
const WORDS = Array.from({ length: 64 }, (_, i) => {
  const letters = 'etaoinshrdlu'
  let word = ''
  for (let n = i * 7_919 + 104_729; n > 3; n = Math.floor(n / 5)) word += letters[n % letters.length]
  return `${word} `
})
