import diff from 'fast-diff'

/** Replace `remove` characters at `at` by `insert`. Positions are those of the text before any edit, ascending. */
export interface TextEdit {
  readonly at: number
  readonly remove: number
  readonly insert: string
}

/** Comparing costs up to length times differences: past this many words a changed passage is replaced whole. */
const WORDS_MAX = 4_000
/** Past this many lines, texts are first cut at lines that occur once in both. */
const LINES_MAX = 4_000
/** Code units that stand for lines or words; the surrogates among them would be taken for halves of characters. */
const CODES_MAX = 0xd800 - 1

/**
 * A small edit that turns one text into another, in bounded time. Small edits merge well with those of others. Whole
 * words are replaced, never parts of them: of two machines that change one word at once both words are kept, and
 * neither is a mixture; and a word that replaced another stays when the other is deleted elsewhere.
 */
export function editsBetween(from: string, to: string): TextEdit[] {
  const edits: TextEdit[] = []
  if (from !== to) compareLines(linesOf(from), linesOf(to), 0, edits)
  return edits
}

/** Edits that keep all of `from` and add what only `to` has, line by line: for two texts with no common past. */
export function editsToUnion(from: string, to: string): TextEdit[] {
  const edits: TextEdit[] = []
  // A last line is the same line with and without its end.
  walkLines(linesOf(ended(from)), linesOf(ended(to)), 0, (at, removed, inserted) => {
    const end = at + lengthOf(removed)
    const insert = inserted.join('')
    if (insert === '') return
    if (end <= from.length) edits.push({ at: end, remove: 0, insert })
    else edits.push({ at: from.length, remove: 0, insert: `\n${insert.slice(0, -1)}` })
  })
  return edits
}

const ended = (text: string): string => (text === '' || text.endsWith('\n') ? text : `${text}\n`)

export function applyEdits(text: string, edits: readonly TextEdit[]): string {
  const parts: string[] = []
  let done = 0
  for (const { at, remove, insert } of edits) {
    parts.push(text.slice(done, at), insert)
    done = at + remove
  }
  parts.push(text.slice(done))
  return parts.join('')
}

type Changed = (at: number, removed: readonly string[], inserted: readonly string[]) => void

function compareLines(a: readonly string[], b: readonly string[], offset: number, edits: TextEdit[]): void {
  walkLines(a, b, offset, (at, removed, inserted) => {
    const [before, after] = [wordsOf(removed.join('')), wordsOf(inserted.join(''))]
    if (before.length > WORDS_MAX || after.length > WORDS_MAX) replaceWhole(at, before, after, edits)
    else walkRuns(before, after, at, (place, gone, come) => replaceWhole(place, gone, come, edits))
  })
}

const replaceWhole = (at: number, removed: readonly string[], inserted: readonly string[], edits: TextEdit[]) =>
  void edits.push({ at, remove: lengthOf(removed), insert: inserted.join('') })

/** Calls `changed` for each passage of lines that differs, in order. */
function walkLines(a: readonly string[], b: readonly string[], offset: number, changed: Changed): void {
  const start = commonStart(a, b)
  const end = commonEnd(a, b, start)
  const [before, after] = [a.slice(start, a.length - end), b.slice(start, b.length - end)]
  const at = offset + lengthOf(a.slice(0, start))
  if (before.length === 0 && after.length === 0) return
  if (before.length <= LINES_MAX && after.length <= LINES_MAX) return walkRuns(before, after, at, changed)
  const anchors = anchorsOf(before, after)
  if (anchors.length === 0) return changed(at, before, after)
  let [i, j, place] = [0, 0, at]
  for (const [x, y] of [...anchors, [before.length, after.length] as const]) {
    walkLines(before.slice(i, x), after.slice(j, y), place, changed)
    place += lengthOf(before.slice(i, x + 1))
    i = x + 1
    j = y + 1
  }
}

/** The smallest difference between two lists of lines or words; what stands side by side is one change. */
function walkRuns(a: readonly string[], b: readonly string[], offset: number, changed: Changed): void {
  const codes = new Map<string, string>()
  const encode = (parts: readonly string[]): string => {
    let encoded = ''
    for (const part of parts) {
      let code = codes.get(part)
      if (code === undefined) codes.set(part, (code = String.fromCharCode(codes.size + 1)))
      encoded += code
    }
    return encoded
  }
  const [from, to] = [encode(a), encode(b)]
  if (codes.size > CODES_MAX) return changed(offset, a, b)
  let [i, j, at] = [0, 0, offset]
  let [removed, inserted]: [string[], string[]] = [[], []]
  const settle = (): void => {
    if (removed.length > 0 || inserted.length > 0) changed(at, removed, inserted)
    at += lengthOf(removed)
    removed = []
    inserted = []
  }
  for (const [kind, { length }] of diff(from, to)) {
    for (let n = 0; n < length; n++) {
      if (kind === diff.DELETE) removed.push(a[i++] ?? '')
      else if (kind === diff.INSERT) inserted.push(b[j++] ?? '')
      else {
        settle()
        at += (a[i++] ?? '').length
        j++
      }
    }
  }
  settle()
}

/** Lines that occur once in both, in an order that both have: the longest such list. */
function anchorsOf(a: readonly string[], b: readonly string[]): [number, number][] {
  const [inA, inB] = [placesOfUnique(a), placesOfUnique(b)]
  const pairs: [number, number][] = []
  for (const [line, x] of inA) {
    const y = inB.get(line)
    if (x >= 0 && y !== undefined && y >= 0) pairs.push([x, y])
  }
  // Patience: piles by the place in b; each pair remembers the top of the pile before its own.
  const piles: number[] = []
  const before: number[] = []
  for (const [n, [, y]] of pairs.entries()) {
    let [low, high] = [0, piles.length]
    while (low < high) {
      const middle = (low + high) >> 1
      if (pairs[piles[middle]!]![1] < y) low = middle + 1
      else high = middle
    }
    before[n] = low > 0 ? piles[low - 1]! : -1
    piles[low] = n
  }
  const chosen: [number, number][] = []
  for (let n = piles.at(-1) ?? -1; n >= 0; n = before[n]!) chosen.push(pairs[n]!)
  return chosen.reverse()
}

/** -1 for a line that occurs more than once. In the order of the first. */
function placesOfUnique(lines: readonly string[]): Map<string, number> {
  const places = new Map<string, number>()
  for (const [n, line] of lines.entries()) places.set(line, places.has(line) ? -1 : n)
  return places
}

const linesOf = (text: string): string[] => (text === '' ? [] : text.split(/(?<=\n)/))

/**
 * Scripts that are written without blanks have characters for words. The end of a line belongs to its last word: when
 * one machine replaces a line that another deletes, what is left is a line.
 */
const WORD =
  /(?:[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Thai}]|(?:(?![\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Thai}])[\p{L}\p{N}\p{M}_])+|[^\S\n]+|[^\n])\n?|\n/gu

const wordsOf = (text: string): string[] => text.match(WORD) ?? []

const lengthOf = (parts: readonly string[]): number => parts.reduce((sum, part) => sum + part.length, 0)

function commonStart(a: readonly string[], b: readonly string[]): number {
  const most = Math.min(a.length, b.length)
  let length = 0
  while (length < most && a[length] === b[length]) length++
  return length
}

function commonEnd(a: readonly string[], b: readonly string[], start: number): number {
  const most = Math.min(a.length, b.length) - start
  let length = 0
  while (length < most && a[a.length - 1 - length] === b[b.length - 1 - length]) length++
  return length
}
