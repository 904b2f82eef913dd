import { randomBytes } from 'node:crypto'
import { chmod, readdir, readFile, rename, rm, stat, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { inspect } from 'node:util'
import { KeyStore } from '@sealmesh/node/keys/key-store'
import { toHex } from '@sealmesh/protocol/bytes'
import { Failure } from '@sealmesh/protocol/errors'
import type { AgentId } from '@sealmesh/protocol/ids'
import type { SealPublicKey } from '@sealmesh/protocol/keys'
import { loadSodium } from '@sealmesh/sodium/load'
import { describe, expect, test } from 'vitest'
import { temporaryHome } from './temporary-home.ts'

const deps = { sodium: await loadSodium(), random: (bytes: number) => new Uint8Array(randomBytes(bytes)) }

async function newStore(options = { root: true }) {
  const home = await temporaryHome()
  return { home, store: await KeyStore.create(home.keys, deps, options) }
}

async function filesUnder(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true })
  return entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name))
}

async function failureOf(promise: Promise<unknown>): Promise<Failure> {
  const thrown = await promise.then(
    () => undefined,
    (error: unknown) => error,
  )
  expect(thrown).toBeInstanceOf(Failure)
  return thrown as Failure
}

describe('creating and loading', () => {
  test('what is loaded is what was created, prekeys and agents included', async () => {
    const { home, store } = await newStore()
    const [prekey, agent] = [await store.addPrekey(), await store.addAgent()]
    const again = await KeyStore.load(home.keys, deps)
    for (const role of ['sign', 'login', 'foundingAgent', 'root'] as const) {
      expect(again[role]?.publicKey).toEqual(store[role]?.publicKey)
      expect(again[role]?.secretKey.expose()).toEqual(store[role]?.secretKey.expose())
    }
    expect(again.prekeys().map((keys) => keys.secretKey.expose())).toEqual([prekey.secretKey.expose()])
    const agentId = toHex(agent.publicKey) as AgentId
    expect(again.agentKeys(agentId)?.secretKey.expose()).toEqual(agent.secretKey.expose())
    expect(again.agentKeys(toHex(store.foundingAgent.publicKey) as AgentId)).toBeDefined()
  })
  test('the keys of the roles differ', async () => {
    const { store } = await newStore()
    const publics = [store.sign, store.login, store.foundingAgent, store.root].map((keys) =>
      toHex(keys?.publicKey ?? new Uint8Array()),
    )
    expect(new Set(publics).size).toBe(4)
  })
  test('a node that joins has no root key', async () => {
    const { home, store } = await newStore({ root: false })
    expect(store.root).toBeUndefined()
    expect((await KeyStore.load(home.keys, deps)).root).toBeUndefined()
  })
  test('every file is 0600 and every folder 0700, whatever the umask', async () => {
    const before = process.umask(0)
    try {
      const { home, store } = await newStore()
      await store.addPrekey()
      await store.addAgent()
      const files = await filesUnder(home.keys)
      expect(files).toHaveLength(6)
      for (const file of files) expect((await stat(file)).mode & 0o777).toBe(0o600)
      for (const folder of ['', 'agents', 'prekeys'])
        expect((await stat(join(home.keys, folder))).mode & 0o777).toBe(0o700)
    } finally {
      process.umask(before)
    }
  })
  test('an identity is never overwritten', async () => {
    const { home, store } = await newStore()
    expect((await failureOf(KeyStore.create(home.keys, deps, { root: true }))).code).toBe('ALREADY_JOINED')
    expect((await KeyStore.load(home.keys, deps)).sign.publicKey).toEqual(store.sign.publicKey)
  })
  test('a crash while creating leaves no identity, and the next try makes a whole one', async () => {
    const home = await temporaryHome()
    let left = 3
    const dying = {
      ...deps,
      random: (bytes: number) => {
        if (left-- === 0) throw new Error('power cut')
        return deps.random(bytes)
      },
    }
    await expect(KeyStore.create(home.keys, dying, { root: true })).rejects.toThrow()
    expect(await KeyStore.exists(home.keys)).toBe(false)
    await KeyStore.create(home.keys, deps, { root: true })
    expect((await KeyStore.load(home.keys, deps)).root).toBeDefined()
    expect((await readdir(home.path)).filter((name) => name.endsWith('.new'))).toEqual([])
  })
})

