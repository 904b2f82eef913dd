import { loadSodium } from '@sealmesh/sodium/load'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { seededRandom } from '../envelope/scene.ts'
import { sodiumContract } from './sodium.contract.ts'

const wasm = await loadSodium('wasm')
const native = await loadSodium('native')
sodiumContract(wasm)
sodiumContract(native)

describe('the two implementations', () => {
  test('open and verify what the other made', () => {
    const random = seededRandom('interop')
    for (const [ours, theirs] of [
      [wasm, native],
      [native, wasm],
    ] as const) {
      const [seed, message] = [random(32), random(80)]
      const keys = ours.signKeys('sign', seed)
      expect(theirs.verify(ours.sign(message, keys.secretKey), message, keys.publicKey)).toBe(true)
      const sealTo = theirs.sealKeys(seed)
      const box = ours.sealBox(message, sealTo.publicKey, random(32))
      expect(theirs.openBox(box ?? new Uint8Array(), sealTo)).toEqual(message)
    }
  })

  test('agree on thousands of signatures with something wrong', () => {
    const random = seededRandom('wrong signatures')
    const keys = wasm.signKeys('sign', random(32))
    for (let round = 0; round < 3_000; round++) {
      const message = random(16)
      const signature = new Uint8Array(wasm.sign(message, keys.secretKey))
      const publicKey = new Uint8Array(keys.publicKey)
      const [target, at, value] = random(3)
      const bytes = [signature, message, publicKey][(target ?? 0) % 3] ?? message
      bytes[(at ?? 0) % bytes.length] = value ?? 0
      expect(native.verify(signature, message, publicKey)).toBe(wasm.verify(signature, message, publicKey))
    }
  })
})

describe('loading', () => {
  afterEach(() => vi.unstubAllEnvs())

  test('prefers native where it loads', async () => {
    vi.stubEnv('SEALMESH_SODIUM', '')
    expect((await loadSodium()).implementation).toBe('native')
  })

  test('gives what the environment asks for, whatever the program prefers', async () => {
    vi.stubEnv('SEALMESH_SODIUM', 'wasm')
    expect((await loadSodium('native')).implementation).toBe('wasm')
    vi.stubEnv('SEALMESH_SODIUM', 'native')
    expect((await loadSodium('wasm')).implementation).toBe('native')
  })

  test('refuses an implementation that does not exist', async () => {
    vi.stubEnv('SEALMESH_SODIUM', 'openssl')
    await expect(loadSodium()).rejects.toMatchObject({ code: 'USAGE' })
  })
})
