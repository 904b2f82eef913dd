import type { Document } from '@sealmesh/protocol/crdt/document'
import type { AgentId, NodeId } from '@sealmesh/protocol/ids'
import type { Mesh, MeshAgent } from '@sealmesh/protocol/membership/mesh'
import { Profile } from '@sealmesh/protocol/messages/profile'
import { describe, expect, test } from 'vitest'
import { stepsToTell } from '../own-roster.ts'
import { farRecipientsOf } from './far.ts'
import { HOLDS_KEY, holdsText, standingOf, TOLD_AGENTS_MAX, toldBy, toldText } from './roster-entry.ts'

const [home, office, laptop] = ['01', '02', '03'].map((byte) => byte.repeat(32) as NodeId) as [NodeId, NodeId, NodeId]
const [alice, bob] = ['a1', 'b2'].map((byte) => byte.repeat(32) as AgentId) as [AgentId, AgentId]

const documentOf = (entries: Readonly<Record<string, readonly [author: NodeId, value: string | undefined]>>) => {
  const read = (key: string) => {
    const entry = entries[key]
    return entry && { author: entry[0], value: entry[1], time: { wallMs: 7 } }
  }
  return { keys: () => Object.keys(entries), read } as unknown as Document
}
const told = toldText({ profile: Profile.parse({ role: 'writer' }), sinceMs: 5 })

describe('what a machine tells of its agents', () => {
  test('is read back, without what others wrote, what was removed and what cannot be read', () => {
    const { untilMs, agents } = toldBy(
      office,
      documentOf({
        [bob]: [office, told],
        [alice]: [laptop, told],
        gone: [office, undefined],
        odd: [office, '{"version":1'],
        large: [office, JSON.stringify({ version: 1, since: 1, profile: { persona: 'x'.repeat(257) } })],
        [HOLDS_KEY]: [office, holdsText(99)],
      }),
    )
    expect(untilMs).toBe(99)
    expect([...agents]).toEqual([[bob, { profile: Profile.parse({ role: 'writer' }), sinceMs: 5, toldAtMs: 7 }]])
  })

  test('is bounded, whatever is written', () => {
    const many = Object.fromEntries(Array.from({ length: TOLD_AGENTS_MAX + 9 }, (_, i) => [`${i}`, [office, told]]))
    expect(toldBy(office, documentOf(many as never)).agents.size).toBe(TOLD_AGENTS_MAX)
  })

  test('holds until its time while the machine is silent, and clocks may differ while it is heard', () => {
    expect(standingOf(100, true, 99)).toBe('attached')
    expect(standingOf(100, false, 99)).toBe('unreachable')
    expect(standingOf(100, false, 100)).toBeUndefined()
    expect(standingOf(100, true, 60_000)).toBe('attached')
    expect(standingOf(100, true, 3_700_000)).toBeUndefined()
  })
})

const meshOf = (grants: readonly unknown[], removed = laptop): { mesh: Mesh; agent: MeshAgent } => {
  const nodes = [home, office, laptop].map((id) => [id, { id, revocations: id === removed ? [{}] : [] }] as const)
  const agent = { id: alice, name: 'alice', hosts: [home], term: { holder: home }, grants } as unknown as MeshAgent
  const mesh = { nodes: new Map(nodes), agents: new Map([[alice, agent]]) } as unknown as Mesh
  return { mesh, agent }
}
const granted = (ended: unknown = null) => ({
  layer: 'roster',
  access: 'read',
  ended,
  to: { type: 'node', node: office },
})

describe('who is told', () => {
  test('every machine of the mesh, once, and none that was removed', () => {
    const { mesh, agent } = meshOf([])
    expect(stepsToTell(mesh, home, agent)).toEqual([
      { type: 'grant', layer: 'roster', to: { type: 'node', node: office }, access: 'read' },
    ])
    expect(stepsToTell(meshOf([granted()]).mesh, home, meshOf([granted()]).agent)).toEqual([])
  })

  test('nobody any more, once a person has taken such a grant back, or another machine holds the agent', () => {
    const { mesh, agent } = meshOf([granted({})], office)
    expect(stepsToTell(mesh, home, agent)).toEqual([])
    expect(stepsToTell(meshOf([granted()], office).mesh, home, meshOf([granted()], office).agent)).toHaveLength(1)
    expect(stepsToTell(meshOf([]).mesh, office, meshOf([]).agent)).toEqual([])
  })
})

describe('a name', () => {
  const grants = [{ layer: 'inbox', access: 'write', ended: null, to: { type: 'agent', agent: alice } }]
  const recipient = { id: bob, name: 'bob', hosts: [home, office, laptop], term: { holder: office }, grants }
  const mesh = {
    nodes: new Map([home, office, laptop].map((id) => [id, { id, name: id, revocations: [] }])),
    agents: new Map([
      [alice, { id: alice, name: 'alice', hosts: [home], term: { holder: home }, grants: [] }],
      [bob, recipient],
    ]),
  } as unknown as Mesh
  const machinesOf = (to: string, attachedAt: readonly NodeId[], isAttached = false) =>
    farRecipientsOf(to, alice, {
      mesh,
      node: home,
      agentNamed: () => mesh.agents.get(bob),
      isAttached: () => isAttached,
      attachedAt: (agent) => (agent === bob ? attachedAt : []),
    }).map(({ node }) => node)

  test('means the machine where the agent is attached, before the one that holds it, and not where it is attached here', () => {
    for (const to of ['bob', '*']) {
      expect(machinesOf(to, [])).toEqual([office])
      expect(machinesOf(to, [laptop])).toEqual([laptop])
      expect(machinesOf(to, [laptop], true)).toEqual([])
      // A machine that may not carry it says that it does.
      expect(machinesOf(to, ['ff'.repeat(32) as NodeId])).toEqual([office])
    }
  })
})
