import type { DocumentName } from '@sealmesh/protocol/crdt/block'
import type { AgentId, NodeId } from '@sealmesh/protocol/ids'
import type { Grant, Mesh, MeshAgent, MeshNode } from '@sealmesh/protocol/membership/mesh'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { Presence } from './presence.ts'

const [HOME, OFFICE, THIRD] = ['a', 'b', 'c'].map((letter) => letter.repeat(64)) as [NodeId, NodeId, NodeId]
const AGENT = 'd'.repeat(64) as AgentId
const notes: DocumentName = { agent: AGENT, layer: 'procedural' }

/** As much of a mesh as rights need: `home` holds the agent, and a grant names whom it says. */
function meshWith(...granted: readonly NodeId[]): Mesh {
  const nodes = new Map(
    [HOME, OFFICE, THIRD].map((id) => [id, { id, name: id.slice(0, 4), revocations: [] } as unknown as MeshNode]),
  )
  const grants = granted.map((node) => ({
    layer: notes.layer,
    to: { type: 'node', node },
    access: 'read',
    ended: null,
  }))
  const agent = {
    id: AGENT,
    name: 'claude',
    hosts: [HOME],
    term: { holder: HOME },
    grants: grants as unknown as Grant[],
  }
  return { nodes, agents: new Map([[AGENT, agent as unknown as MeshAgent]]) } as unknown as Mesh
}

/** Machines that hear each other at once. */
class Room {
  mesh = meshWith(OFFICE)
  readonly told: { from: NodeId; update: Uint8Array }[] = []
  readonly #all = new Map<NodeId, Presence>()

  presence(node: NodeId): Presence {
    const presence = new Presence({
      node,
      mesh: () => this.mesh,
      monotonicMs: () => performance.now(),
      wallMs: () => Date.now(),
      tell: (document, update) => {
        this.told.push({ from: node, update })
        for (const [other, each] of this.#all) if (other !== node) each.heard(node, document, update)
      },
    })
    this.#all.set(node, presence)
    return presence
  }
}

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

test('an editor is seen at the other machine, moves there, and is gone when it ends', () => {
  const room = new Room()
  const [home, office] = [room.presence(HOME), room.presence(OFFICE)]
  const editor = home.begin(notes, 'release', 'claude')
  expect(office.editing()).toMatchObject([{ text: 'release', agent: 'claude', node: HOME, cursor: null, here: false }])
  expect(home.editing()).toMatchObject([{ text: 'release', here: true }])
  editor?.move({ anchor: 3, head: 7 })
  vi.advanceTimersByTime(500)
  expect(office.editing()).toMatchObject([{ cursor: { anchor: 3, head: 7 } }])
  editor?.end()
  vi.advanceTimersByTime(500)
  expect([home.editing(), office.editing()]).toEqual([[], []])
})

test('an editor that fell silent is gone after thirty seconds', () => {
  const room = new Room()
  const [home, office] = [room.presence(HOME), room.presence(OFFICE)]
  home.begin(notes, 'release', null)
  home.close() // As when its machine loses power: no last word.
  vi.advanceTimersByTime(29_000)
  expect(office.editing()).toHaveLength(1)
  vi.advanceTimersByTime(2_000)
  expect(office.editing()).toEqual([])
})

test('a cursor that moves with every key is told of at most twice a second', () => {
  const room = new Room()
  const editor = room.presence(HOME).begin(notes, 'release', null)
  for (let at = 0; at < 500; at++) {
    editor?.move({ anchor: at, head: at })
    vi.advanceTimersByTime(10)
  }
  expect(room.told.length).toBeLessThanOrEqual(12)
})

test('nobody speaks for another, and nobody without a right is shown or heard', () => {
  const room = new Room()
  const [home, office, third] = [room.presence(HOME), room.presence(OFFICE), room.presence(THIRD)]
  const editor = home.begin(notes, 'release', 'claude')
  const [first] = room.told
  if (first === undefined) throw new Error('nothing was told')
  expect(third.editing()).toEqual([]) // It may not read the layer, whoever tells it.
  third.heard(HOME, notes, first.update)
  expect(third.editing()).toEqual([])
  office.heard(THIRD, notes, first.update) // A stranger to the layer.
  room.mesh = meshWith(OFFICE, THIRD)
  office.heard(THIRD, notes, first.update) // A reader, with a state that names home.
  expect(office.editing().filter(({ node }) => node === HOME)).toHaveLength(1)
  room.mesh = meshWith() // The grant ends: shown at once no more.
  expect(office.editing()).toEqual([])
  editor?.end()
})

test('noise is dropped', () => {
  const room = new Room()
  const office = room.presence(OFFICE)
  office.heard(HOME, notes, new Uint8Array([200, 1, 2, 3]))
  office.heard(HOME, notes, new Uint8Array())
  expect(office.editing()).toEqual([])
})

test('past sixty-four editors nobody is told of one more, and no edit is stopped', () => {
  const room = new Room()
  const home = room.presence(HOME)
  const editors = Array.from({ length: 80 }, () => home.begin(notes, 'release', null))
  expect(editors.filter((editor) => editor !== undefined)).toHaveLength(64)
  editors[0]?.end()
  expect(home.begin(notes, 'release', null)).toBeDefined()
  for (const { update } of room.told) expect(update.length).toBeLessThanOrEqual(4_096)
})
