/** The word that was probably meant: the nearest of `words`, if it is near enough for a slip of the hand. */
export function closestTo(word: string, words: Iterable<string>): string | undefined {
  // One slip in a short word, two in a longer one: `notes` is not `files`.
  const slipsMax = word.length < 6 ? 1 : 2
  let best: { word: string; slips: number } | undefined
  for (const each of words) {
    if (each === word) continue
    const slips = slipsBetween(word, each, slipsMax)
    if (slips <= slipsMax && (best === undefined || slips < best.slips)) best = { word: each, slips }
  }
  return best?.word
}

/** Letters added, left out, changed or swapped with their neighbour; more than `most` counts as `most + 1`. */
function slipsBetween(a: string, b: string, most: number): number {
  if (Math.abs(a.length - b.length) > most) return most + 1
  let [before, row]: [number[], number[]] = [[], Array.from({ length: b.length + 1 }, (_, j) => j)]
  for (let i = 1; i <= a.length; i++) {
    const next = [i]
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1]
      let slips = Math.min((row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1, (row[j - 1] ?? 0) + (same ? 0 : 1))
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1])
        slips = Math.min(slips, (before[j - 2] ?? 0) + 1)
      next.push(slips)
    }
    before = row
    row = next
  }
  return row[b.length] ?? most + 1
}
