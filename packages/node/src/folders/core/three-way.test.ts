import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { applyEdits, editsBetween } from '../../text/text-edits.ts'
import { EDIT_BYTES_TARGET } from './limits.ts'
import { carryOver, stagesOf } from './three-way.ts'

const merged = (base: string, mine: string, theirs: string): string =>
  applyEdits(theirs, carryOver(base, editsBetween(base, mine), theirs))

describe('edits that meet others', () => {
  const line = (word: string): string => `${word}\n`
  /** Of lines that occur once: which are kept, and what each side puts before which. */
  const scene = fc.record({
    kept: fc.array(fc.tuple(fc.boolean(), fc.boolean()), { maxLength: 12 }),
    mine: fc.array(fc.nat(12), { maxLength: 4 }),
    theirs: fc.array(fc.nat(12), { maxLength: 4 }),
  })

  test('both are made: nothing that either wrote is lost, nothing that either took away is left', () => {
    fc.assert(
      fc.property(scene, ({ kept, mine, theirs }) => {
        const base = kept.map((_, n) => `base${n}`)
        const side = (which: 0 | 1, word: string, places: readonly number[]): string[] => {
          const lines: string[] = []
          for (let n = 0; n <= base.length; n++) {
            for (const [at, place] of places.entries())
              if (Math.min(place, base.length) === n) lines.push(`${word}${at}`)
            if (n < base.length && kept[n]?.[which] === true) lines.push(base[n] ?? '')
          }
          return lines
        }
        const [a, b] = [side(0, 'mine', mine), side(1, 'theirs', theirs)]
        const text = (lines: readonly string[]): string => lines.map(line).join('')
        const result = merged(text(base), text(a), text(b)).split('\n').slice(0, -1)
        const expected = [...base.filter((_, n) => kept[n]?.[0] === true && kept[n]?.[1] === true)]
        for (const [lines, word] of [
          [a, 'mine'],
          [b, 'theirs'],
        ] as const)
          expected.push(...lines.filter((each) => each.startsWith(word)))
        expect(result.toSorted()).toEqual(expected.toSorted())
      }),
      { numRuns: 3_000 },
    )
  })
  test('the same change of both is made once', () => {
    expect(merged('a\nb\n', 'a\nx\nb\n', 'a\nx\nb\n')).toBe('a\nx\nb\n')
    expect(merged('a\nb\nc\n', 'a\nx\nb\nc\n', 'a\nx\nb\nc\nd\n')).toBe('a\nx\nb\nc\nd\n')
  })
  test('one that is alone is made as it is', () => {
    fc.assert(
      fc.property(fc.string({ maxLength: 40 }), fc.string({ maxLength: 40 }), (base, mine) => {
        expect(merged(base, mine, base)).toBe(mine)
        expect(merged(base, base, mine)).toBe(mine)
      }),
    )
  })
})

test('a large edit comes in stages that fit a block and end in the same text', () => {
  const word = fc.string({ unit: fc.constantFrom('a', '🦭', '字', '\n', ' '), minLength: 1, maxLength: 60_000 })
  fc.assert(
    fc.property(word, word, fc.integer({ min: 1, max: 4 }), (before, after, times) => {
      const [from, to] = [before.repeat(times), after.repeat(times)]
      let now = from
      for (const { base, edits, bytes } of stagesOf(from, [{ at: 0, remove: from.length, insert: to }])) {
        expect(base).toBe(now)
        expect(bytes).toBeLessThanOrEqual(Math.max(EDIT_BYTES_TARGET, 135_000))
        for (const { insert } of edits) expect(insert.isWellFormed()).toBe(true)
        now = applyEdits(now, edits)
      }
      expect(now).toBe(to)
    }),
    { numRuns: 50 },
  )
})
