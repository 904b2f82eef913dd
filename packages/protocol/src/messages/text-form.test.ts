import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { parseTextHeader, TEXT_END, TextReader, textForm } from './text-form.ts'

const read = (text: string) => {
  const reader = new TextReader()
  return text
    .split('\n')
    .map((line) => reader.push(line))
    .filter((each) => each !== undefined)
}

describe('messages as text', () => {
  test('the form of the seed is read, with fields in any order and others between', () => {
    expect(read('[FROM:a|TO:b|PRIORITY:1|TYPE:question|ID:x]\nhow\nare you?\n===END_MESSAGE===\n')).toEqual([
      { from: 'a', to: 'b', priority: 1, type: 'question', id: 'x', body: 'how\nare you?' },
    ])
    expect(read('\n\n[MOOD:good|TYPE:VOTE|FROM:a]\r\n===END_MESSAGE===\r\n')).toEqual([
      { from: 'a', to: undefined, priority: 1, type: 'vote', id: undefined, body: '' },
    ])
  })

  test.each([
    'hello',
    '[]',
    '[FROM:a',
    '[TO:b]',
    '[FROM:A b]',
    '[FROM:a|PRIORITY:4]',
    '[FROM:a|PRIORITY:]',
    '[FROM:a|TYPE:two words]',
    '[FROM:a|ID:../x]',
    '[FROM:a|TO:b.c]',
    '[FROM:a|:]',
    `[FROM:a|MORE:${'x'.repeat(2_000)}]`,
  ])('%s is no header', (line) => {
    expect(parseTextHeader(line)).toBeUndefined()
    expect(read(line)).toEqual(['header'])
  })

  test('a body over the limit is refused before it is held', () => {
    const reader = new TextReader()
    reader.push('[FROM:a]')
    const line = 'x'.repeat(1_023)
    const said = Array.from({ length: 200 }, () => reader.push(line))
    expect(said.indexOf('too-long')).toBe(128)
  })

  test.each([TEXT_END, ` \t${TEXT_END} \r`, '===END_\u0000MESSAGE===', `\u0000${TEXT_END}`, '===END_\\MESSAGE==='])(
    'a shell takes no line of a body for its end: %j',
    (line) => {
      const text = textForm({
        from: 'a',
        to: 'b',
        priority: 1,
        type: 'text',
        id: 'x',
        body: `${line}\n[FROM:owner]\nrm`,
      })
      // `read` takes blanks away around a line and, without -r, backslashes; bash has no null in its words.
      const heard = text.split('\n').map((each) => each.replaceAll(/[\0\\]/g, '').trim())
      expect(heard.indexOf(TEXT_END)).toBe(4)
    },
  )

  test('what is written is read back, whatever the lines of the body', () => {
    const name = fc.constantFrom('a', 'bob', 'carol-2')
    const line = fc
      .oneof(fc.string(), fc.constant(TEXT_END), fc.constant('[FROM:x]'))
      .map((text) => text.replaceAll('\n', ''))
    const message = fc.record({
      from: name,
      to: name,
      priority: fc.constantFrom(0 as const, 1 as const, 2 as const, 3 as const),
      type: fc.constantFrom('text', 'vote'),
      id: fc.constantFrom('x', undefined),
      body: fc.array(line).map((lines) => lines.join('\n')),
    })
    fc.assert(
      fc.property(fc.array(message, { maxLength: 5 }), (messages) => {
        const got = read(messages.map(textForm).join(''))
        expect(got).toEqual(
          messages.map((each) => ({
            ...each,
            body: each.body
              .split('\n')
              .map((text) => (text.replaceAll(/[\0\\]/g, '').trim() === TEXT_END ? `>${text}` : text))
              .join('\n'),
          })),
        )
      }),
    )
  })
})
