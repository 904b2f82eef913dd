import * as fs from 'node:fs'
import * as os from 'node:os'
import * as path from 'node:path'
import type { DocumentId } from '@sealmesh/protocol/ids'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { type BaseRecord, BaseStore } from './base-store.ts'
import { openStore, type Store } from './store.ts'

const DOCUMENT = 'd'.repeat(64) as DocumentId
const OTHER = 'e'.repeat(64) as DocumentId
const record = (generation: number): BaseRecord => ({
  generation,
  dirty: false,
  tips: [],
  target: [],
  rows: 0,
  bytes: 0,
})

let directory: string
let store: Store
beforeEach(async () => {
  directory = fs.mkdtempSync(path.join(os.tmpdir(), 'sealmesh-bases-'))
  store = await openStore(directory)
})
afterEach(async () => {
  await store.close()
  fs.rmSync(directory, { recursive: true, force: true })
})

test('a base is read from the disk once, until one is written, by whomever', async () => {
  const [bases, elsewhere] = [new BaseStore(store), new BaseStore(store)]
  expect(await bases.read(DOCUMENT)).toBeUndefined()
  await store.commit([elsewhere.put(DOCUMENT, record(1))])
  const first = await bases.read(DOCUMENT)
  expect(first).toEqual(record(1))
  expect(await bases.read(DOCUMENT)).toBe(first)
  await store.commit([elsewhere.remove(DOCUMENT)])
  expect(await bases.read(DOCUMENT)).toBeUndefined()
})

test('what is read while a base is on its way to the disk does not last', async () => {
  const bases = new BaseStore(store)
  for (let generation = 1; generation <= 200; generation++) {
    const written = store.commit([bases.put(DOCUMENT, record(generation))])
    // Before the batch is put together, while it is written, and after.
    const reads = [bases.read(DOCUMENT), bases.read(OTHER)]
    setImmediate(() => reads.push(bases.read(DOCUMENT)))
    await written
    expect((await bases.read(DOCUMENT))?.generation).toBe(generation)
    for (const read of await Promise.all(reads)) expect(read?.generation ?? 0).toBeLessThanOrEqual(generation)
    expect((await bases.read(DOCUMENT))?.generation).toBe(generation)
  }
})

test('replaced files are read anew', async () => {
  const bases = new BaseStore(store)
  await store.commit([bases.put(DOCUMENT, record(1))])
  expect((await bases.read(DOCUMENT))?.generation).toBe(1)
  const copy = path.join(directory, '..', `${path.basename(directory)}-copy`)
  await store.replaceFiles(async () => fs.cpSync(directory, copy, { recursive: true }))
  await store.commit([bases.put(DOCUMENT, record(2))])
  expect((await bases.read(DOCUMENT))?.generation).toBe(2)
  await store.replaceFiles(async () => {
    fs.rmSync(directory, { recursive: true })
    fs.renameSync(copy, directory)
  })
  expect((await bases.read(DOCUMENT))?.generation).toBe(1)
})
