import type { NodeId } from '@sealmesh/protocol/ids'
import { expect, test } from 'vitest'
import { notRelearntFrom } from './relearnt.ts'

const SINCE_MS = 1_000
type Peers = Parameters<typeof notRelearntFrom>[2]
type Members = Parameters<typeof notRelearntFrom>[0]

function mesh(nodes: Record<string, { removed?: boolean; lapsed?: boolean }>): Members {
  const members = Object.entries(nodes).map(([id, { removed = false, lapsed = false }]) => {
    return [id, { id, revocations: removed ? ['record'] : [], lapsed }] as const
  })
  return { nodes: new Map(members) } as unknown as Members
}

const peer = (node: string, toReceive: number | null, lastHeardAtMs: number | null) =>
  ({ node, view: { toReceive, lastHeardAtMs } }) as unknown as Peers[number]

test('every other member is waited for until it was heard since then and names nothing that is missing', () => {
  const members = mesh({ home: {}, office: {}, laptop: {}, phone: {}, server: {} })
  const peers = [
    peer('office', 0, SINCE_MS + 1),
    peer('laptop', 0, SINCE_MS), // Before that.
    peer('phone', 3, SINCE_MS + 1), // There is more to come.
    peer('server', null, SINCE_MS + 1), // It has named nothing yet.
  ]
  expect(notRelearntFrom(members, 'home' as NodeId, peers, SINCE_MS)).toEqual(['laptop', 'phone', 'server'])
  expect(notRelearntFrom(members, 'home' as NodeId, [], SINCE_MS)).toEqual(['office', 'laptop', 'phone', 'server'])
})

test('who was removed or has lapsed is not waited for', () => {
  const members = mesh({ home: {}, office: { lapsed: true }, laptop: { removed: true } })
  expect(notRelearntFrom(members, 'home' as NodeId, [], SINCE_MS)).toEqual([])
})
