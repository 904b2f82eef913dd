import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { ROOT } from '../architecture/sources.ts'
import { allAttacks, attacksIn, attackTable, missingChecks, TABLE, threatRows } from './attack-table.ts'

const ATTACKS_MIN = 60

test('docs/attacks.md is what the tests say', () => {
  expect(readFileSync(join(ROOT, TABLE), 'utf8')).toBe(attackTable(allAttacks(), threatRows()))
})

test('every row of the threat model is attacked and names a check that is there, and every attack names a row', () => {
  const [attacks, rows] = [allAttacks(), threatRows()]
  expect(attacks.length).toBeGreaterThanOrEqual(ATTACKS_MIN)
  expect(new Set(rows.map(({ row }) => row)).size).toBe(rows.length)
  expect([...new Set(attacks.map(({ row }) => row))].sort()).toEqual(rows.map(({ row }) => row).sort())
  expect(missingChecks(rows)).toEqual([])
})

test('no two attacks on a row have one name', () => {
  const names = allAttacks().map(({ row, name }) => `${row}: ${name}`)
  expect(names.filter((name, at) => names.indexOf(name) !== at)).toEqual([])
})

test('an attack is found wherever it stands, and is told with what it stands in', () => {
  const source = [
    "describe('one', () => {",
    "  test('T-relay-1: is it', () => {})",
    '})',
    "describe('two', () => {",
    '  test.each([1, 2])(',
    "    'T-peer-2: counts %d',",
    '    () => {},',
    '  )',
    "  test('is none', () => {})",
    '})',
    'test("T-disk-3: nobody\'s", () => {})',
  ].join('\n')
  expect(attacksIn('a.test.ts', source)).toEqual([
    { row: 'T-relay-1', name: 'one, is it', file: 'a.test.ts' },
    { row: 'T-peer-2', name: 'two, counts %d', file: 'a.test.ts' },
    { row: 'T-disk-3', name: "nobody's", file: 'a.test.ts' },
  ])
})
