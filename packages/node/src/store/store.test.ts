import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { utf8 } from '@sealmesh/protocol/bytes'
import { Level } from 'level'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { type Database, LevelDatabase, type Operation } from './database.ts'
import { metaKey, VERSION_KEY } from './keys.ts'
import { openStore, type Store } from './store.ts'

let directory: string
const stores: Store[] = []

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'sealmesh-store-'))
})

afterEach(async () => {
  for (const store of stores.splice(0)) await store.close()
  await rm(directory, { recursive: true })
})

async function open(database?: Database): Promise<Store> {
  const store = await openStore(directory, database)
  stores.push(store)
  return store
}

const put = (name: string, value: string): Operation => ({ type: 'put', key: metaKey(name), value: utf8(value) })
const read = async (store: Store, name: string): Promise<string | undefined> => {
  const value = await store.get(metaKey(name))
  return value && Buffer.from(value).toString()
}

/** A real database behind a disk that a test can fill, slow down or let fail in its fsync. */
class FaultyDatabase extends LevelDatabase {
  writes: Operation[][] = []
  fault: 'none' | 'full' | 'fsync' = 'none'
  free = Number.MAX_SAFE_INTEGER
  opened = 0
  reopens = true
  gate: Promise<void> = Promise.resolve()

  override async open(): Promise<void> {
    if (!this.reopens) throw new Error('IO error: 000007.ldb: No space left on device')
    this.opened += 1
    await super.open()
  }

  override async write(operations: readonly Operation[]): Promise<void> {
    this.writes.push([...operations])
    await this.gate
    if (this.fault === 'full') throw new Error('IO error: 000003.log: No space left on device')
    await super.write(operations)
    // As when the log took the batch and the disk then refused to flush it: on disk, and reported as failed.
    if (this.fault === 'fsync') throw new Error('IO error: 000003.log: Input/output error')
  }

  override async bytesFree(): Promise<number> {
    return this.free
  }
}

test('a value without bytes is read back, whatever memory it had', async () => {
  const store = await open()
  for (const value of [new TextEncoder().encode(''), new Uint8Array(0), Buffer.alloc(8).subarray(4, 4)]) {
    await store.commit([{ type: 'put', key: metaKey('nothing'), value }])
    expect(await store.get(metaKey('nothing'))).toHaveLength(0)
  }
})

test('commits of one turn share one batch, and those that come during its flight share the next', async () => {
  const database = new FaultyDatabase(directory)
  const store = await open(database)
  database.writes = []
  let release = () => {}
  database.gate = new Promise((resolve) => {
    release = resolve
  })
  const first = [put('a', '1'), put('b', '2'), put('c', '3')].map((operation) => store.commit([operation]))
  await vi.waitFor(() => expect(database.writes).toHaveLength(1))
  const second = [put('d', '4'), put('e', '5')].map((operation) => store.commit([operation]))
  release()
  await Promise.all([...first, ...second])
  expect(database.writes.map((batch) => batch.length)).toEqual([3, 2])
})

test('work given as a function is asked for when its batch is put together, so that it takes along what came meanwhile', async () => {
  const database = new FaultyDatabase(directory)
  const store = await open(database)
  let release = () => {}
  database.gate = new Promise((resolve) => {
    release = resolve
  })
  const before = store.commit([put('a', '1')])
  await vi.waitFor(() => expect(database.writes).toHaveLength(2))
  const gathered: Operation[] = []
  const late = store.commit(() => gathered)
  await new Promise(setImmediate)
  gathered.push(put('b', '2'))
  release()
  await Promise.all([before, late])
  expect(await read(store, 'b')).toBe('2')
})

test('a commit resolves only after its batch is written', async () => {
  const database = new FaultyDatabase(directory)
  const store = await open(database)
  let release = () => {}
  database.gate = new Promise((resolve) => {
    release = resolve
  })
  let acknowledged = false
  const commit = store.commit([put('a', '1')]).then(() => {
    acknowledged = true
  })
  await vi.waitFor(() => expect(database.writes).toHaveLength(2))
  await new Promise(setImmediate)
  expect(acknowledged).toBe(false)
  release()
  await commit
  expect(acknowledged).toBe(true)
})

test('every batch is written with sync', async () => {
  const level = new Level<Uint8Array, Uint8Array>(join(directory, 'spied'))
  await level.open()
  const write = vi.spyOn(Object.getPrototypeOf(level.batch()), 'write')
  const store = await open()
  await store.commit([put('a', '1')])
  expect(write.mock.calls.length).toBeGreaterThan(0)
  for (const [options] of write.mock.calls) expect(options).toEqual({ sync: true })
  write.mockRestore()
  await level.close()
})

test('work that throws fails its own commit only', async () => {
  const store = await open()
  const good = store.commit([put('a', '1')])
  const bad = store.commit(() => {
    throw new Error('no')
  })
  await expect(bad).rejects.toThrow('no')
  await good
  expect(await read(store, 'a')).toBe('1')
})

test('what was committed is there after a restart, in key order', async () => {
  const store = await open()
  await Promise.all([store.commit([put('b', '2')]), store.commit([put('a', '1')]), store.commit([put('c', '3')])])
  await store.commit([{ type: 'delete', key: metaKey('b') }])
  await store.close()
  const again = await open()
  const seen: string[] = []
  for await (const [, value] of again.read({ from: metaKey('a'), to: metaKey('d') }))
    seen.push(Buffer.from(value).toString())
  expect(seen).toEqual(['1', '3'])
  const backwards: string[] = []
  for await (const [, value] of again.read({ from: metaKey('a'), to: metaKey('d'), reverse: true }))
    backwards.push(Buffer.from(value).toString())
  expect(backwards).toEqual(['3', '1'])
})

