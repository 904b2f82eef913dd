import { toHex, utf8 } from '@sealmesh/protocol/bytes'
import type { ChunkId, IncarnationId, MeshId, NodeId } from '@sealmesh/protocol/ids'
import { type Entry, ImageCutter } from '@sealmesh/protocol/snapshots/image'
import { chunkIdOf, type Root, sealChunk, sealRoot, vaultKeyOf } from '@sealmesh/protocol/snapshots/sealed'
import type { Sodium } from '@sealmesh/protocol/sodium'

/** What test/vectors/snapshots.json is made of: one image, its chunk and the root that names it. */
const fixed = (byte: number) => (bytes: number) => new Uint8Array(bytes).fill(byte)

export const ENTRIES: readonly Entry[] = [
  { key: utf8('config.toml'), value: utf8('[node]\nlog_level = "info"\n') },
  { key: utf8('key founding'), value: fixed(3)(32) },
]

export function buildSnapshot(sodium: Sodium) {
  const sign = sodium.signKeys('sign', fixed(1)(32))
  const kit = sodium.sealKeys(fixed(2)(32))
  const key = vaultKeyOf(sign.secretKey, sodium)
  const cutter = new ImageCutter()
  const [image = new Uint8Array()] = [...ENTRIES.flatMap((entry) => cutter.push(entry)), ...cutter.end()]
  const id = chunkIdOf(image, key, sodium)
  const chunk = sealChunk(id, { deflated: false, bytes: image }, key, fixed(4)(24), sodium)
  const body: Root = {
    mesh: '11'.repeat(32) as MeshId,
    node: '22'.repeat(32) as NodeId,
    atMs: 1_764_000_000_000,
    incarnation: '33'.repeat(16) as IncarnationId,
    parts: [{ name: 'home', entries: ENTRIES.length, bytes: image.length, chunks: 1 }],
    index: ['44'.repeat(32) as ChunkId],
  }
  const root = sealRoot(body, { key, sign: sign.secretKey, kit: kit.publicKey }, fixed(5), sodium)
  if (root === undefined) throw new Error('the key of the kit is no good')
  return { sign, kit, key, image, id, chunk, body, root }
}

export function buildVectors(sodium: Sodium) {
  const { key, image, id, chunk, body, root, sign } = buildSnapshot(sodium)
  return {
    description:
      'Snapshots, format 1 (docs/spec/11-recovery.md §7). Seeds: sign 01…, kit 02…; random bytes 04… and 05….',
    signPublicKey: toHex(sign.publicKey),
    vaultKey: toHex(key.bytes),
    image: toHex(image),
    chunk: { id, sealed: toHex(chunk) },
    root: { ...body, id: root.id, sealed: toHex(root.bytes) },
  }
}
