import { expect, test } from 'vitest'
import { unitPath, unitWords } from './unit-words.ts'

test.each([
  [['/usr/bin/node', 'up', '--port', '443'], '/usr/bin/node up --port 443'],
  [['two words'], '"two words"'],
  [['50%', '$HOME', 'a"b', 'a\\b'], '"50%%" "$$HOME" "a\\"b" "a\\\\b"'],
  [[''], '""'],
  [["it's", ';'], '"it\'s" ";"'],
])('%j stands in a unit as %s', (words, line) => {
  expect(unitWords(words)).toBe(line)
})

test.each(['a\nExecStartPost=/bin/sh', 'a\u0000', '\u007f'])('%j cannot stand in a unit', (word) => {
  expect(() => unitWords([word])).toThrow('control character')
})

test.each(['relative', '/with space', '/a:b', '/a%b', '/a\nb', ''])('%j is no path for a unit', (path) => {
  expect(() => unitPath(path)).toThrow('whole paths of plain characters')
})
