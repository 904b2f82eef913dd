import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Level } from 'level'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { readLog } from './log-file.ts'
import { readManifest } from './manifest.ts'
import { readTable } from './table-file.ts'
import { readBatch } from './write-batch.ts'

let directory: string
const tables: Uint8Array[] = []
let log: Uint8Array
let manifest: Uint8Array
const truth = new Map<string, string>()

/** A database as classic-level writes it: compressed tables with filters, a log that holds the last changes. */
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'sealmesh-level-'))
  const level = new Level(directory)
  await level.open()
  for (let i = 0; i < 900; i++) {
    const [key, value] = [`key ${i % 700}`, `value ${i} ${'again and '.repeat(i % 9)} ${Math.sin(i)}`]
    truth.set(key, value)
    await level.put(key, value)
  }
  await level.close()
  await level.open() // Which turns the log into a table.
  await level.put('late', 'in the log')
  await level.del('key 3')
  await level.close()
  for (const name of (await readdir(directory)).toSorted()) {
    const bytes = new Uint8Array(await readFile(join(directory, name)))
    if (name.endsWith('.ldb')) tables.push(bytes)
    if (name.endsWith('.log')) log = bytes
    if (name.startsWith('MANIFEST')) manifest = bytes
  }
})
afterAll(() => rm(directory, { recursive: true }))

const text = (bytes: Uint8Array | undefined) => bytes && Buffer.from(bytes).toString()

function contents(bytes: Uint8Array): Map<string, string | undefined> {
  const found = new Map<string, string | undefined>()
  const sequences = new Map<string, number>()
  for (const { key, value, sequence } of readTable(bytes).entries()) {
    const name = text(key) ?? ''
    if (!name.startsWith('key ') || sequence <= (sequences.get(name) ?? -1)) continue
    sequences.set(name, sequence)
    found.set(name, text(value))
  }
  return found
}

test('tables, logs and manifests of a real database are read as LevelDB reads them', () => {
  expect(tables).toHaveLength(1)
  expect(readTable(tables[0]!).damaged).toEqual([])
  expect(contents(tables[0]!)).toEqual(truth)
  const { records, damagedAt, torn } = readLog(log)
  expect([damagedAt, torn]).toEqual([[], false])
  const changes = records.flatMap(({ payload }) => readBatch(payload))
  expect(changes.map(({ key, value }) => [text(key), text(value)])).toEqual([
    ['late', 'in the log'],
    ['key 3', undefined],
  ])
  const { tables: live, damaged, logNumber } = readManifest(manifest)
  expect([[...live.values()], damaged, logNumber > 0]).toEqual([[tables[0]!.length], false, true])
})

test('every flipped bit of a table is found', () => {
  const table = tables[0]!
  for (let bit = 0; bit < table.length * 8; bit += 1009) {
    const flipped = Uint8Array.from(table)
    flipped[bit >> 3]! ^= 1 << (bit & 7)
    expect(readTable(flipped).damaged, `bit ${bit}`).not.toEqual([])
    for (const { key, value } of readTable(flipped).entries()) void [key, value] // Never throws.
  }
})

test('without its index and footer a table still gives all its entries', () => {
  const table = Uint8Array.from(tables[0]!)
  table.fill(7, table.length - 48)
  expect(contents(table)).toEqual(truth)
})

test('every flipped bit of a log is found, and takes along one record at most or the rest of its block', () => {
  for (let bit = 0; bit < log.length * 8; bit++) {
    const flipped = Uint8Array.from(log)
    flipped[bit >> 3]! ^= 1 << (bit & 7)
    const { damagedAt, torn, records } = readLog(flipped)
    expect(damagedAt.length > 0 || torn, `bit ${bit}`).toBe(true)
    for (const { payload } of records) readBatch(payload)
  }
  for (let bit = 0; bit < manifest.length * 8; bit++) {
    const flipped = Uint8Array.from(manifest)
    flipped[bit >> 3]! ^= 1 << (bit & 7)
    const read = readManifest(flipped)
    expect(read.damaged || readLog(flipped).torn, `bit ${bit}`).toBe(true)
  }
})

test('a log that was cut is torn, not damaged, and keeps what came before', () => {
  for (let length = log.length - 1; length > 40; length--) {
    const { damagedAt, torn, records } = readLog(log.subarray(0, length))
    expect([damagedAt, torn || records.length === 1]).toEqual([[], true])
  }
})
