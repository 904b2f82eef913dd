import { randomBytes } from 'node:crypto'
import { cp, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openLock, writeLock } from '@sealmesh/node/keys/key-lock'
import { KeyStore } from '@sealmesh/node/keys/key-store'
import { toHex } from '@sealmesh/protocol/bytes'
import { loadSodium } from '@sealmesh/sodium/load'
import { expect, test } from 'vitest'
import { temporaryHome } from './temporary-home.ts'

const deps = {
  sodium: await loadSodium(),
  random: (bytes: number) => new Uint8Array(randomBytes(bytes)),
  passphraseCost: { passes: 1, memoryMiB: 8 },
}
const PASSPHRASE = 'eight words that nobody else would ever write'

async function newHome() {
  const home = await temporaryHome()
  const store = await KeyStore.create(home.keys, deps, { root: true })
  await store.addPrekey()
  await store.addAgent()
  return { keys: home.keys, store }
}

async function linesIn(folder: string): Promise<string> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true })
  const files = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name))
  return (await Promise.all(files.map((file) => readFile(file, 'latin1')))).join('')
}

const secretsOf = (store: KeyStore): string[] =>
  [store.sign, store.login, store.foundingAgent, store.root, ...store.prekeys()].map((pair) =>
    toHex(pair?.secretKey.expose() ?? new Uint8Array()),
  )

test('T-disk-6: without the passphrase the key files of a sealed home open nothing; with it they are the same keys', async () => {
  const { keys, store } = await newHome()
  await KeyStore.protect(keys, deps, PASSPHRASE)
  const lines = await linesIn(keys)
  for (const secret of secretsOf(store)) expect(lines.includes(secret.slice(0, 64))).toBe(false)
  await expect(KeyStore.load(keys, deps)).rejects.toMatchObject({ code: 'KEYS_LOCKED' })
  await expect(KeyStore.load(keys, deps, 'another')).rejects.toMatchObject({ code: 'PASSPHRASE_WRONG' })
  await expect(KeyStore.kitSeeds(keys, deps.sodium)).rejects.toMatchObject({ code: 'KEYS_LOCKED' })
  const opened = await KeyStore.load(keys, deps, PASSPHRASE)
  expect(secretsOf(opened)).toEqual(secretsOf(store))
  expect(opened.agents()).toEqual(store.agents())
  expect((await KeyStore.kitSeeds(keys, deps.sodium, PASSPHRASE)).agents.length).toBe(2)
  // Keys that are made from then on are sealed as well.
  const fresh = await opened.addPrekey()
  expect(await linesIn(keys)).not.toContain(toHex(fresh.secretKey.expose()))
  expect(await linesIn(keys)).not.toContain('-seed-1')
  expect(await opened.lookAgain()).toEqual([])
  await KeyStore.unprotect(keys, deps, PASSPHRASE)
  expect(secretsOf(await KeyStore.load(keys, deps)).slice(0, 4)).toEqual(secretsOf(store).slice(0, 4))
  expect((await KeyStore.load(keys, deps)).prekeys().length).toBe(2)
})

test('another passphrase takes the place of the old one', async () => {
  const { keys, store } = await newHome()
  await KeyStore.protect(keys, deps, PASSPHRASE)
  await expect(KeyStore.protect(keys, deps, 'the next')).rejects.toMatchObject({ code: 'KEYS_LOCKED' })
  await expect(KeyStore.protect(keys, deps, 'the next', 'wrong')).rejects.toMatchObject({ code: 'PASSPHRASE_WRONG' })
  await KeyStore.protect(keys, deps, 'the next', PASSPHRASE)
  await expect(KeyStore.load(keys, deps, PASSPHRASE)).rejects.toMatchObject({ code: 'PASSPHRASE_WRONG' })
  expect(secretsOf(await KeyStore.load(keys, deps, 'the next'))).toEqual(secretsOf(store))
})