describe('what is refused', () => {
  const roles = ['node-sign.key', 'node-login.key', 'founding-agent.key', 'root.key'] as const

  test.each(roles)('T-disk-3: %s that others may read is named with its chmod', async (name) => {
    const { home } = await newStore()
    await chmod(join(home.keys, name), 0o640)
    const failure = await failureOf(KeyStore.load(home.keys, deps))
    expect(failure).toMatchObject({ code: 'MODES_TOO_WIDE', next: `chmod 600 ${join(home.keys, name)}` })
    expect(failure.message).toContain(name)
  })
  test.each(['.', 'agents', 'prekeys'])(
    'T-disk-3: the folder %s that others may enter is named with its chmod',
    async (name) => {
      const { home } = await newStore()
      await chmod(join(home.keys, name), 0o710)
      expect(await failureOf(KeyStore.load(home.keys, deps))).toMatchObject({
        code: 'MODES_TOO_WIDE',
        next: `chmod 700 ${join(home.keys, name)}`,
      })
    },
  )
  test('a file cut at any byte is damaged, named, and not shown', async () => {
    const { home } = await newStore()
    const path = join(home.keys, 'node-sign.key')
    const whole = await readFile(path, 'utf8')
    const secret = whole.split(' ')[1] ?? ''
    for (const length of [0, 1, 20, 30, 60, whole.length / 2, whole.length - 2, whole.length - 1].map(Math.floor)) {
      await truncate(path, length)
      const failure = await failureOf(KeyStore.load(home.keys, deps))
      expect(failure.code).toBe('KEY_DAMAGED')
      expect(failure.message).toContain(path)
      expect(inspect(failure, { depth: 9 })).not.toContain(secret.slice(0, 8))
      await writeFile(path, whole)
    }
    await expect(KeyStore.load(home.keys, deps)).resolves.toBeDefined()
  })
  test('one flipped bit is put right, and two are damage, never another identity', async () => {
    const { home, store } = await newStore()
    const path = join(home.keys, 'node-sign.key')
    const whole = await readFile(path, 'latin1')
    const changed = (at: number, bits: number) =>
      whole.slice(0, at) + String.fromCharCode(whole.charCodeAt(at) ^ bits) + whole.slice(at + 1)
    for (let at = 0; at < whole.length; at += 3) {
      await writeFile(path, changed(at, 1 << (at % 8)), 'latin1')
      expect((await KeyStore.load(home.keys, deps)).sign.publicKey, `character ${at}`).toEqual(store.sign.publicKey)
      expect(await readFile(path, 'latin1')).toBe(whole)
      await writeFile(path, changed(at, 3), 'latin1')
      const failure = await KeyStore.load(home.keys, deps).catch((error: unknown) => error)
      expect(failure, `character ${at}`).toMatchObject({ code: 'KEY_DAMAGED' })
    }
  })
  test("one role's file in another's place is damage", async () => {
    const { home } = await newStore()
    await rename(join(home.keys, 'root.key'), join(home.keys, 'node-sign.key'))
    expect((await failureOf(KeyStore.load(home.keys, deps))).code).toBe('KEY_DAMAGED')
  })
  test('a missing file is damage and not a new identity', async () => {
    const { home } = await newStore()
    await rm(join(home.keys, 'node-login.key'))
    const failure = await failureOf(KeyStore.load(home.keys, deps))
    expect(failure).toMatchObject({ code: 'KEY_DAMAGED', message: expect.stringContaining('node-login.key') })
    expect(await KeyStore.exists(home.keys)).toBe(true)
  })
  test('a huge file is not read', async () => {
    const { home } = await newStore()
    await truncate(join(home.keys, 'node-sign.key'), 2 ** 40)
    expect((await failureOf(KeyStore.load(home.keys, deps))).code).toBe('KEY_DAMAGED')
  })
  test('a prekey under the name of another is damage, set aside and named', async () => {
    const { home, store } = await newStore()
    const { publicKey } = await store.addPrekey()
    const folder = join(home.keys, 'prekeys')
    await rename(join(folder, `${toHex(publicKey)}.key`), join(folder, `${'0'.repeat(64)}.key`))
    const loaded = await KeyStore.load(home.keys, deps)
    expect(loaded.damagedFiles).toEqual([join(folder, `${'0'.repeat(64)}.key`)])
    expect(loaded.prekeys()).toEqual([])
  })
})

describe('prekeys end', () => {
  test('T-disk-1: a destroyed one is gone from memory and disk, and the others stay', async () => {
    const { home, store } = await newStore()
    const [gone, kept] = [await store.addPrekey(), await store.addPrekey()]
    const bytes = gone.secretKey.expose()
    await store.destroyPrekey(gone.publicKey)
    expect(bytes).toEqual(new Uint8Array(bytes.length))
    expect(store.prekeys()).toEqual([kept])
    expect(await readdir(join(home.keys, 'prekeys'))).toEqual([`${toHex(kept.publicKey)}.key`])
    await expect(store.destroyPrekey(gone.publicKey)).resolves.toBeUndefined()
    await expect(store.destroyPrekey(deps.random(32) as SealPublicKey)).resolves.toBeUndefined()
  })
  test('T-disk-1: one that a crash left half destroyed is destroyed when the node starts again', async () => {
    const { home, store } = await newStore()
    const { publicKey } = await store.addPrekey()
    const path = join(home.keys, 'prekeys', `${toHex(publicKey)}.key`)
    await rename(path, `${path}.gone`)
    const again = await KeyStore.load(home.keys, deps)
    expect(again.prekeys()).toEqual([])
    expect(await readdir(join(home.keys, 'prekeys'))).toEqual([])
  })
  test('one that a crash left half written is forgotten: nobody was told of it', async () => {
    const { home } = await newStore()
    await writeFile(join(home.keys, 'prekeys', `${'ab'.repeat(32)}.key.new`), 'sealmesh-se', { mode: 0o600 })
    await expect(KeyStore.load(home.keys, deps)).resolves.toBeDefined()
    expect(await readdir(join(home.keys, 'prekeys'))).toEqual([])
  })
})
