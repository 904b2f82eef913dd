import { chmod, readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { toHex } from '@sealmesh/protocol/bytes'
import { decodeKit, encodeKit, type Kit } from '@sealmesh/node/recovery/kit'
import { readKit, writeKit } from '@sealmesh/node/recovery/kit-file'
import { loadSodium } from '@sealmesh/sodium/load'
import { armor, Decrypter } from 'age-encryption'
import { describe, expect, test } from 'vitest'
import { temporaryFolder } from '../keys/temporary-home.ts'

const sodium = await loadSodium()
const PASSPHRASE = 'seven words that nobody else would write'
const FAST = 4 // Nobody guesses here.

function someKit(): Kit {
  const [rootSeed, seed] = [new Uint8Array(32).fill(1), new Uint8Array(32).fill(2)]
  return {
    mesh: toHex(sodium.signKeys('root', rootSeed).publicKey) as Kit['mesh'],
    meshName: 'ours',
    madeAt: '2026-11-21T12:00:00.000Z',
    rootSeed,
    agents: [{ id: toHex(sodium.signKeys('agent', seed).publicKey) as never, name: 'claude', seed }],
    relays: ['ws://127.0.0.1:1#relay=00'],
    records: [new Uint8Array([1, 2, 3])],
  }
}

describe('a recovery kit', () => {
  test('is read as it was written, by its owner only, and is text that age opens', async () => {
    const path = join(await temporaryFolder(), 'kit.age')
    await writeKit(path, someKit(), PASSPHRASE, sodium, FAST)
    expect(await readKit(path, PASSPHRASE, sodium)).toEqual(someKit())
    expect((await stat(path)).mode & 0o777).toBe(0o600)
    const text = await readFile(path, 'latin1')
    expect(text).toMatch(/^-----BEGIN AGE ENCRYPTED FILE-----\n/)
    expect(text).not.toContain(toHex(someKit().rootSeed))
    const decrypter = new Decrypter()
    decrypter.addPassphrase(PASSPHRASE)
    expect(await decrypter.decrypt(armor.decode(text), 'text')).toBe(encodeKit(someKit()))
  })
  test('never takes the place of a file', async () => {
    const path = join(await temporaryFolder(), 'kit.age')
    await writeFile(path, 'the only good one')
    await expect(writeKit(path, someKit(), PASSPHRASE, sodium, FAST)).rejects.toMatchObject({ code: 'FILE_EXISTS' })
    expect(await readFile(path, 'utf8')).toBe('the only good one')
  })
  test('T-disk-5: a wrong passphrase and a damaged file are not one another', async () => {
    const path = join(await temporaryFolder(), 'kit.age')
    await writeKit(path, someKit(), PASSPHRASE, sodium, FAST)
    await expect(readKit(path, 'something else', sodium)).rejects.toMatchObject({ code: 'PASSPHRASE_WRONG' })
    await chmod(path, 0o600)
    const text = await readFile(path, 'latin1')
    for (const spoilt of [text.slice(0, -60), text.replace(/.\n-----END/, '\n-----END'), 'nonsense', '']) {
      await writeFile(path, spoilt)
      await expect(readKit(path, PASSPHRASE, sodium)).rejects.toMatchObject({ code: 'KIT_INVALID' })
    }
    await expect(readKit(join(path, 'none'), PASSPHRASE, sodium)).rejects.toMatchObject({ code: 'FILE_NOT_FOUND' })
  })
  test('T-disk-5: keys that are not of what they are said to be of are refused', () => {
    const kit = someKit()
    const [agent] = kit.agents
    const wrong = [
      { ...kit, rootSeed: new Uint8Array(32).fill(3) },
      { ...kit, agents: [{ ...agent, seed: new Uint8Array(32).fill(3) }] as unknown as Kit['agents'] },
      { ...kit, mesh: 'AB'.repeat(32) as Kit['mesh'] },
    ]
    for (const each of wrong)
      expect(() => decodeKit(encodeKit(each), sodium)).toThrowError(expect.objectContaining({ code: 'KIT_INVALID' }))
    for (const text of ['', '{}', 'null', '[1]'])
      expect(() => decodeKit(text, sodium)).toThrowError(expect.objectContaining({ code: 'KIT_INVALID' }))
  })
})

test('whoever waits for a kit is not kept from anything else', async () => {
  const path = join(await temporaryFolder(), 'kit.age')
  let turns = 0
  const timer = setInterval(() => turns++, 1)
  // An eighth of what a real kit takes: in one go it would leave a turn or two.
  await writeKit(path, someKit(), PASSPHRASE, sodium, 15)
  clearInterval(timer)
  expect(turns).toBeGreaterThan(20)
})
