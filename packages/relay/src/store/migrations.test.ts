import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { RelayId } from '@sealmesh/protocol/ids'
import type { LoginPublicKey } from '@sealmesh/protocol/keys'
import type { Sodium } from '@sealmesh/protocol/sodium'
import { loadSodium } from '@sealmesh/sodium/load'
import { Level } from 'level'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { keyName } from '../core/key-name.ts'
import { DEFAULT_LIMITS } from '../core/limits.ts'
import { STORE_FORMAT } from './keys.ts'
import { loadRelay } from './load.ts'
import { MIGRATIONS, migrate } from './migrations.ts'
import { type Database, Store } from './store.ts'

let directory: string
let sodium: Sodium

beforeEach(async () => {
  sodium = await loadSodium()
  directory = mkdtempSync(join(tmpdir(), 'sealmesh-format-'))
})
afterEach(() => rmSync(directory, { recursive: true, force: true }))

const of = (byte: number): Buffer => Buffer.alloc(32, byte)
const [MESH, NODE, INVITED, ADMIN, REMOVED] = [of(1), of(2), of(3), of(4), of(5)]
const nothing = { onPersisted() {}, onFailed() {}, onTrouble() {}, onGroup() {} }
const open = (): Promise<Store> =>
  Store.open(
    directory,
    nothing,
    () => 0,
    (db, format) => migrate(db, format, sodium),
  )

/** As the first format wrote it: packets under the id of a login's one mailbox, keys in clear. */
async function firstFormat(format = '1'): Promise<void> {
  const db: Database = new Level(directory, { keyEncoding: 'buffer', valueEncoding: 'buffer' })
  const login = (loginKey: Buffer, kind: string): Buffer =>
    Buffer.from(
      JSON.stringify({
        mesh: MESH.toString('hex'),
        loginKey: loginKey.toString('hex'),
        kind,
        onlyTo: null,
        expiresMs: 0,
        adminKey: ADMIN.toString('hex'),
        through: [ADMIN.toString('hex')],
      }),
    )
  const [mailbox, other, sequence] = [of(9), of(10), Buffer.from('0000000000000001', 'hex')]
  await db.batch([
    ...[
      ['v', Buffer.from(format)] as const,
      ['g', Buffer.alloc(16, 7)] as const,
      ['c', Buffer.from('0000000000000005', 'hex')] as const,
      ['kcode', Buffer.alloc(0)] as const,
    ].map(([key, value]) => ({ type: 'put' as const, key: Buffer.from(key), value })),
    ...[
      [['m', MESH], Buffer.alloc(0)] as const,
      [['r', MESH, Buffer.of(0), REMOVED], Buffer.alloc(0)] as const,
      [['r', MESH, Buffer.of(1), ADMIN], Buffer.alloc(0)] as const,
      [['l', mailbox], login(NODE, 'node')] as const,
      [['l', other], login(INVITED, 'invite')] as const,
      [['x', mailbox], Buffer.from('0000000000000003', 'hex')] as const,
      [['i', mailbox, sequence], Buffer.alloc(12, 1)] as const,
      [['p', mailbox, sequence], Buffer.alloc(100)] as const,
    ].map(([parts, value]) => ({
      type: 'put' as const,
      key: Buffer.concat(parts.map((part) => Buffer.from(part))),
      value,
    })),
  ])
  await db.close()
}

test('format 1 comes over with its meshes, logins, removed keys and spent codes, and names a new generation', async () => {
  await firstFormat()
  const store = await open()
  const generation = await store.generation((bytes) => new Uint8Array(bytes).fill(8))
  const state = await loadRelay(store, 'r' as RelayId, generation, DEFAULT_LIMITS, [], sodium)
  await store.close()
  const named = (key: Buffer): string => keyName(key as Uint8Array as LoginPublicKey, sodium)
  // What it had called stored is not there: nodes must look again.
  expect(Buffer.from(generation)).toEqual(Buffer.alloc(16, 8))
  expect(state.counter).toBe(5)
  expect([...state.spentClaims]).toEqual(['code'])
  expect([...state.logins.keys()]).toEqual([named(NODE)])
  expect([...state.logins.values()][0]?.record).toMatchObject({
    kind: 'node',
    admin: named(ADMIN),
    through: [named(ADMIN)],
  })
  const mesh = state.meshes.get(MESH.toString('hex') as never)
  expect([...(mesh?.revokedLogins ?? [])]).toEqual([named(REMOVED)])
  expect([...(mesh?.revokedAdmins ?? [])]).toEqual([named(ADMIN)])
  expect(mesh?.mailboxes.size).toBe(0)
})

test('nothing of the first format is left, and a second start finds the new one', async () => {
  await firstFormat()
  await (await open()).close()
  const store = await open()
  const keys = (await store.db.keys().all()).map((key) => key.toString('hex'))
  const old = [NODE, REMOVED, of(9)].map((bytes) => bytes.toString('hex'))
  expect(keys.filter((key) => old.some((each) => key.includes(each)))).toEqual([])
  expect((await store.db.get(Buffer.from('v')))?.toString()).toBe(STORE_FORMAT)
  await store.close()
})

test('a format that no step leads from is refused, and left as it is', async () => {
  for (const format of ['3', '0', 'x']) {
    await firstFormat(format)
    await expect(open()).rejects.toMatchObject({ code: 'STORE_VERSION' })
    const db: Database = new Level(directory, { keyEncoding: 'buffer', valueEncoding: 'buffer' })
    expect(await db.keys().all()).toHaveLength(12)
    await db.close()
  }
})

test('the steps lead from each to the next, and end at the format of this program', () => {
  for (const [at, { to }] of MIGRATIONS.entries()) expect(MIGRATIONS[at + 1]?.from ?? STORE_FORMAT).toBe(to)
})
