import { cp, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { utf8 } from '@sealmesh/protocol/bytes'
import { Level } from 'level'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { COUNT_KEY, metaKey, VERSION_KEY } from './keys.ts'
import { openSoundStore } from './open-store.ts'

/**
 * A database with tables and a log, copied for each test: named values `m0`..`m39`, which have a second copy, and 300
 * entries of another table, which have none.
 */
let directory: string
let whole: string
let db: string
let cases = 0
const ENTRIES = 300
const SOUND = { reasons: [], rebuilt: undefined, fellBack: undefined, restored: 0 }

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'sealmesh-open-'))
  whole = join(directory, 'whole')
  for (const part of [0, 1, 2]) {
    const { store, close } = await open(join(whole, 'db'))
    for (let i = 0; i < ENTRIES / 3; i++) {
      const at = part * (ENTRIES / 3) + i
      await store.commit([{ type: 'put', key: entryKey(at), value: utf8(`entry ${at}`) }])
      if (i < 40) await store.commit([{ type: 'put', key: metaKey(`m${i}`), value: utf8(`value ${i} of ${part}`) }])
    }
    await close()
  }
})
afterAll(() => rm(directory, { recursive: true }))
beforeEach(async () => {
  cases += 1
  await cp(whole, join(directory, `case${cases}`), { recursive: true })
  db = join(directory, `case${cases}`, 'db')
})

const open = (path: string) =>
  openSoundStore(path, { now: Date.now, monotonicMs: () => performance.now(), mirrored: true })
const entryKey = (at: number) => Uint8Array.of(0x30, at >> 8, at & 0xff)

/** How many of both are there; what is there is always what was written. */
async function counted(path = db) {
  const { store, health, close } = await open(path)
  let entries = 0
  let values = 0
  for (let at = 0; at < ENTRIES; at++) {
    const value = await store.get(entryKey(at)).catch(() => undefined)
    if (value !== undefined) expect(Buffer.from(value).toString()).toBe(`entry ${at}`)
    entries += value === undefined ? 0 : 1
  }
  for (let at = 0; at < 40; at++) {
    const value = await store.get(metaKey(`m${at}`))
    if (value !== undefined) expect(Buffer.from(value).toString()).toBe(`value ${at} of 2`)
    values += value === undefined ? 0 : 1
  }
  await close()
  return { health, entries, values }
}

async function file(pattern: RegExp): Promise<string> {
  const name = (await readdir(db)).find((each) => pattern.test(each))
  if (name === undefined) throw new Error(`no file like ${pattern}`)
  return join(db, name)
}

async function flip(path: string, share: number): Promise<void> {
  const bytes = await readFile(path)
  bytes[Math.floor(bytes.length * share)]! ^= 16
  await writeFile(path, bytes)
}

test('a database that is whole is opened as it is', async () => {
  const { health, entries, values } = await counted()
  expect(health).toEqual(SOUND)
  expect([entries, values]).toEqual([ENTRIES, 40])
})

for (const [what, damage] of [
  ['CURRENT deleted', async () => rm(join(db, 'CURRENT'))],
  ['CURRENT flipped', async () => flip(join(db, 'CURRENT'), 0.5)],
  ['the manifest deleted', async () => rm(await file(/^MANIFEST/))],
  ['the manifest flipped', async () => flip(await file(/^MANIFEST/), 0.3)],
] as const)
  test(`${what}: everything is found again`, async () => {
    await damage()
    const { health, entries, values } = await counted()
    expect(health.reasons).toHaveLength(1)
    expect([entries, values]).toEqual([ENTRIES, 40])
    expect((await readdir(health.rebuilt?.keptIn ?? '')).length).toBeGreaterThan(0)
    expect((await stat(db)).mode & 0o777).toBe(0o700)
    expect((await counted()).health.reasons).toEqual([])
  })

test('a flipped bit in the log costs one entry at most', async () => {
  await flip(await file(/\.log$/), 0.4)
  const { health, entries, values } = await counted()
  expect(health.reasons).toEqual(['the log has changed'])
  expect(entries).toBeGreaterThanOrEqual(ENTRIES - 1)
  expect(values).toBe(40)
})

