import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { bulletFacts, slugOf } from './bullet-facts.ts'

const facts = (body: string) =>
  bulletFacts(body).map(({ text, headings, within }) => [text, headings.join(' > '), within.join(' > ')])

describe('bullets of a note', () => {
  test('stand under the headings above them', () => {
    const body = '# Top\n- a\n## One\n* b\n### Deep ###\n+ c\n## Two\n- d'
    expect(facts(body)).toEqual([
      ['a', 'Top', ''],
      ['b', 'Top > One', ''],
      ['c', 'Top > One > Deep', ''],
      ['d', 'Top > Two', ''],
    ])
  })
  test('go on over indented and lazy lines, until a blank one at the margin', () => {
    expect(facts('- one\n  goes on\nand on\n- two\n\nprose\n- three\n\n  still three')).toEqual([
      ['one goes on and on', '', ''],
      ['two', '', ''],
      ['three still three', '', ''],
    ])
  })
  test('know what they are nested in, with tabs as with blanks', () => {
    expect(facts('- a\n  - b\n    - c\n- d\n\t- e').map(([text, , within]) => [text, within])).toEqual([
      ['a', ''],
      ['b', 'a'],
      ['c', 'a > b'],
      ['d', ''],
      ['e', 'd'],
    ])
  })
  test('are not taken from code, rules, tables or numbered steps', () => {
    const body =
      '- real\n```sh\n- not this\n# nor this\n```\n- - -\n---\n| - | - |\n1. step\n~~~\n- x\n~~~\n- also real'
    expect(facts(body).map(([text]) => text)).toEqual(['real', 'also real'])
  })
  test('name their line', () => {
    expect(bulletFacts('\n\n- a\n\n- b').map(({ line }) => line)).toEqual([3, 5])
  })
  test('are found in any text without a throw, and each in its own line', () => {
    const line = fc.stringMatching(/^[ \t]{0,4}[-*+#`~0-9.|> ]{0,4}[a-zé #]{0,8}$/)
    fc.assert(
      fc.property(fc.array(line, { maxLength: 30 }), (lines) => {
        const found = bulletFacts(lines.join('\n'))
        expect(found.every(({ text }) => text.trim() !== '')).toBe(true)
        expect(new Set(found.map(({ line }) => line)).size).toBe(found.length)
      }),
    )
  })
  test('a note of 128 KiB in one line is read in good time', () => {
    for (const piece of ['#  ', '- ', '> ', '* *', '` ', '# #'])
      expect(bulletFacts(piece.repeat(43_000)).length).toBeLessThanOrEqual(1)
  })
})

test('a slug keeps letters of any script and nothing that separates ids', () => {
  expect(slugOf('How we Deploy: staging/prod!')).toBe('how-we-deploy-staging-prod')
  expect(slugOf('Fjällbacka, наблюдения & 港')).toBe('fjällbacka-наблюдения-港')
  expect(slugOf('!!!')).toBe('')
  expect(slugOf('x'.repeat(500)).length).toBe(64)
})
