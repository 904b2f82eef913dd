/** Words of one search. */
export const SEARCH_WORDS_MAX = 16

/**
 * A text as searches see it: compatibility forms, accents and case made one, so that `Café` is found as `cafe`. What
 * is longer than the original stays a match of its parts; places in it are of no use to anybody.
 */
export const folded = (text: string): string =>
  text
    .normalize('NFKD')
    .replaceAll(/\p{M}+/gu, '')
    .toLowerCase()

/** The different words of a query, folded; empty when it has none. */
export const wordsOf = (query: string): string[] =>
  [...new Set(folded(query).match(/[\p{L}\p{N}]+/gu))].slice(0, SEARCH_WORDS_MAX)

/** How often each word occurs in one item. */
export interface Match<Item> {
  readonly item: Item
  readonly counts: readonly number[]
  /** Of the folded text, in characters. */
  readonly length: number
}

/**
 * How often words begin with `word`. In scripts that are written without spaces there are no beginnings to look for:
 * there it counts anywhere.
 */
export function occurrences(text: string, word: string): number {
  let count = 0
  for (let at = text.indexOf(word); at !== -1; at = text.indexOf(word, at + word.length))
    if (SPACELESS.test(word) || at === 0 || !/[\p{L}\p{N}]/u.test(lastCharacter(text, at))) count += 1
  return count
}

const SPACELESS = /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Thai}]/u

function lastCharacter(text: string, before: number): string {
  const unit = text.charCodeAt(before - 1)
  return unit >= 0xdc00 && unit <= 0xdfff ? text.slice(before - 2, before) : text.charAt(before - 1)
}

/** Okapi BM25's usual constants: how soon repetition stops to count, and how much a long text has to show for itself. */
const K1 = 1.2
const B = 0.75

/**
 * Best first. `seen`: how many items were looked at, how many of them hold each word, and how long they were in all.
 */
export function ranked<Item>(
  matches: readonly Match<Item>[],
  seen: { readonly items: number; readonly holding: readonly number[]; readonly characters: number },
): { readonly item: Item; readonly score: number }[] {
  const usual = seen.characters / Math.max(1, seen.items) || 1
  const weights = seen.holding.map((holding) => Math.log(1 + (seen.items - holding + 0.5) / (holding + 0.5)))
  return matches
    .map(({ item, counts, length }) => {
      const drag = K1 * (1 - B + (B * length) / usual)
      const score = counts.reduce((sum, n, at) => sum + ((weights[at] ?? 0) * n * (K1 + 1)) / (n + drag), 0)
      return { item, score }
    })
    .toSorted((a, b) => b.score - a.score)
}
