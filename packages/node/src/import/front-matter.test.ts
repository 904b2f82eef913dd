import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { splitFrontMatter } from './front-matter.ts'

const read = (yaml: string) => splitFrontMatter(`---\n${yaml}\n---\nbody`).frontMatter

describe('front matter', () => {
  test('is what stands between two rules at the very top', () => {
    expect(splitFrontMatter('---\na: b\n---\nbody\nmore')).toEqual({
      frontMatter: { a: 'b' },
      body: 'body\nmore',
      bodyLine: 4,
    })
    expect(splitFrontMatter('# no\n---\na: b\n---').frontMatter).toBeUndefined()
    expect(splitFrontMatter('---\nnever closed').frontMatter).toBeUndefined()
  })
  test('keeps every scalar as the text that it is', () => {
    expect(read('version: 1.10\nyes: no\nname: "a: b"\nempty:\nnote: x # comment')).toEqual({
      version: '1.10',
      yes: 'no',
      name: 'a: b',
      empty: '',
      note: 'x',
    })
  })
  test('reads lists in both forms, blocks of text and one level of nesting', () => {
    expect(
      read('tags: [a, "b c"]\nmore:\n  - x\n  - y\ntext: |\n  one\n  two\nmetadata:\n  kind: procedure\n  tags: [p]'),
    ).toEqual({
      tags: ['a', 'b c'],
      more: ['x', 'y'],
      text: 'one\ntwo',
      metadata: { kind: 'procedure', tags: ['p'] },
    })
  })
  test('keeps what it cannot read, whole', () => {
    for (const yaml of ['a: {b: c}', 'a: &x 1', 'just words', 'a:\n  b:\n    c: d'])
      expect(read(yaml)).toEqual({ unparsed: yaml })
  })
  test('takes a key like __proto__ for a key', () => {
    const seen = read('__proto__: x') ?? {}
    expect(Object.keys(seen)).toEqual(['__proto__'])
    expect(Object.getPrototypeOf(seen)).toBe(Object.prototype)
  })
  test('never throws and never loses the body', () => {
    fc.assert(
      fc.property(fc.array(fc.stringMatching(/^[-a-z: [\]{}|>"'#]{0,12}$/)), fc.string(), (lines, body) => {
        const { body: seen, frontMatter } = splitFrontMatter(`---\n${lines.join('\n')}\n---\n${body}`)
        expect(frontMatter).toBeDefined()
        expect(seen.endsWith(body)).toBe(true)
      }),
    )
  })
})
