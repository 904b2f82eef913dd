import { view } from './test-view.ts'
import { expect, test } from 'vitest'
import { BOOK_MAX, learn } from './performance.ts'
import type { PerformanceBook } from './performance.ts'
import { LOAD_ALONE, ranked } from './selection.ts'
import type { Situation } from './selection.ts'

const NOBODY: Situation = { views: [], book: new Map(), given: new Map() }

test('the choice prefers room, nearness and good experience, and after a loss room alone', () => {
  const views = [view('far', { here: false }), view('near', { load: 1 }), view('full', { load: 2 })]
  const none = new Set<string>()
  expect(ranked('build', { ...NOBODY, views }, none)).toEqual(['far', 'near'])
  const bad = learn(learn(new Map(), 'far', { ok: false, tookMs: null }), 'far', { ok: false, tookMs: null })
  expect(ranked('build', { ...NOBODY, views, book: bad }, none)).toEqual(['near', 'far'])
  expect(ranked('build', { ...NOBODY, views, book: bad }, none, LOAD_ALONE)).toEqual(['far', 'near'])
  const slow = learn(new Map(), 'far', { ok: true, tookMs: 60_000 })
  expect(ranked('build', { ...NOBODY, views, book: slow }, none)).toEqual(['near', 'far'])
  const given = new Map([['far', 2]])
  expect(ranked('build', { ...NOBODY, views, given }, none)).toEqual(['near'])
  const absent = [view('a', { state: 'away' }), view('b', { status: 'away' }), view('c', { capabilities: [] })]
  expect(ranked('build', { ...NOBODY, views: absent }, none)).toEqual([])
})

test('no more agents are remembered than fit the book', () => {
  let book: PerformanceBook = new Map()
  for (let at = 0; at < BOOK_MAX + 10; at++) book = learn(book, `a${at}`, { ok: true, tookMs: 1 })
  expect(book.size).toBe(BOOK_MAX)
  expect(book.has('a0')).toBe(false)
})
