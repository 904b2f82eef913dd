import type { ChunkId, IncarnationId, MeshId, NodeId } from '@sealmesh/protocol/ids'
import {
  chunkIdOf,
  openChunk,
  openRoot,
  type Root,
  sealChunk,
  sealRoot,
  vaultKeyOf,
} from '@sealmesh/protocol/snapshots/sealed'
import type { Sodium } from '@sealmesh/protocol/sodium'
import { loadSodium } from '@sealmesh/sodium/load'
import { beforeAll, describe, expect, test } from 'vitest'

let sodium: Sodium
beforeAll(async () => {
  sodium = await loadSodium()
})

const noise = (byte: number) => (bytes: number) => new Uint8Array(bytes).fill(byte)
const seed = (byte: number): Uint8Array => new Uint8Array(32).fill(byte)
const root: Root = {
  mesh: '11'.repeat(32) as MeshId,
  node: '22'.repeat(32) as NodeId,
  atMs: 1_764_000_000_000,
  incarnation: '33'.repeat(16) as IncarnationId,
  parts: [
    { name: 'records', entries: 7, bytes: 3_000, chunks: 1 },
    { name: 'documents', entries: 9_000, bytes: 2_000_000, chunks: 2_048 },
  ],
  index: ['44'.repeat(32), '55'.repeat(32)] as ChunkId[],
}
const scene = () => {
  const sign = sodium.signKeys('sign', seed(1))
  const kit = sodium.sealKeys(seed(2))
  const key = vaultKeyOf(sign.secretKey, sodium)
  const sealed = sealRoot(root, { key, sign: sign.secretKey, kit: kit.publicKey }, noise(5), sodium)
  if (sealed === undefined) throw new Error('not sealed')
  return { sign, kit, key, sealed }
}

describe('the root of a snapshot', () => {
  test('opens with the kit and with the key of its node, and with nothing else', () => {
    const { sign, kit, key, sealed } = scene()
    for (const by of [{ kit }, { own: key }]) {
      const opened = openRoot(sealed.bytes, by, sodium)
      expect(opened).toMatchObject(root)
      expect(opened?.isSignedBy(sign.publicKey)).toBe(true)
      expect(opened?.isSignedBy(sodium.signKeys('sign', seed(9)).publicKey)).toBe(false)
    }
    const other = vaultKeyOf(sodium.signKeys('sign', seed(9)).secretKey, sodium)
    expect(openRoot(sealed.bytes, { own: other }, sodium)).toBeUndefined()
    expect(openRoot(sealed.bytes, { kit: sodium.sealKeys(seed(9)) }, sodium)).toBeUndefined()
  })

  test('T-relay-12: is refused with any byte changed, and cut anywhere', () => {
    const { sign, kit, sealed } = scene()
    for (let at = 0; at < sealed.bytes.length; at++) {
      const changed = sealed.bytes.slice()
      changed[at]! ^= 0x40
      expect(openRoot(changed, { kit }, sodium)?.isSignedBy(sign.publicKey)).not.toBe(true)
      expect(openRoot(sealed.bytes.subarray(0, at), { kit }, sodium)).toBeUndefined()
    }
  })

  test('T-relay-12: made by somebody who knows the public key of the kit is not signed by the node', () => {
    const { sign, kit } = scene()
    const thief = sodium.signKeys('sign', seed(66))
    const key = vaultKeyOf(thief.secretKey, sodium)
    const forged = sealRoot(root, { key, sign: thief.secretKey, kit: kit.publicKey }, noise(6), sodium)
    const opened = openRoot(forged?.bytes ?? seed(0), { kit }, sodium)
    expect(opened).toMatchObject({ node: root.node })
    expect(opened?.isSignedBy(sign.publicKey)).toBe(false)
  })

  test('is refused when parts come twice or out of order, or its index is too short', () => {
    const { sign, kit, key } = scene()
    const twice = [root.parts[0]!, root.parts[0]!]
    for (const bad of [
      { ...root, parts: root.parts.toReversed() },
      { ...root, parts: twice, index: root.index.slice(1) },
      { ...root, index: root.index.slice(1) },
    ]) {
      const sealed = sealRoot(bad, { key, sign: sign.secretKey, kit: kit.publicKey }, noise(7), sodium)
      expect(openRoot(sealed?.bytes ?? seed(0), { kit }, sodium)).toBeUndefined()
    }
  })
})

describe('a chunk', () => {
  const content = new Uint8Array(1_000).fill(5)

  test('has one name for its node, and another for every other node', () => {
    const { key } = scene()
    const other = vaultKeyOf(sodium.signKeys('sign', seed(9)).secretKey, sodium)
    expect(chunkIdOf(content, key, sodium)).toBe(chunkIdOf(content.slice(), key, sodium))
    expect(chunkIdOf(content, key, sodium)).not.toBe(chunkIdOf(content, other, sodium))
  })

  test('T-relay-12: opens under its own name, whole, and not in the place of another', () => {
    const { key } = scene()
    const id = chunkIdOf(content, key, sodium)
    const sealed = sealChunk(id, { deflated: false, bytes: content }, key, new Uint8Array(24).fill(1), sodium)
    expect(openChunk(id, sealed, key, sodium)).toEqual({ deflated: false, bytes: content })
    expect(openChunk('66'.repeat(32) as ChunkId, sealed, key, sodium)).toBeUndefined()
    for (const at of [0, 24, 500, sealed.length - 1]) {
      const changed = sealed.slice()
      changed[at]! ^= 1
      expect(openChunk(id, changed, key, sodium)).toBeUndefined()
      expect(openChunk(id, sealed.subarray(0, at), key, sodium)).toBeUndefined()
    }
  })
})
