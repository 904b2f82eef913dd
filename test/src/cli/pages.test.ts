import { readFileSync } from 'node:fs'
import { reactions } from '@sealmesh/protocol/errors'
import { methods } from '@sealmesh/protocol/ipc/methods'
import { describe, expect, test } from 'vitest'

const page = (path: string): string => readFileSync(new URL(`../../../docs/${path}`, import.meta.url), 'utf8')

/** The cells of each table row that begins with `first`. */
const rowsOf = (text: string, first: RegExp): string[][] =>
  text
    .split('\n')
    .filter((line) => line.startsWith('|') && first.test(line))
    .map((line) =>
      line
        .slice(1, -1)
        .split('|')
        .map((cell) => cell.trim()),
    )

describe('docs/errors.md', () => {
  const errors = page('errors.md')

  test('has a row for every code, with the reaction of the table in the program, in its order', () => {
    const expected = Object.entries(reactions).map(([code, { exit, retry, next }]) => [
      `\`${code}\``,
      String(exit),
      retry ? 'yes' : 'no',
      next,
    ])
    expect(rowsOf(errors, /^\| `[A-Z_]+` /).map(([code, , ...reaction]) => [code, ...reaction])).toEqual(expected)
  })
  test('says of every code what it means', () => {
    for (const [code, meaning] of rowsOf(errors, /^\| `[A-Z_]+` /)) expect(meaning?.length, code).toBeGreaterThan(10)
  })
  test('explains every exit code that a failure can give', () => {
    const explained = new Set(rowsOf(errors, /^\| \d+ /).map(([exit]) => Number(exit)))
    expect(Object.values(reactions).filter(({ exit }) => !explained.has(exit))).toEqual([])
  })
})

test('docs/spec/06-local-socket.md lists every method and no other', () => {
  const listed = rowsOf(page('spec/06-local-socket.md'), /^\| `[a-z.-]+` \| /).map(([name]) => name?.slice(1, -1))
  expect(listed).toEqual(Object.keys(methods))
})
