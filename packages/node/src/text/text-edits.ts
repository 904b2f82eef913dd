import diff from 'fast-diff'

/** Replace `remove` characters at `at` by `insert`. Positions are those of the text before any edit, ascending. */
export interface TextEdit {
  readonly at: number
  readonly remove: number
  readonly insert: string
}

/** Comparing characters costs up to length times differences: past this, lines are compared first. */
const CHARACTERS_MAX = 4_000
/** Past this the changed part is replaced whole: two different books have no smallest edit that anyone waits for. */
const LINES_MAX = 4_000
/** Code units that stand for lines; the surrogates among them would be taken for halves of characters. */
const LINE_CODES_MAX = 0xd800 - 1

/** A small edit that turns one text into another, in bounded time. Small edits merge well with those of others. */
export function editsBetween(from: string, to: string): TextEdit[] {
  const edits: TextEdit[] = []
  compare(from, to, 0, edits)
  return edits
}

function compare(from: string, to: string, offset: number, edits: TextEdit[]): void {
  const start = commonStart(from, to)
  const end = commonEnd(from, to, start)
  const [before, after] = [from.slice(start, from.length - end), to.slice(start, to.length - end)]
  const at = offset + start
  if (before === '' && after === '') return
  if (before === '' || after === '') edits.push({ at, remove: before.length, insert: after })
  else if (before.length <= CHARACTERS_MAX && after.length <= CHARACTERS_MAX) pushRuns(diff(before, after), at, edits)
  else compareLines(before, after, at, edits)
}

function compareLines(before: string, after: string, offset: number, edits: TextEdit[]): void {
  const [a, b] = [linesOf(before), linesOf(after)]
  const codes = new Map<string, string>()
  const encode = (lines: readonly string[]): string => {
    let encoded = ''
    for (const line of lines) {
      let code = codes.get(line)
      if (code === undefined) {
        code = String.fromCharCode(codes.size + 1)
        codes.set(line, code)
      }
      encoded += code
    }
    return encoded
  }
  if (a.length > LINES_MAX || b.length > LINES_MAX || a.length + b.length > LINE_CODES_MAX) {
    edits.push({ at: offset, remove: before.length, insert: after })
    return
  }
  let [i, j, at] = [0, 0, offset]
  let [removed, inserted] = ['', '']
  const settle = (): void => {
    if (removed.length <= CHARACTERS_MAX && inserted.length <= CHARACTERS_MAX) compare(removed, inserted, at, edits)
    else edits.push({ at, remove: removed.length, insert: inserted })
    at += removed.length
    removed = ''
    inserted = ''
  }
  for (const [kind, run] of diff(encode(a), encode(b))) {
    for (let n = 0; n < run.length; n++) {
      if (kind === diff.DELETE) removed += a[i++] ?? ''
      else if (kind === diff.INSERT) inserted += b[j++] ?? ''
      else {
        if (removed !== '' || inserted !== '') settle()
        at += (a[i++] ?? '').length
        j++
      }
    }
  }
  if (removed !== '' || inserted !== '') settle()
}

/** A deletion and the insertion beside it are one edit. */
function pushRuns(runs: readonly diff.Diff[], offset: number, edits: TextEdit[]): void {
  let at = offset
  let open: { at: number; remove: number; insert: string } | undefined
  for (const [kind, run] of runs) {
    if (kind === diff.EQUAL) {
      if (open !== undefined) edits.push(open)
      open = undefined
      at += run.length
    } else {
      open ??= { at, remove: 0, insert: '' }
      if (kind === diff.INSERT) open.insert += run
      else {
        open.remove += run.length
        at += run.length
      }
    }
  }
  if (open !== undefined) edits.push(open)
}

const linesOf = (text: string): string[] => text.split(/(?<=\n)/)

function commonStart(a: string, b: string): number {
  const most = Math.min(a.length, b.length)
  let length = 0
  while (length < most && a.charCodeAt(length) === b.charCodeAt(length)) length++
  // Never between the two halves of one character.
  return length > 0 && isHighHalf(a.charCodeAt(length - 1)) ? length - 1 : length
}

function commonEnd(a: string, b: string, start: number): number {
  const most = Math.min(a.length, b.length) - start
  let length = 0
  while (length < most && a.charCodeAt(a.length - 1 - length) === b.charCodeAt(b.length - 1 - length)) length++
  return length > 0 && isLowHalf(a.charCodeAt(a.length - length)) ? length - 1 : length
}

const isHighHalf = (code: number): boolean => code >= 0xd800 && code < 0xdc00
const isLowHalf = (code: number): boolean => code >= 0xdc00 && code < 0xe000
