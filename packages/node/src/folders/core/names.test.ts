import { describe, expect, test } from 'vitest'
import { besideName, faultInPath, foldOf, keyOf } from './names.ts'

describe('a path', () => {
  test('that any machine may have is taken', () => {
    for (const path of ['MEMORY.md', 'notes/2026/a b.md', '.hidden', 'é.md', '日記.md', 'con-fig.md', 'a(1).md'])
      expect(faultInPath(path), path).toBe(undefined)
  })
  test('that leads out, or is no path, is not', () => {
    for (const path of ['', '/etc/passwd', '../a', 'a/../b', 'a//b', './a', 'a/', 'C:/a', 'c:a'])
      expect(faultInPath(path), path).toBe('escapes the folder')
    expect(faultInPath('e\u0301.md')).toBe('escapes the folder')
  })
  test('that shows as another one, or as none, is not', () => {
    for (const path of ['a\u0000b', 'a\nb', 'a\u202egpj.exe', 'a\u200bb', '\ud83e', '\u007f', 'a\u009b0m'])
      expect(faultInPath(path), JSON.stringify(path)).toBe('a control character or a lone surrogate')
  })
  test('that Windows cannot have is not', () => {
    for (const path of ['con', 'NUL.txt', 'notes/aux.md', 'a.', 'a ', 'b/c?.md', 'x:y.md', 'a\\b', 'com1', 'lpt9.log'])
      expect(faultInPath(path), path).not.toBe(undefined)
  })
  test('of our own files, too long or too deep is not', () => {
    expect(faultInPath('.sealmesh-1.new')).toBe("one of Sealmesh's own names")
    expect(faultInPath('a/.SealMesh-x')).toBe("one of Sealmesh's own names")
    expect(faultInPath('x'.repeat(201))).toBe('too long or too deep')
    expect(faultInPath(Array.from({ length: 33 }, () => 'a').join('/'))).toBe('too long or too deep')
  })
})

test('a key is the same however Unicode spells the name, and case does not tell names apart', () => {
  expect(keyOf('e\u0301.md')).toBe('é.md')
  expect(foldOf('README.md')).toBe(foldOf('ReadMe.MD'))
  expect(foldOf('ﬁle')).toBe(foldOf('FILE'))
})

test('a name beside another keeps its ending, and fits', () => {
  expect(besideName('a/logo.png', '3fa2b1')).toBe('a/logo (3fa2b1).png')
  expect(besideName('.hidden', '3fa2b1')).toBe('.hidden (3fa2b1)')
  expect(faultInPath(besideName(`${'日'.repeat(60)}.md`, '3fa2b1'))).toBe(undefined)
})
