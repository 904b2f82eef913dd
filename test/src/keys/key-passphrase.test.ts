import { randomBytes } from 'node:crypto'
import { cp, link, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { openLock, writeLock } from '@sealmesh/node/keys/key-lock'
import { KeyStore } from '@sealmesh/node/keys/key-store'
import { toHex } from '@sealmesh/protocol/bytes'
import { loadSodium } from '@sealmesh/sodium/load'
import { expect, test } from 'vitest'
import { temporaryHome } from './temporary-home.ts'

const deps = {
  sodium: await loadSodium(),
  random: (bytes: number) => new Uint8Array(randomBytes(bytes)),
  passphraseCost: { passes: 1, memoryMiB: 1 },
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

const locked = async (keys: string) => (await readdir(keys)).includes('passphrase.lock')

test('T-disk-6: nothing stays in clear that was set aside, half written or half destroyed', async () => {
  const { keys, store } = await newHome()
  const [prekey] = (await readdir(join(keys, 'prekeys'))).map((name) => join(keys, 'prekeys', name))
  const [agent] = (await readdir(join(keys, 'agents'))).map((name) => join(keys, 'agents', name))
  const line = await readFile(agent!, 'latin1')
  const stray = { [join(keys, 'agents', `${'0'.repeat(64)}.key.damaged`)]: line }
  stray[join(keys, 'agents', `${'1'.repeat(64)}.key.new`)] = line
  stray[join(keys, 'agents', `${'2'.repeat(64)}.key.gone`)] = line
  stray[`${prekey!}.damaged`] = `${(await readFile(prekey!, 'latin1')).slice(0, 100)}${'0'.repeat(28)}\n`
  stray[join(keys, 'root.key.old')] = await readFile(join(keys, 'root.key'), 'latin1')
  for (const [path, content] of Object.entries(stray)) {
    await writeFile(path, content, { mode: 0o600 })
    await link(path, `${keys}.${basename(path)}`) // The place on the disk, when the name has gone.
  }
  await KeyStore.protect(keys, deps, PASSPHRASE)
  expect(await linesIn(keys)).not.toContain('-seed-1')
  for (const path of Object.keys(stray))
    expect(
      (await readFile(`${keys}.${basename(path)}`)).every((byte) => byte === 0),
      path,
    ).toBe(true)
  expect(secretsOf(await KeyStore.load(keys, deps, PASSPHRASE))).toEqual(secretsOf(store))
  // What could be read is kept.
  await KeyStore.unprotect(keys, deps, PASSPHRASE)
  expect(await readFile(join(keys, 'agents', `${'0'.repeat(64)}.key.damaged`), 'latin1')).toBe(line)
})

test('a damaged key in clear that cannot be sealed is named, and nothing is sealed', async () => {
  const { keys } = await newHome()
  const line = await readFile(join(keys, 'founding-agent.key'), 'latin1')
  for (const bad of [`${line.slice(0, 100)}${'0'.repeat(28)}\n`, `SEALmesh${line.slice(8)}`]) {
    const path = join(keys, 'agents', `${'3'.repeat(64)}.key.damaged`)
    await writeFile(path, bad, { mode: 0o600 })
    const failure = await KeyStore.protect(keys, deps, PASSPHRASE).catch((error: unknown) => error)
    expect(failure).toMatchObject({ code: 'KEY_DAMAGED', message: expect.stringContaining(path) })
    expect(await locked(keys)).toBe(false)
    await rm(path)
  }
  await KeyStore.protect(keys, deps, PASSPHRASE)
})

test('T-disk-6: an old passphrase opens nothing any more, also with the old line that locked the keys', async () => {
  const { keys, store } = await newHome()
  await KeyStore.protect(keys, deps, PASSPHRASE)
  const lock = join(keys, 'passphrase.lock')
  const line = await readFile(lock)
  await link(lock, `${keys}.place`)
  await KeyStore.protect(keys, deps, 'the next', PASSPHRASE)
  expect((await readFile(`${keys}.place`)).every((byte) => byte === 0)).toBe(true)
  const stolen = `${keys}.stolen`
  await cp(keys, stolen, { recursive: true })
  await writeFile(join(stolen, 'passphrase.lock'), line)
  await expect(KeyStore.load(stolen, deps, PASSPHRASE)).rejects.toMatchObject({ code: 'KEY_DAMAGED' })
  expect(secretsOf(await KeyStore.load(keys, deps, 'the next'))).toEqual(secretsOf(store))
  expect(await openLock(keys, 'the next', deps.sodium)).not.toHaveProperty('former')
})

test('a home whose change of passphrase is cut off anywhere opens with one of the two, and goes on from there', async () => {
  const { keys, store } = await newHome()
  await KeyStore.protect(keys, deps, PASSPHRASE)
  let between = 0
  for (let calls = 0, done = false; !done; calls++) {
    const copy = `${keys}.${calls}`
    await cp(keys, copy, { recursive: true })
    done = await KeyStore.protect(copy, dyingAfter(calls), 'the next', PASSPHRASE).then(
      () => true,
      () => false,
    )
    const opens = async (passphrase: string) =>
      openLock(copy, passphrase, deps.sodium).then(
        (found) => found,
        () => undefined,
      )
    const next = await opens('the next')
    const passphrase = next === undefined ? PASSPHRASE : 'the next'
    if (next?.former !== undefined) between++
    // Changed again before a node ran, or opened.
    if (calls % 2 === 0) await KeyStore.protect(copy, deps, 'the last', passphrase)
    const known = calls % 2 === 0 ? 'the last' : passphrase
    expect(secretsOf(await KeyStore.load(copy, deps, known)), `after ${calls}`).toEqual(secretsOf(store))
    expect(await opens(known)).not.toHaveProperty('former')
  }
  expect(between).toBeGreaterThan(4)
}, 60_000)

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

test('a prekey that is lost in a sealed home is told of, and only then gone', async () => {
  const { keys } = await newHome()
  await KeyStore.protect(keys, deps, PASSPHRASE)
  const [name = ''] = await readdir(join(keys, 'prekeys'))
  const path = join(keys, 'prekeys', name)
  await writeFile(path, `garbled ${(await readFile(path, 'latin1')).slice(8, -20)}`, { mode: 0o600 })
  expect((await KeyStore.load(keys, deps, PASSPHRASE)).damagedFiles).toEqual([path])
  expect((await KeyStore.load(keys, deps, PASSPHRASE)).damagedFiles).toEqual([])
})

test('a line that costs more than anybody can pay is damage', async () => {
  const { keys } = await newHome()
  const fileKey = deps.random(32)
  await writeLock(keys, { key: fileKey }, PASSPHRASE, deps, { passes: 1, memoryMiB: 8 })
  expect(await openLock(keys, PASSPHRASE, deps.sodium)).toEqual({ key: fileKey })
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
      // What was begun is finished.
      if (await locked(copy)) expect(await linesIn(copy)).not.toContain('-seed-1')
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
