import type { AgentId, NodeId } from '@sealmesh/protocol/ids'
import type { Mesh } from '@sealmesh/protocol/membership/mesh'
import { expect, test } from 'vitest'
import { letterOf } from './letter.ts'
import type { Posted } from './outbox.ts'
import { wayOf } from './stranded.ts'

const [home, office, laptop] = ['01', '02', '03'].map((byte) => byte.repeat(32) as NodeId) as [NodeId, NodeId, NodeId]
const [alice, bob] = ['a1', 'b2'].map((byte) => byte.repeat(32) as AgentId) as [AgentId, AgentId]
const MAY = { layer: 'inbox', access: 'write', ended: null, to: { type: 'agent', agent: alice } }
const SENT_MS = 1_000_000

const posted = (to = 'bob', durable = true): Posted => {
  const head = { version: 1, id: 'x', from: 'alice@home', to, type: 'text', priority: 1, correlation: null } as const
  const rest = { sentAt: new Date(SENT_MS).toISOString(), expiresAt: null, hops: 0, parents: [], durable }
  return { sender: alice, agent: bob, node: office, letter: letterOf({ ...head, ...rest }, '1'), durable, stored: 1 }
}

interface Scene {
  readonly hosts?: readonly NodeId[]
  readonly holder?: NodeId
  readonly tookOverMs?: number
  readonly isHeard?: boolean
  readonly grants?: readonly unknown[]
}
const way = (each: Posted, { hosts = [office, laptop], holder = office, tookOverMs = 0, isHeard, grants }: Scene) => {
  const agents = [
    { id: alice, name: 'alice', hosts: [home], term: { holder: home, timeMs: 0 }, grants: [] },
    { id: bob, name: 'bob', hosts, term: { holder, timeMs: tookOverMs }, grants: grants ?? [MAY] },
  ]
  const mesh = {
    nodes: new Map([home, office, laptop].map((id) => [id, { id, revocations: [] }])),
    agents: new Map(agents.map((agent) => [agent.id, agent])),
  } as unknown as Mesh
  return wayOf(each, { mesh, node: home, isThere: () => isHeard ?? false })
}
const toLaptop = { type: 'move', node: laptop }

test('a letter stays on its way to a machine that is merely silent', () => {
  expect(way(posted(), {})).toEqual({ type: 'stay' })
  // It was told of by name although another one held the agent then.
  expect(way(posted(), { holder: laptop, tookOverMs: SENT_MS - 1 })).toEqual({ type: 'stay' })
})

test('it goes to who took over since, from a machine that is silent or may be that agent no more', () => {
  const tookOver = { holder: laptop, tookOverMs: SENT_MS + 1 }
  expect(way(posted(), tookOver)).toEqual(toLaptop)
  expect(way(posted('*'), tookOver)).toEqual(toLaptop)
  expect(way(posted(), { ...tookOver, isHeard: true })).toEqual({ type: 'stay' })
  expect(way(posted(), { hosts: [laptop], holder: laptop, tookOverMs: 0, isHeard: true })).toEqual(toLaptop)
})

test('one for that machine, or one that does not last, goes nowhere else', () => {
  const tookOver = { holder: laptop, tookOverMs: SENT_MS + 1 }
  expect(way(posted('bob@office'), tookOver)).toEqual({ type: 'stay' })
  expect(way(posted('bob', false), tookOver)).toEqual({ type: 'stay' })
  for (const each of [posted('bob@office'), posted('bob', false)])
    expect(way(each, { hosts: [laptop], holder: laptop })).toEqual({ type: 'end' })
})

test('it waits for a holder as long as there may be one, and ends with the right to send it', () => {
  expect(way(posted(), { hosts: [laptop] })).toEqual({ type: 'wait' })
  expect(way(posted(), { hosts: [] })).toEqual({ type: 'end' })
  expect(way(posted(), { grants: [{ ...MAY, ended: {} }] })).toEqual({ type: 'end' })
  expect(way(posted(), { hosts: [laptop], holder: laptop, grants: [] })).toEqual({ type: 'end' })
})