test('one flipped bit of a sealed key or of what locks it is put right; more are damage with a name', async () => {
  const { keys, store } = await newHome()
  await KeyStore.protect(keys, deps, PASSPHRASE)
  for (const name of ['node-sign.key', 'passphrase.lock']) {
    const path = join(keys, name)
    const good = await readFile(path)
    const bad = Buffer.from(good)
    bad[80]! ^= 2
    await writeFile(path, bad)
    expect((await KeyStore.load(keys, deps, PASSPHRASE)).sign.publicKey, name).toEqual(store.sign.publicKey)
    expect(await readFile(path), name).toEqual(good)
    bad.fill(0x61, 90, 96)
    await writeFile(path, bad)
    await expect(KeyStore.load(keys, deps, PASSPHRASE), name).rejects.toMatchObject({ code: 'KEY_DAMAGED' })
    await writeFile(path, good)
  }
  expect((await stat(join(keys, 'passphrase.lock'))).mode & 0o777).toBe(0o600)
})

test('a line that costs more than anybody can pay is damage', async () => {
  const { keys } = await newHome()
  const fileKey = deps.random(32)
  await writeLock(keys, fileKey, PASSPHRASE, deps, { passes: 1, memoryMiB: 8 })
  expect(await openLock(keys, PASSPHRASE, deps.sodium)).toEqual(fileKey)
  const line = await readFile(join(keys, 'passphrase.lock'), 'latin1')
  const dear = line.slice(0, line.lastIndexOf(' ')).replace(' 1 8 ', ' 1 65536 ')
  const check = toHex(deps.sodium.hash([Buffer.from(dear, 'latin1')]).subarray(0, 8))
  await writeFile(join(keys, 'passphrase.lock'), `${dear} ${check}\n`)
  await expect(KeyStore.load(keys, deps, PASSPHRASE)).rejects.toMatchObject({ code: 'KEY_DAMAGED' })
})

/** `work`, with the power gone when it asks for random bytes for the n-th time: between two files. */
function dyingAfter(calls: number) {
  let left = calls
  return {
    ...deps,
    random(bytes: number): Uint8Array {
      if (left-- <= 0) throw new Error('the power is gone')
      return deps.random(bytes)
    },
  }
}

test('a home whose sealing is cut off anywhere opens with the passphrase, or without one when it has none yet', async () => {
  const { keys, store } = await newHome()
  const scratch = await mkdtemp(join(tmpdir(), 'sealmesh-keys-'))
  const states = new Set<string>()
  try {
    for (let calls = 0; ; calls++) {
      const copy = join(scratch, String(calls))
      await cp(keys, copy, { recursive: true })
      const done = await KeyStore.protect(copy, dyingAfter(calls), PASSPHRASE).then(
        () => true,
        () => false,
      )
      const clear = (await linesIn(copy)).split('-seed-1').length - 1
      states.add(`${clear}`)
      const opened = await KeyStore.load(copy, deps, PASSPHRASE)
      expect(secretsOf(opened), `after ${calls}`).toEqual(secretsOf(store))
      const locked = await readdir(copy).then((names) => names.includes('passphrase.lock'))
      // What was begun is finished.
      if (locked) expect(await linesIn(copy)).not.toContain('-seed-1')
      if (done) break
    }
    expect(states.size).toBeGreaterThan(4)
  } finally {
    await rm(scratch, { recursive: true })
  }
})

test('a home whose unsealing is cut off anywhere opens with the passphrase', async () => {
  const { keys, store } = await newHome()
  const clear = `${keys}.clear`
  await cp(keys, clear, { recursive: true })
  await KeyStore.protect(keys, deps, PASSPHRASE)
  for (const name of ['node-sign.key', 'root.key']) {
    await cp(join(clear, name), join(keys, name))
    // What it was writing when it ended.
    await cp(join(clear, 'node-login.key'), join(keys, 'node-login.key.new'))
    expect(secretsOf(await KeyStore.load(keys, deps, PASSPHRASE))).toEqual(secretsOf(store))
    expect(await linesIn(keys)).not.toContain('-seed-1')
  }
})
