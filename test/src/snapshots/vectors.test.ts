import { readFileSync } from 'node:fs'
import { fromHex } from '@sealmesh/protocol/bytes'
import type { ChunkId } from '@sealmesh/protocol/ids'
import { ImageReader } from '@sealmesh/protocol/snapshots/image'
import { openChunk, openRoot } from '@sealmesh/protocol/snapshots/sealed'
import { loadSodium } from '@sealmesh/sodium/load'
import { expect, test } from 'vitest'
import { buildSnapshot, buildVectors, ENTRIES } from './vectors.ts'

const vectors = JSON.parse(
  readFileSync(new URL('../../vectors/snapshots.json', import.meta.url), 'utf8'),
) as ReturnType<typeof buildVectors>

test('the golden snapshot is what this code writes: a change needs a new format', async () => {
  for (const which of ['wasm', undefined] as const)
    expect(vectors).toEqual(JSON.parse(JSON.stringify(buildVectors(await loadSodium(which)))))
})

test('the golden snapshot is read as it was written', async () => {
  const sodium = await loadSodium()
  const { kit, key, sign, body } = buildSnapshot(sodium)
  const root = openRoot(fromHex(vectors.root.sealed), { kit }, sodium)
  expect(root).toMatchObject({ ...body })
  expect(root?.isSignedBy(sign.publicKey)).toBe(true)
  const opened = openChunk(vectors.chunk.id as ChunkId, fromHex(vectors.chunk.sealed), key, sodium)
  expect(new ImageReader().push(opened?.bytes ?? new Uint8Array())).toEqual(ENTRIES)
})
