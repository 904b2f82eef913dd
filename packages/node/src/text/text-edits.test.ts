import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { editsBetween } from './text-edits.ts'

const applied = (from: string, to: string): string => {
  let text = from
  for (const { at, remove, insert } of editsBetween(from, to).toReversed())
    text = text.slice(0, at) + insert + text.slice(at + remove)
  return text
}

describe('the edits between two texts', () => {
  // The seal shares its first half with the crab and its second half with the tape.
  const text = fc.string({ unit: fc.constantFrom('a', 'b', '\n', '🦭', '🦀', '🖭', 'é'), maxLength: 60 })

  test('turn the one into the other, never splitting a character', () => {
    fc.assert(
      fc.property(text, text, (from, to) => {
        expect(applied(from, to)).toBe(to)
        for (const { at, remove, insert } of editsBetween(from, to)) {
          expect(insert.isWellFormed()).toBe(true)
          expect(from.slice(at, at + remove).isWellFormed()).toBe(true)
        }
      }),
      { numRuns: 2_000 },
    )
  })
  test('also where lines are compared first', () => {
    const line = fc.string({ unit: fc.constantFrom('x', '🦭', ' '), maxLength: 40 })
    const long = fc.array(line, { minLength: 200, maxLength: 600 })
    fc.assert(
      fc.property(long, fc.array(fc.tuple(fc.nat(500), line), { maxLength: 20 }), (lines, changes) => {
        const changed = [...lines]
        for (const [at, replacement] of changes) changed[at % changed.length] = replacement
        const [from, to] = [lines.join('\n'), changed.join('\n')]
        expect(applied(from, to)).toBe(to)
      }),
      { numRuns: 100 },
    )
  })
  test('of one changed word in a book is one word', () => {
    const book = Array.from({ length: 5_000 }, (_, n) => `Line ${n} of a long book.\n`)
    const edits = editsBetween(book.join(''), book.with(2_500, 'Line 2500 of a short book.\n').with(100, '').join(''))
    expect(edits.reduce((sum, { remove, insert }) => sum + remove + insert.length, 0)).toBeLessThan(60)
  })
  test('of two different books are found in a second', () => {
    const book = (seed: number) =>
      Array.from({ length: 20_000 }, (_, n) => `${(n * 7_919 + seed) % 65_537} is a number\n`).join('')
    const startedAtMs = performance.now()
    expect(applied(book(1), book(2))).toBe(book(2))
    expect(performance.now() - startedAtMs).toBeLessThan(5_000)
  })
})
