import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { applyEdits, editsBetween, editsToUnion } from './text-edits.ts'

const applied = (from: string, to: string): string => applyEdits(from, editsBetween(from, to))

describe('the edits between two texts', () => {
  // The seal shares its first half with the crab and its second half with the tape.
  const text = fc.string({ unit: fc.constantFrom('a', 'b', '\n', ' ', '🦭', '🦀', '🖭', 'é', '字'), maxLength: 60 })

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
  test('also where there are very many lines', () => {
    const line = fc.string({ unit: fc.constantFrom('x', '🦭', ' '), maxLength: 40 })
    const change = fc.tuple(fc.nat(9_000), line)
    fc.assert(
      fc.property(fc.integer({ min: 100, max: 9_000 }), fc.array(change, { maxLength: 20 }), (count, changes) => {
        const lines = Array.from({ length: count }, (_, n) => `line ${n % 6_000}`)
        const changed = [...lines]
        for (const [at, replacement] of changes) changed[at % changed.length] = replacement
        const [from, to] = [lines.join('\n'), changed.join('\n')]
        expect(applied(from, to)).toBe(to)
      }),
      { numRuns: 50 },
    )
  })
  test('replace whole words', () => {
    expect(editsBetween('deploy on Tuesday', 'deploy on Thursday')).toEqual([{ at: 10, remove: 7, insert: 'Thursday' }])
    expect(editsBetween('x17\n', 'x18\n')).toEqual([{ at: 0, remove: 4, insert: 'x18\n' }])
  })
  test('of one changed word in a book is one word, however far another change is', () => {
    for (const count of [5_000, 20_000]) {
      const book = Array.from({ length: count }, (_, n) => `Line ${n} of a long book.\n`)
      const changed = book.with(count / 2, `Line ${count / 2} of a short book.\n`).with(100, '')
      const edits = editsBetween(book.join(''), changed.join(''))
      expect(edits.reduce((sum, { remove, insert }) => sum + remove + insert.length, 0)).toBeLessThan(60)
    }
  })
  test('of two different books are found in a second', () => {
    const book = (seed: number) =>
      Array.from({ length: 20_000 }, (_, n) => `${(n * 7_919 + seed) % 65_537} is a number\n`).join('')
    const startedAtMs = performance.now()
    expect(applied(book(1), book(2))).toBe(book(2))
    expect(performance.now() - startedAtMs).toBeLessThan(5_000)
  })
})

describe('the union of two texts', () => {
  const lines = fc.array(fc.constantFrom('a', 'b', 'c', 'd', ''), { maxLength: 12 })
  const ended = fc.boolean()

  test('has every line of both, and the first as it was', () => {
    fc.assert(
      fc.property(lines, lines, ended, ended, (a, b, endA, endB) => {
        const [from, to] = [a.join('\n') + (endA ? '\n' : ''), b.join('\n') + (endB ? '\n' : '')]
        const edits = editsToUnion(from, to)
        expect(edits.every(({ remove }) => remove === 0)).toBe(true)
        const union = applyEdits(from, edits).split('\n')
        for (const each of [from, to]) {
          let at = -1
          for (const line of each.split('\n').filter((words) => words !== '')) {
            at = union.indexOf(line, at + 1)
            expect(at, `${JSON.stringify(line)} of ${JSON.stringify(each)}`).toBeGreaterThan(-1)
          }
        }
      }),
      { numRuns: 2_000 },
    )
  })
  test('of equal texts, or of one that has the other, is one of them', () => {
    expect(editsToUnion('a\nb\n', 'a\nb\n')).toEqual([])
    expect(applyEdits('a\nb\nc\n', editsToUnion('a\nb\nc\n', 'a\nc\n'))).toBe('a\nb\nc\n')
    expect(applyEdits('a\n', editsToUnion('a\n', 'a\nb\n'))).toBe('a\nb\n')
    expect(editsToUnion('a', 'a\n')).toEqual([])
    expect(applyEdits('a', editsToUnion('a', 'b'))).toBe('a\nb')
  })
})
