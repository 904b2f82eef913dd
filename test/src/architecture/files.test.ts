import { basename } from 'node:path'
import { expect, test } from 'vitest'
import { readSource, sourceFiles } from './sources.ts'

const LINES_MAX = 500
const all = sourceFiles('packages', 'examples', 'bench', 'test')

test('no source is longer than 500 lines', () => {
  const long = all
    .map((path) => ({ path, lines: readSource(path).split('\n').length - 1 }))
    .filter(({ lines }) => lines > LINES_MAX)
  expect(long).toEqual([])
})

test('no file is named utils, helpers or common', () => {
  expect(all.filter((path) => path.split('/').some((part) => /^(utils?|helpers?|common)(\.|$)/.test(part)))).toEqual([])
})

test('file names are kebab-case, with a test beside what it tests', () => {
  expect(all.filter((path) => !/^[a-z0-9-]+((\.[a-z-]+)?\.(test|contract))?\.ts$/.test(basename(path)))).toEqual([])
})

test('no source postpones work in a comment', () => {
  const mark = new RegExp(`\\b(${['TO', 'FIX', 'X'].map((start, at) => start + ['DO', 'ME', 'XX'][at]).join('|')})\\b`)
  expect(all.filter((path) => mark.test(readSource(path)))).toEqual([])
})
