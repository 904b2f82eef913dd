import { readFileSync } from 'node:fs'
import { fromHex } from '@sealmesh/protocol/bytes'
import type { SealPublicKey } from '@sealmesh/protocol/keys'
import { loadSodium } from '@sealmesh/sodium/load'
import { describe, expect, test } from 'vitest'
import { buildEdgeCases, type EdgeCases } from './edge-cases.ts'

const cases = JSON.parse(readFileSync(new URL('../../vectors/edge-cases.json', import.meta.url), 'utf8')) as EdgeCases

describe.each([await loadSodium('wasm'), await loadSodium('native')])(
  'the $implementation implementation',
  (sodium) => {
    test('gives the bytes of the vectors', () => {
      expect(buildEdgeCases(sodium)).toEqual(cases)
    })

    test.each(cases.ed25519)('T-peer-14: says the same of a signature: $name', (each) => {
      const { signature, message, publicKey, valid } = each
      expect(sodium.verify(fromHex(signature), fromHex(message), fromHex(publicKey))).toBe(valid)
    })

    test.each(cases.sealTo)('T-peer-14: says the same of a key to seal to: $name', ({ publicKey, sealed }) => {
      const box = sodium.sealBox(new Uint8Array(32), fromHex(publicKey) as SealPublicKey, new Uint8Array(32).fill(3))
      expect(box !== undefined).toBe(sealed)
    })

    test.each(cases.openBox)('T-peer-14: says the same of a box: $name', ({ seed, box, opened }) => {
      expect(sodium.openBox(fromHex(box), sodium.sealKeys(fromHex(seed))) !== undefined).toBe(opened)
    })

    test.each(cases.xchacha20poly1305)('T-peer-14: says the same of a cipher text: $name', (each) => {
      const { cipher, associated, nonce, key, valid } = each
      const plain = sodium.decrypt(fromHex(cipher), fromHex(associated), fromHex(nonce), fromHex(key))
      expect(plain !== undefined).toBe(valid)
    })
  },
)
