import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { hunksBetween } from './hunks.ts'

describe('what changed, by lines', () => {
  test.each([
    [
      'a word in the middle',
      'one\ntwo\nthree\n',
      'one\nzwei\nthree\n',
      [{ line: 2, removed: ['two'], added: ['zwei'] }],
    ],
    ['a new last line', 'one\n', 'one\ntwo\n', [{ line: 2, removed: [], added: ['two'] }]],
    ['a first line', '', 'one\n', [{ line: 1, removed: [], added: ['one'] }]],
    ['a line that goes', 'one\ntwo\nthree\n', 'one\nthree\n', [{ line: 2, removed: ['two'], added: [] }]],
    ['everything goes', 'one\ntwo', '', [{ line: 1, removed: ['one', 'two'], added: [] }]],
    ['nothing', 'one\n', 'one\n', []],
    [
      'two places far apart',
      'one\ntwo\nthree\nfour\nfive\n',
      'eins\ntwo\nthree\nfour\nfünf\n',
      [
        { line: 1, removed: ['one'], added: ['eins'] },
        { line: 5, removed: ['five'], added: ['fünf'] },
      ],
    ],
  ])('%s', (_, before, after, hunks) => {
    expect(hunksBetween(before, after)).toEqual(hunks)
  })

  test('putting every hunk in the place of what it took gives the later version', () => {
    const line = fc.constantFrom('a', 'b', 'cc', '', 'd e')
    const text = fc.array(line, { maxLength: 12 }).map((lines) => lines.map((each) => `${each}\n`).join(''))
    fc.assert(
      fc.property(text, text, (before, after) => {
        const lines = before.split('\n').slice(0, -1)
        for (const { line: first, removed, added } of hunksBetween(before, after).toReversed()) {
          expect(lines.slice(first - 1, first - 1 + removed.length)).toEqual(removed)
          lines.splice(first - 1, removed.length, ...added)
        }
        expect(lines.map((each) => `${each}\n`).join('')).toBe(after)
      }),
    )
  })
})
