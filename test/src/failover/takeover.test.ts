import { previewTakeover } from '@sealmesh/protocol/failover/preview'
import { planTakeover } from '@sealmesh/protocol/failover/takeover'
import type { IncarnationId } from '@sealmesh/protocol/ids'
import { RECORD_BYTES_MAX } from '@sealmesh/protocol/limits'
import { expect, test } from 'vitest'
import { FakeSodium } from '../membership/fake-sodium.ts'
import { admit, assign, grant, host, type Machine, revoke, Scene, upTo } from '../membership/scene.ts'

function household() {
  const scene = new Scene(new FakeSodium())
  const [home, office, shed] = [scene.machine('home'), scene.machine('office'), scene.machine('shed')]
  scene.found(home)
  scene.sign(home, admit(office, true))
  scene.sign(home, admit(shed))
  const { agent } = home
  scene.sign(agent, host(agent, [home, office]))
  const first = scene.sign(home, assign(agent, home, 1, null))
  const digest = new Uint8Array(32)
  const documents = [
    { layer: 'session', vector: upTo(home, 3), digest },
    { layer: 'episodic', vector: upTo(home, 2), digest },
  ]
  const plan = (machine: Machine) =>
    planTakeover({ mesh: scene.fold(), agent: agent.id, node: machine.id, documents, reason: 'home is gone' })
  return { scene, home, office, shed, agent, first, digest, documents, plan }
}

test('the plan is the next term, follows the present one, and starts from what the new holder has', () => {
  const { scene, office, agent, first, documents, plan } = household()
  const planned = plan(office)
  expect(planned).toEqual({
    ok: true,
    value: {
      type: 'assign',
      agent: agent.id,
      term: 2,
      holder: office.id,
      previous: first.hash,
      reason: 'home is gone',
      basis: documents.toReversed(), // By layer.
    },
  })
  if (!planned.ok) return
  const record = scene.sign(office, planned.value)
  expect(scene.fold().agents.get(agent.id)?.term?.record).toBe(record.hash)
})

test('the first term of an agent that nobody held follows nothing', () => {
  const { scene, shed } = household()
  scene.sign(shed.agent, host(shed.agent, [shed]))
  const planned = planTakeover({ mesh: scene.fold(), agent: shed.agent.id, node: shed.id, documents: [], reason: '' })
  expect(planned).toMatchObject({ ok: true, value: { term: 1, previous: null } })
})

test('AGENT_UNKNOWN, NODE_UNKNOWN, NODE_REVOKED, NOT_A_HOST and ALREADY_HOLDER are refusals with their code', () => {
  const { scene, home, office, shed, plan } = household()
  const mesh = scene.fold()
  const unknown = planTakeover({ mesh, agent: shed.agent.id, node: office.id, documents: [], reason: '' })
  expect(unknown).toEqual({ ok: false, error: { code: 'AGENT_UNKNOWN' } })
  expect(plan(scene.machine('attic'))).toEqual({ ok: false, error: { code: 'NODE_UNKNOWN' } })
  expect(plan(shed)).toEqual({ ok: false, error: { code: 'NOT_A_HOST' } })
  expect(plan(home)).toEqual({ ok: false, error: { code: 'ALREADY_HOLDER' } })
  scene.sign(home, revoke(office))
  expect(plan(office)).toEqual({ ok: false, error: { code: 'NODE_REVOKED' } })
})

test('either holder of an overlap may settle it by taking the next term', () => {
  const { scene, home, office, agent, first, plan } = household()
  scene.sign(home, assign(agent, home, 2, first), { after: [first] })
  scene.sign(office, assign(agent, office, 2, first), { after: [first] })
  for (const machine of [home, office]) expect(plan(machine)).toMatchObject({ ok: true, value: { term: 3 } })
})

test('BASIS_TOO_LARGE: a basis that no record can hold is refused before anything is signed', () => {
  const { scene, office, agent, digest } = household()
  const vector = Array.from({ length: 3_000 }, (_, i) => ({
    ...(upTo(office, 1)[0] as ReturnType<typeof upTo>[0] & object),
    incarnation: i.toString(16).padStart(32, '0') as IncarnationId,
  }))
  const planOf = (entries: number) =>
    planTakeover({
      mesh: scene.fold(),
      agent: agent.id,
      node: office.id,
      documents: [{ layer: 'session', vector: vector.slice(0, entries), digest }],
      reason: 'x'.repeat(9_999),
    })
  expect(planOf(3_000)).toEqual({ ok: false, error: { code: 'BASIS_TOO_LARGE' } })
  const fits = planOf(2_000)
  if (!fits.ok) throw new Error(fits.error.code)
  expect(scene.sign(office, fits.value).bytes.length).toBeLessThan(RECORD_BYTES_MAX)
})

test('the preview names what is here, what a peer has named, and what nobody can know', () => {
  const { scene, home, office, shed, agent, documents } = household()
  scene.sign(agent, grant(agent, 'session', 'standby'))
  scene.sign(agent, grant(agent, 'semantic', shed))
  const words = [
    { node: home.id, heardAtMs: 1_000, documents: [{ layer: 'session', vector: upTo(home, 5) }] },
    {
      node: shed.id,
      heardAtMs: 2_000,
      documents: [
        { layer: 'session', vector: upTo(home, 4) },
        { layer: 'semantic', vector: upTo(shed, 1) },
      ],
    },
    { node: office.id, heardAtMs: 3_000, documents: [{ layer: 'session', vector: upTo(home, 9) }] },
  ]
  const preview = previewTakeover({ mesh: scene.fold(), agent: agent.id, node: office.id, documents, words })
  expect(preview).toEqual({
    holder: home.id,
    term: 1,
    nextTerm: 2,
    known: [
      { layer: 'episodic', blocks: 2 },
      { layer: 'session', blocks: 3 },
    ],
    mayBeLost: [
      { layer: 'semantic', blocks: 1, namedBy: [shed.id], later: 'merged' },
      { layer: 'session', blocks: 2, namedBy: [home.id, shed.id].toSorted(), later: 'set-aside' },
    ],
    cannotBeKnown: [
      { type: 'holder-silent', holder: home.id, heardAtMs: 1_000 },
      { type: 'not-granted', layers: ['episodic', 'semantic'] },
    ],
  })
})

test('a holder that was never heard is said to be so, and the holder itself has nothing to wonder about', () => {
  const { scene, home, office, agent } = household()
  const look = (machine: Machine) =>
    previewTakeover({ mesh: scene.fold(), agent: agent.id, node: machine.id, documents: [], words: [] })
  expect(look(office)?.cannotBeKnown[0]).toEqual({ type: 'holder-silent', holder: home.id, heardAtMs: null })
  expect(look(home)?.cannotBeKnown).toEqual([])
  const unknown = scene.machine('attic').agent.id
  expect(
    previewTakeover({ mesh: scene.fold(), agent: unknown, node: home.id, documents: [], words: [] }),
  ).toBeUndefined()
})
