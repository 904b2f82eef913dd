import { PREKEY_SKEW_MS } from '@sealmesh/protocol/limits'
import {
  agentByName,
  isSingleWriter,
  livePrekey,
  nameClashes,
  nodeByName,
  readersOf,
  waitedForBy,
  writersOf,
} from '@sealmesh/protocol/membership/access'
import type { MeshNode } from '@sealmesh/protocol/membership/mesh'
import { expect, test } from 'vitest'
import { FakeSodium } from './fake-sodium.ts'
import { admit, assign, grant, host, type Machine, prekey, revoke, Scene, ungrant } from './scene.ts'

function household() {
  const scene = new Scene(new FakeSodium())
  const [home, office, shed] = [scene.machine('home'), scene.machine('office'), scene.machine('shed')]
  scene.found(home)
  scene.sign(home, admit(office, true))
  scene.sign(home, admit(shed))
  const { agent } = home
  scene.sign(agent, host(agent, [home, office]))
  const first = scene.sign(home, assign(agent, home, 1, null))
  const ids = (...machines: readonly Machine[]) => machines.map(({ id }) => id).toSorted()
  const readers = (layer: string) => readersOf(scene.fold(), agent.id, layer)
  const writers = (layer: string) => writersOf(scene.fold(), agent.id, layer)
  return { scene, home, office, shed, agent, first, ids, readers, writers }
}

test('nothing leaves the holder until a grant says so, a standby included', () => {
  const { scene, home, office, shed, agent, ids, readers } = household()
  expect(readers('semantic')).toEqual(ids(home))
  scene.sign(agent, grant(agent, 'semantic', 'standby'))
  expect(readers('semantic')).toEqual(ids(home, office))
  const given = scene.sign(agent, grant(agent, 'semantic', shed))
  expect(readers('semantic')).toEqual(ids(home, office, shed))
  expect(readers('episodic')).toEqual(ids(home))
  scene.sign(agent, ungrant(agent, given))
  expect(readers('semantic')).toEqual(ids(home, office))
})

test('a grant to an agent reaches its hosts, as they are now', () => {
  const { scene, home, office, shed, agent, ids, readers } = household()
  scene.sign(agent, grant(agent, 'semantic', shed.agent))
  expect(readers('semantic')).toEqual(ids(home))
  scene.sign(shed.agent, host(shed.agent, [shed]))
  expect(readers('semantic')).toEqual(ids(home, shed))
  scene.sign(shed.agent, host(shed.agent, [office]))
  expect(readers('semantic')).toEqual(ids(home, office))
})

test('hosts and write grantees write; the session has one writer, the holder of the term', () => {
  const { scene, home, office, shed, agent, first, ids, writers } = household()
  scene.sign(agent, grant(agent, 'semantic', shed, 'write'))
  scene.sign(agent, grant(agent, 'session', shed, 'write'))
  expect(writers('semantic')).toEqual(ids(home, office, shed))
  expect(isSingleWriter('session')).toBe(true)
  expect(writers('session')).toEqual(ids(home))
  scene.sign(office, assign(agent, office, 2, first))
  expect(writers('session')).toEqual(ids(office))
})

test('a holder that was dropped from the hosts, or removed, neither reads nor writes', () => {
  const { scene, home, office, agent, readers, writers } = household()
  scene.sign(agent, host(agent, [office]))
  expect(readers('semantic')).toEqual([])
  expect(writers('session')).toEqual([])
  scene.sign(agent, host(agent, [home, office]))
  scene.sign(office, revoke(home))
  expect(readers('semantic')).toEqual([])
  expect(writers('session')).toEqual([])
})

test('a base waits for readers, and for a writer that may have read: by a term, a grant, or as a host then', () => {
  const { scene, home, office, shed, agent, first, ids } = household()
  const waited = (layer: string) => waitedForBy(scene.fold(), agent.id, layer)
  expect(waited('semantic')).toEqual(ids(home))
  const read = scene.sign(agent, grant(agent, 'semantic', shed))
  expect(waited('semantic')).toEqual(ids(home, shed))
  scene.sign(agent, ungrant(agent, read))
  expect(waited('semantic')).toEqual(ids(home))
  scene.sign(office, assign(agent, office, 2, first))
  expect(waited('semantic')).toEqual(ids(home, office))
  scene.sign(agent, host(agent, [home, office, shed]))
  expect(waited('semantic')).toEqual(ids(home, office, shed))
  // Shed reads by another agent's grant, which then leaves it.
  scene.sign(shed.agent, host(shed.agent, [shed]))
  scene.sign(agent, grant(agent, 'episodic', shed.agent))
  scene.sign(shed.agent, host(shed.agent, [home]))
  expect(waited('episodic')).toEqual(ids(home, office, shed))
})

test('an agent that the mesh does not know has neither readers nor writers', () => {
  const { scene, shed } = household()
  const mesh = scene.fold()
  expect([readersOf(mesh, shed.agent.id, 'semantic'), writersOf(mesh, shed.agent.id, 'semantic')]).toEqual([[], []])
})

test('the live prekey is the newest that is due: an hour of skew before, none after', () => {
  const { scene, office } = household()
  const start = 10 * PREKEY_SKEW_MS
  const old = scene.sign(office, prekey(office, 0, start + 1_000))
  const fresh = scene.sign(office, prekey(office, start, start + 2_000))
  const node = () => scene.fold().nodes.get(office.id) as MeshNode
  expect(livePrekey(node(), start - PREKEY_SKEW_MS - 1)?.record).toBe(old.hash)
  expect(livePrekey(node(), start - PREKEY_SKEW_MS)?.record).toBe(fresh.hash)
  expect(livePrekey(node(), start + 1_999)?.record).toBe(fresh.hash)
  expect(livePrekey(node(), start + 2_000)).toBeUndefined()
  scene.sign(scene.root, revoke(office))
  expect(livePrekey(node(), start)).toBeUndefined()
})

test('of two agents with one name the smaller id has it, everywhere alike, and the clash is shown', () => {
  const { scene, home, office, shed } = household()
  scene.sign(office.agent, host(office.agent, [office], { name: 'claude' }))
  scene.sign(shed.agent, host(shed.agent, [shed], { name: 'claude' }))
  const mesh = scene.fold()
  const [small, large] = [office.agent.id, shed.agent.id].toSorted()
  expect(agentByName(mesh, 'claude')?.id).toBe(small)
  expect(agentByName(mesh, 'nobody')).toBeUndefined()
  expect(nameClashes(mesh)).toEqual([{ type: 'agent', name: 'claude', ids: [small, large] }])
  expect(agentByName(mesh, home.agent.name)?.id).toBe(home.agent.id)
})

test('a machine that was paired anew has its name back', () => {
  const { scene, home, shed } = household()
  const again = scene.machine('shed-reborn')
  scene.sign(home, revoke(shed))
  expect(nodeByName(scene.fold(), 'shed')?.id).toBe(shed.id)
  scene.sign(home, { type: 'admit', node: { ...again.identity, name: 'shed' }, admin: false, token: new Uint8Array() })
  expect(nodeByName(scene.fold(), 'shed')?.id).toBe(again.id)
  expect(nameClashes(scene.fold())).toEqual([])
})
