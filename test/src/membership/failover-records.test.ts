import { describe, expect, test } from 'vitest'
import { FakeSodium } from './fake-sodium.ts'
import { type Machine, admit, assign, failover, host, Scene, syncSet, witness } from './scene.ts'

function household() {
  const scene = new Scene(new FakeSodium())
  const [home, office, shed] = ['home', 'office', 'shed'].map((name) => scene.machine(name)) as [
    Machine,
    Machine,
    Machine,
  ]
  const { agent } = home
  scene.found(home)
  scene.sign(home, admit(office, true))
  scene.sign(home, admit(shed))
  scene.sign(agent, host(agent, [home, office]))
  const first = scene.sign(home, assign(agent, home, 1, null))
  const fold = () => scene.fold()
  const agentNow = () => fold().agents.get(agent.id)
  const voidReason = (record: { hash: string }) => fold().voided.get(record.hash as never)
  return { scene, home, office, shed, agent, first, fold, agentNow, voidReason }
}

describe('who keeps leases', () => {
  test('nobody until an admin says so, and then the newest word', () => {
    const { scene, home, office, shed, fold } = household()
    expect(fold().witness).toBeNull()
    scene.sign(home, witness(shed))
    expect(fold().witness).toMatchObject({ relays: [shed.id], profile: 'fast' })
    const three = scene.sign(office, witness(home, office, shed))
    expect(fold().witness).toMatchObject({ record: three.hash, relays: [home.id, office.id, shed.id].toSorted() })
  })

  test('T-peer-4: SIGNER_NOT_ALLOWED: not a member that is no admin', () => {
    const { scene, home, shed, fold, voidReason } = household()
    expect(voidReason(scene.sign(shed, witness(home)))).toBe('SIGNER_NOT_ALLOWED')
    expect(fold().witness).toBeNull()
  })
})

describe('who moves a term', () => {
  test('a person, until the agent or its holder says otherwise', () => {
    const { scene, home, agent, agentNow } = household()
    expect(agentNow()?.failover).toEqual({ record: null, mode: 'manual', durability: 'available' })
    scene.sign(home, failover(agent, 'auto'))
    expect(agentNow()?.failover).toMatchObject({ mode: 'auto', durability: 'strict' })
    scene.sign(agent, failover(agent, 'ask'))
    expect(agentNow()?.failover.mode).toBe('ask')
  })

  test('SIGNER_NOT_ALLOWED: not a standby, nor the root', () => {
    const { scene, office, agent, agentNow, voidReason } = household()
    for (const signer of [office, scene.root])
      expect(voidReason(scene.sign(signer, failover(agent, 'auto')))).toBe('SIGNER_NOT_ALLOWED')
    expect(agentNow()?.failover.mode).toBe('manual')
  })

  test('TERM_PASSED: what a holder says after its term has passed', () => {
    const { scene, home, office, agent, first, agentNow, voidReason } = household()
    scene.sign(office, assign(agent, office, 2, first), { after: [first] })
    const late = scene.sign(home, failover(agent, 'auto'), { after: [first] })
    expect(voidReason(late)).toBe('TERM_PASSED')
    expect(agentNow()?.failover.mode).toBe('manual')
  })
})

describe('sync sets', () => {
  test('the last that the holder of the present term has named', () => {
    const { scene, home, office, shed, agent, first, agentNow } = household()
    expect(agentNow()?.syncSet).toBeNull()
    scene.sign(home, syncSet(agent, first, [home, office]))
    const wider = scene.sign(home, syncSet(agent, first, [home, office, shed]))
    expect(agentNow()?.syncSet).toEqual({ record: wider.hash, members: [home.id, office.id, shed.id].toSorted() })
  })

  test('one of an earlier term says nothing of the present one', () => {
    const { scene, home, office, agent, first, agentNow } = household()
    scene.sign(home, syncSet(agent, first, [home, office]))
    const second = scene.sign(office, assign(agent, office, 2, first))
    expect(agentNow()?.syncSet).toBeNull()
    scene.sign(home, syncSet(agent, first, [home]))
    expect(agentNow()?.syncSet).toBeNull()
    const named = scene.sign(office, syncSet(agent, second, [office]))
    expect(agentNow()?.syncSet?.record).toBe(named.hash)
  })

  test('SIGNER_NOT_ALLOWED: by another than the holder, or without the holder in it', () => {
    const { scene, home, office, agent, first, agentNow, voidReason } = household()
    expect(voidReason(scene.sign(office, syncSet(agent, first, [home, office])))).toBe('SIGNER_NOT_ALLOWED')
    expect(voidReason(scene.sign(agent, syncSet(agent, first, [home])))).toBe('SIGNER_NOT_ALLOWED')
    expect(voidReason(scene.sign(home, syncSet(agent, first, [office])))).toBe('SIGNER_NOT_ALLOWED')
    expect(agentNow()?.syncSet).toBeNull()
  })

  test('SUBJECT_UNKNOWN: of a term that is none, or another agent’s', () => {
    const { scene, home, shed, agent, first, voidReason } = household()
    const none = scene.sign(home, failover(agent, 'ask'))
    expect(voidReason(scene.sign(home, syncSet(agent, none, [home])))).toBe('SUBJECT_UNKNOWN')
    expect(voidReason(scene.sign(home, syncSet(shed.agent, first, [home])))).toBe('SUBJECT_UNKNOWN')
  })
})
