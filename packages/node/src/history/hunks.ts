import { editsBetween } from '../text/text-edits.ts'

/** Whole lines that one version of a text took away and put in their place. */
export interface Hunk {
  /** The first of these lines in the version before, from 1. */
  readonly line: number
  readonly removed: readonly string[]
  readonly added: readonly string[]
}

/** What changed between two versions, as people read it: by lines. */
export function hunksBetween(before: string, after: string): Hunk[] {
  const ranges: { from: number; to: number; edits: { at: number; remove: number; insert: string }[] }[] = []
  for (const edit of editsBetween(before, after)) {
    const from = edit.at === 0 ? 0 : before.lastIndexOf('\n', edit.at - 1) + 1
    const to = lineEnd(before, edit.at + edit.remove)
    const last = ranges.at(-1)
    if (last !== undefined && from <= last.to) {
      last.to = Math.max(last.to, to)
      last.edits.push(edit)
    } else ranges.push({ from, to, edits: [edit] })
  }
  return ranges.map(({ from, to, edits }) => {
    const old = before.slice(from, to)
    let [now, at] = ['', from]
    for (const edit of edits) {
      now += before.slice(at, edit.at) + edit.insert
      at = edit.at + edit.remove
    }
    return hunkOf(countLines(before, from) + 1, linesOf(old), linesOf(now + before.slice(at, to)))
  })
}

/** Lines that both begin or end with have not changed. */
function hunkOf(line: number, removed: readonly string[], added: readonly string[]): Hunk {
  const most = Math.min(removed.length, added.length)
  let start = 0
  while (start < most && removed[start] === added[start]) start++
  let end = 0
  while (end < most - start && removed[removed.length - 1 - end] === added[added.length - 1 - end]) end++
  return {
    line: line + start,
    removed: removed.slice(start, removed.length - end),
    added: added.slice(start, added.length - end),
  }
}

/** After the line break of the line that `at` lies in; an edit that ends with a line ends there. */
function lineEnd(text: string, at: number): number {
  if (at > 0 && text[at - 1] === '\n' && at === text.length) return at
  const end = text.indexOf('\n', at)
  return end === -1 ? text.length : end + 1
}

function countLines(text: string, until: number): number {
  let lines = 0
  for (let at = text.indexOf('\n'); at !== -1 && at < until; at = text.indexOf('\n', at + 1)) lines += 1
  return lines
}

/** Without their line breaks; nothing is no line. */
const linesOf = (text: string): string[] => (text === '' ? [] : text.replace(/\n$/, '').split('\n'))
