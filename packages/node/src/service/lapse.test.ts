import type { NodeId, RecordHash } from '@sealmesh/protocol/ids'
import type { Mesh, MeshNode } from '@sealmesh/protocol/membership/mesh'
import { expect, test } from 'vitest'
import { silentNodes } from './lapse.ts'

const DAY_MS = 24 * 60 * 60_000
const NOW_MS = 1_000 * DAY_MS

interface Silence {
  readonly announcedDaysAgo?: number
  readonly heardDaysAgo?: number
  readonly admittedDaysAgo?: number
  readonly removed?: boolean
}

function silent(peer: Silence, options: { admin?: boolean } = {}): boolean {
  const [me, other] = ['me', 'other'] as NodeId[] as [NodeId, NodeId]
  const admission = 'admission' as RecordHash
  const node = (id: NodeId, admin: boolean): MeshNode =>
    ({
      id,
      admin,
      admittedBy: admission,
      revocations: peer.removed === true ? [{ record: admission, cuts: [] }] : [],
      prekeys: peer.announcedDaysAgo === undefined ? [] : [{ notBeforeMs: NOW_MS - peer.announcedDaysAgo * DAY_MS }],
    }) as unknown as MeshNode
  const mesh = {
    nodes: new Map([
      [me, node(me, options.admin ?? true)],
      [other, node(other, false)],
    ]),
    records: new Map([[admission, { timeMs: NOW_MS - (peer.admittedDaysAgo ?? 900) * DAY_MS }]]),
  } as unknown as Mesh
  const heard = peer.heardDaysAgo === undefined ? null : NOW_MS - peer.heardDaysAgo * DAY_MS
  return silentNodes(mesh, { node: me, lastHeard: { of: () => heard } }, NOW_MS).length > 0
}

test('a node is silent when it was admitted, heard and last announced more than 90 days ago', () => {
  expect(silent({ announcedDaysAgo: 98, heardDaysAgo: 91 })).toBe(true)
  expect(silent({})).toBe(true)
  expect(silent({ announcedDaysAgo: 96, heardDaysAgo: 91 })).toBe(false) // Its next prekey may just not have come.
  expect(silent({ announcedDaysAgo: 200, heardDaysAgo: 89 })).toBe(false)
  expect(silent({ admittedDaysAgo: 89 })).toBe(false)
})

test('only an admin asks, and not of nodes that are removed', () => {
  expect(silent({}, { admin: false })).toBe(false)
  expect(silent({ removed: true })).toBe(false)
})