test('a full disk fails exactly the commits of that batch, and the store goes on when there is room', async () => {
  const database = new FaultyDatabase(directory)
  const store = await open(database)
  await store.commit([put('a', 'before')])
  database.fault = 'full'
  const failed = [store.commit([put('a', 'lost')]), store.commit([put('b', 'lost')])]
  for (const each of failed) await expect(each).rejects.toMatchObject({ code: 'DISK_FULL' })
  database.free = 0
  database.fault = 'none'
  await expect(store.commit([put('c', 'lost')])).rejects.toMatchObject({ code: 'DISK_FULL' })
  expect(await read(store, 'a')).toBe('before')
  database.free = Number.MAX_SAFE_INTEGER
  await store.commit([put('d', 'after')])
  expect(database.opened).toBe(2)
  await store.close()
  const again = await open()
  expect([await read(again, 'a'), await read(again, 'b'), await read(again, 'c'), await read(again, 'd')]).toEqual([
    'before',
    undefined,
    undefined,
    'after',
  ])
})

test('a batch that reached the disk although its fsync failed is taken back before anything else is written', async () => {
  const database = new FaultyDatabase(directory)
  const store = await open(database)
  await store.commit([put('a', 'before')])
  database.fault = 'fsync'
  // The real one keeps the failed batch out of its memory but not out of its log; the fake shows it at once.
  const values = new Map<string, Uint8Array | undefined>([
    ['a', await LevelDatabase.prototype.get.call(database, metaKey('a'))],
    ['b', undefined],
  ])
  const real = database.get.bind(database)
  database.get = (key) => {
    const name = Buffer.from(key.subarray(1)).toString()
    return values.has(name) ? Promise.resolve(values.get(name)) : real(key)
  }
  await expect(store.commit([put('a', 'lost'), put('b', 'lost')])).rejects.toMatchObject({ code: 'DISK_FAILED' })
  database.fault = 'none'
  await store.commit([put('c', 'after')])
  database.get = real
  expect([await read(store, 'a'), await read(store, 'b'), await read(store, 'c')]).toEqual([
    'before',
    undefined,
    'after',
  ])
})

test('a store that could not be reopened answers with the failure, and opens again by itself when it can', async () => {
  const database = new FaultyDatabase(directory)
  const store = await open(database)
  await store.commit([put('a', '1')])
  database.fault = 'full'
  await expect(store.commit([put('b', '2')])).rejects.toMatchObject({ code: 'DISK_FULL' })
  database.fault = 'none'
  database.reopens = false
  await expect(store.commit([put('b', '2')])).rejects.toMatchObject({ code: 'DISK_FULL' })
  await expect(read(store, 'a')).rejects.toMatchObject({ code: 'DISK_FULL' })
  database.reopens = true
  expect(await read(store, 'a')).toBe('1')
  await store.commit([put('b', '2')])
  expect(await read(store, 'b')).toBe('2')
})

test('a reader that is under way when the database is reopened sees every entry once', async () => {
  const database = new FaultyDatabase(directory)
  const store = await open(database)
  const names = Array.from({ length: 1_000 }, (_, i) => `k${String(i).padStart(4, '0')}`)
  await store.commit(names.map((name) => put(name, name)))
  const seen: string[] = []
  for await (const [, value] of store.read({ from: metaKey('k'), to: metaKey('l') })) {
    seen.push(Buffer.from(value).toString())
    if (seen.length !== 300) continue
    database.fault = 'full'
    await expect(store.commit([put('x', '1')])).rejects.toMatchObject({ code: 'DISK_FULL' })
    database.fault = 'none'
    await store.commit([put('x', '1')])
  }
  expect(seen).toEqual(names)
})

test('a flipped bit in a stored value is noticed and named', async () => {
  const store = await open()
  await store.commit([put('a', 'something worth keeping')])
  await store.close()
  const raw = new Level<Uint8Array, Uint8Array>(directory, { keyEncoding: 'view', valueEncoding: 'view' })
  const value = Uint8Array.from((await raw.get(metaKey('a'))) ?? [])
  value[3] = (value[3] ?? 0) ^ 0x10
  await raw.put(metaKey('a'), value)
  await raw.close()
  const again = await open()
  await expect(again.get(metaKey('a'))).rejects.toMatchObject({ code: 'STORE_DAMAGED', message: /a named value/ })
})

test('a second process is told that the home is in use', async () => {
  await open()
  await expect(openStore(directory)).rejects.toMatchObject({ code: 'HOME_IN_USE' })
})

test('a store of another version is left alone', async () => {
  const store = await open()
  await store.commit([{ type: 'put', key: VERSION_KEY, value: Uint8Array.of(9) }])
  await store.close()
  await expect(openStore(directory)).rejects.toMatchObject({ code: 'STORE_VERSION' })
})

test('closing finishes what was asked for and refuses what comes later', async () => {
  const store = await open()
  const commits = Array.from({ length: 50 }, (_, i) => store.commit([put(`k${i}`, 'v')]))
  await store.close()
  await Promise.all(commits)
  await expect(store.commit([put('late', 'v')])).rejects.toMatchObject({ code: 'CORE_BUSY' })
})