test('a last record that seems cut off, as after a crash, is noticed all the same', async () => {
  const log = await file(/\.log$/)
  const bytes = await readFile(log)
  await writeFile(log, bytes.subarray(0, -3))
  const { health, entries, values } = await counted()
  expect(health).toMatchObject({ reasons: [], fellBack: {} })
  expect([entries, values]).toEqual([ENTRIES - 1, 40])
})

test('a deleted log is noticed, and the named values come back', async () => {
  await rm(await file(/\.log$/))
  const { health, entries, values } = await counted()
  expect(health.reasons).toEqual(['the log is missing'])
  expect(health.fellBack).toBeDefined()
  expect([entries, values]).toEqual([200, 40])
})

test('a deleted table is noticed, and what lies elsewhere is kept', async () => {
  await rm(await file(/\.ldb$/))
  const { health, entries, values } = await counted()
  expect(health.reasons).toEqual(['a table is missing'])
  expect(entries).toBeLessThan(ENTRIES)
  expect(entries).toBeGreaterThan(0)
  expect(values).toBe(40)
})

test('a database that is gone is noticed, and the named values come back', async () => {
  await rm(db, { recursive: true })
  const { health, entries, values } = await counted()
  expect(health.fellBack).toMatchObject({ found: null })
  expect([entries, values]).toEqual([0, 40])
})

test('an older copy of the database is noticed, once', async () => {
  const older = join(directory, 'older')
  await cp(db, older, { recursive: true })
  const { store, close } = await open(db)
  await store.commit([{ type: 'put', key: entryKey(1), value: utf8('entry 1') }])
  await close()
  await rm(db, { recursive: true })
  await cp(older, db, { recursive: true })
  await rm(older, { recursive: true })
  expect((await counted()).health.fellBack).toBeDefined()
  expect((await counted()).health.fellBack).toBeUndefined()
})

test('one flipped bit anywhere in the copy costs nothing, though the database is gone', async () => {
  const copy = await readFile(`${db}.mirror`)
  for (let bit = 5; bit < 8 * copy.length; bit += 1501) {
    // A line that ends elsewhere is two bits of damage or more.
    const flipped = Uint8Array.from(copy)
    flipped[bit >> 3]! ^= 1 << (bit & 7)
    if (copy[bit >> 3] === 10 || flipped[bit >> 3] === 10) continue
    await rm(db, { recursive: true })
    await writeFile(`${db}.mirror`, flipped)
    expect(await counted(), `bit ${bit}`).toMatchObject({ entries: 0, values: 40 })
  }
})

test('a damaged pin or copy says nothing, and is written anew', async () => {
  await flip(`${db}.pin`, 0.5)
  await flip(`${db}.mirror`, 0.5)
  expect(await counted()).toMatchObject({ entries: ENTRIES, values: 40, health: { fellBack: undefined } })
  await rm(db, { recursive: true })
  expect(await counted()).toMatchObject({ entries: 0, values: 40, health: { fellBack: { found: null } } })
})

for (const [what, key] of [
  ['format version', VERSION_KEY],
  ['count of batches', COUNT_KEY],
] as const)
  test(`every flipped bit of the ${what} is survived, and every entry is there`, async () => {
    const bits = await onDisk(async (level) => 8 * ((await level.get(key))?.length ?? 0))
    expect(bits).toBeGreaterThan(32)
    for (let bit = 0; bit < bits; bit += 7) {
      await onDisk(async (level) => {
        const value = Uint8Array.from((await level.get(key)) ?? [])
        value[bit >> 3]! ^= 1 << (bit & 7)
        await level.put(key, value)
      })
      expect(await counted(), `bit ${bit}`).toMatchObject({ entries: ENTRIES, values: 40, health: SOUND })
    }
  })

test('a whole version that is not ours is left alone', async () => {
  const { store, close } = await open(db)
  await store.commit([{ type: 'put', key: VERSION_KEY, value: Uint8Array.of(9) }])
  await close()
  await expect(open(db)).rejects.toMatchObject({ code: 'STORE_VERSION' })
})

async function onDisk<T>(look: (level: Level<Uint8Array, Uint8Array>) => Promise<T>): Promise<T> {
  const level = new Level<Uint8Array, Uint8Array>(db, { keyEncoding: 'view', valueEncoding: 'view' })
  await level.open()
  try {
    return await look(level)
  } finally {
    await level.close()
  }
}
