import { decodePayload, encodePayload, type SyncItem } from '@sealmesh/protocol/sync/payload'
import type { AgentId, ClosedDigest } from '@sealmesh/protocol/ids'
import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { dotOf } from './dots.ts'

const item = {
  type: 'pruned' as const,
  document: { agent: 'a9'.repeat(32) as AgentId, layer: 'semantic' },
  floor: { digest: 'f1'.repeat(32) as ClosedDigest, upTo: null },
  ends: [
    { dot: dotOf('11', 7), heard: [] },
    { dot: dotOf('22', 300), heard: [dotOf('11', 5)] },
  ],
  rows: [
    { after: 0, bytes: Uint8Array.of(1, 2, 3) },
    { after: 299, bytes: Uint8Array.of(4) },
  ],
} satisfies SyncItem

test('what is left below a base comes out of a payload as it went in', () => {
  expect(decodePayload(encodePayload([item]))).toEqual({ ok: true, value: [item] })
})

test('closed sets are asked for and come by their links', () => {
  const digest = 'f1'.repeat(32) as ClosedDigest
  const { document } = item
  const items: SyncItem[] = [
    { type: 'want-closed', document, digest },
    { type: 'closed', document, links: [Uint8Array.of(1, 2), Uint8Array.of(3)] },
    {
      type: 'vectors',
      asks: true,
      documents: [
        { document, floor: { digest, upTo: dotOf('22', 1).incarnation }, vector: [dotOf('33', 4)] },
        { document: { ...document, layer: 'other' }, vector: [] },
      ],
    },
  ]
  expect(decodePayload(encodePayload(items))).toEqual({ ok: true, value: items })
})

test('T-peer-5: what stands for much more than its bytes is said once of a document', () => {
  const { document, floor } = item
  const vectors = (asks: boolean, times: number): SyncItem => ({
    type: 'vectors',
    asks,
    documents: Array.from({ length: times }, () => ({ document, floor, vector: [] })),
  })
  const isRead = (...items: SyncItem[]) => decodePayload(encodePayload(items)).ok
  expect(isRead(vectors(false, 1), vectors(true, 1), item)).toBe(true)
  expect(isRead(vectors(false, 2))).toBe(false)
  expect(isRead(vectors(true, 1), item, vectors(true, 1))).toBe(false)
  expect(isRead(item, item)).toBe(false)
  expect(isRead(item, { ...item, document: { ...document, layer: 'other' } })).toBe(true)
})

test('ends out of order or named twice are refused', () => {
  expect(decodePayload(encodePayload([{ ...item, ends: [item.ends[1]!, item.ends[0]!] }])).ok).toBe(false)
  expect(decodePayload(encodePayload([{ ...item, ends: [item.ends[0]!, item.ends[0]!] }])).ok).toBe(false)
})

test('T-peer-9: a payload that is cut or changed is refused or read, and never throws', () => {
  const bytes = encodePayload([item])
  for (let at = 0; at < bytes.length; at++) {
    expect(decodePayload(bytes.subarray(0, at)).ok).toBe(false)
    decodePayload(bytes.with(at, bytes[at]! ^ 0x81))
  }
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), (rest) => {
      decodePayload(Uint8Array.of(1, 8, ...rest))
    }),
  )
})
