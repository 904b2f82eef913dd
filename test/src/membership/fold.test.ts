import { toHex } from '@sealmesh/protocol/bytes'
import type { VoidReason } from '@sealmesh/protocol/membership/mesh'
import type { SignedRecord } from '@sealmesh/protocol/membership/record'
import { describe, expect, test } from 'vitest'
import { FakeSodium } from './fake-sodium.ts'
import { admit, assign, grant, host, prekey, revoke, Scene, ungrant, witness } from './scene.ts'

/** Home founded the mesh and hosts its agent under term 1; office is an admin and second host; shed is a member. */
function household() {
  const scene = new Scene(new FakeSodium())
  const [home, office, shed] = [scene.machine('home'), scene.machine('office'), scene.machine('shed')]
  const founded = scene.found(home)
  scene.sign(home, admit(office, true))
  scene.sign(home, admit(shed))
  const { agent } = home
  const hosted = scene.sign(agent, host(agent, [home, office]))
  const first = scene.sign(home, assign(agent, home, 1, null))
  const voidReason = (record: SignedRecord): VoidReason | undefined => scene.fold().voided.get(record.hash)
  return { scene, home, office, shed, agent, founded, hosted, first, voidReason }
}

describe('members', () => {
  test('the founding machine is an admin, and what it admits is in the mesh', () => {
    const { scene, home, office, shed } = household()
    const mesh = scene.fold()
    expect(mesh.name).toBe('ours')
    expect([...mesh.nodes.keys()]).toEqual([home.id, office.id, shed.id].toSorted())
    expect(mesh.nodes.get(home.id)).toMatchObject({ name: 'home', admin: true, revocations: [] })
    expect(mesh.nodes.get(shed.id)).toMatchObject({ name: 'shed', admin: false })
    expect(mesh.voided.size).toBe(0)
  })

  test('T-peer-4: SIGNER_NOT_ALLOWED: a member that is no admin admits nobody, removes nobody and moves no relay', () => {
    const { scene, home, shed, voidReason } = household()
    const attic = scene.machine('attic')
    const others = [
      { type: 'relay', relays: [] },
      { type: 'checkpoint', digest: new Uint8Array(32) },
      witness(home),
    ] as const
    const tries = [admit(attic), revoke(home), ...others].map((body) => scene.sign(shed, body))
    expect(tries.map(voidReason)).toEqual(Array(5).fill('SIGNER_NOT_ALLOWED'))
    expect(scene.fold().nodes.has(attic.id)).toBe(false)
  })

  test('T-peer-4: SIGNER_NOT_ALLOWED: only the root founds a mesh', () => {
    const { scene, home, voidReason } = household()
    const attic = scene.machine('attic')
    const record = scene.sign(home, { type: 'found', meshName: 'mine', node: attic.identity })
    // Without parents the signer is nobody yet, so that it does not even enter.
    expect(voidReason(record)).toBeUndefined()
    expect(scene.fold().records.has(record.hash)).toBe(false)
    const byAgent = scene.sign(attic.agent, { type: 'found', meshName: 'mine', node: attic.identity })
    expect(voidReason(byAgent)).toBe('SIGNER_NOT_ALLOWED')
    expect(scene.fold().name).toBe('ours')
  })

  test('T-peer-4: SIGNER_UNKNOWN: what a machine signs whose admission does not count', () => {
    const { scene, shed, voidReason } = household()
    const attic = scene.machine('attic')
    const admission = scene.sign(shed, admit(attic))
    const record = scene.sign(attic, prekey(attic, 0, 1), { after: [admission] })
    expect(voidReason(record)).toBe('SIGNER_UNKNOWN')
  })

  test('SUBJECT_UNKNOWN: a revoke names a node that its signer cannot have known', () => {
    const { scene, home, voidReason } = household()
    expect(voidReason(scene.sign(home, revoke(scene.machine('attic'))))).toBe('SUBJECT_UNKNOWN')
  })

  test('T-peer-4: SUBJECT_TAKEN: a second admission may not change the login key, where its packets go', () => {
    const { scene, home, office, shed, voidReason } = household()
    const redirected = { ...shed.identity, loginKey: office.identity.loginKey }
    const record = scene.sign(home, { type: 'admit', node: redirected, admin: false, token: new Uint8Array() })
    expect(voidReason(record)).toBe('SUBJECT_TAKEN')
    expect(scene.fold().nodes.get(shed.id)?.loginKey).toEqual(shed.identity.loginKey)
  })

  test('of two concurrent admissions with two login keys the same one is taken everywhere', () => {
    const { scene, home, office, first } = household()
    const attic = scene.machine('attic')
    const other = { ...attic.identity, loginKey: office.identity.loginKey }
    const both = [
      scene.sign(home, admit(attic), { after: [first] }),
      scene.sign(office, { type: 'admit', node: other, admin: false, token: new Uint8Array() }, { after: [first] }),
    ]
    const smallest = both.map(({ hash }) => hash).toSorted()[0]
    for (const records of [scene.records, scene.records.toReversed()])
      expect(scene.fold(records).nodes.get(attic.id)?.admittedBy).toBe(smallest)
  })

  test('an admission that turns out void takes nobody: the right one counts, before and after the removal', () => {
    const { scene, home, office, shed, first, voidReason } = household()
    const attic = scene.machine('attic')
    const redirected = { ...attic.identity, loginKey: office.identity.loginKey }
    const taken = scene.sign(
      office,
      { type: 'admit', node: redirected, admin: false, token: new Uint8Array() },
      { after: [first] },
    )
    const right = scene.sign(home, admit(attic, true), { after: [taken] })
    const removal = scene.sign(attic, revoke(shed), { after: [right] })
    expect(voidReason(right)).toBe('SUBJECT_TAKEN')
    scene.sign(home, revoke(office), { after: [first] })
    expect([taken, right, removal].map(voidReason)).toEqual(['SIGNER_REVOKED', undefined, undefined])
    expect(scene.fold().nodes.get(attic.id)?.loginKey).toEqual(attic.identity.loginKey)
  })

  test('admitting a member again as an admin makes it one', () => {
    const { scene, office, shed } = household()
    scene.sign(office, admit(shed, true))
    expect(scene.fold().nodes.get(shed.id)?.admin).toBe(true)
  })

  test('T-revoked-2: SUBJECT_REVOKED: a removed node cannot be admitted again under its identity', () => {
    const { scene, home, shed, voidReason } = household()
    scene.sign(home, revoke(shed))
    expect(voidReason(scene.sign(home, admit(shed)))).toBe('SUBJECT_REVOKED')
    expect(scene.fold().nodes.get(shed.id)?.revocations).toHaveLength(1)
  })

  test('T-relay-5: a record whose signature is not good enters nowhere, and neither does what follows it', () => {
    const { scene, home } = household()
    const good = scene.sign(home, prekey(home, 0, 1))
    const next = scene.sign(home, prekey(home, 1, 2), { after: [good] })
    const bad = { ...good, signature: new Uint8Array(64) as SignedRecord['signature'] }
    const records = scene.records.map((record) => (record === good ? bad : record))
    const mesh = scene.fold(records)
    expect(mesh.records.has(good.hash)).toBe(false)
    expect(mesh.records.has(next.hash)).toBe(false)
  })
})

describe('removal', () => {
  test('T-revoked-2: SIGNER_REVOKED: after its removal a node signs nothing that counts', () => {
    const { scene, home, office, voidReason } = household()
    scene.sign(home, revoke(office))
    expect(voidReason(scene.sign(office, prekey(office, 0, 1)))).toBe('SIGNER_REVOKED')
    expect(voidReason(scene.sign(office, revoke(home)))).toBe('SIGNER_REVOKED')
  })

  test('T-revoked-2: removal wins every fork: what the removed node signed beside its removal counts for nothing', () => {
    const { scene, home, office, voidReason } = household()
    const attic = scene.machine('attic')
    const before = scene.sign(office, prekey(office, 0, 1))
    scene.sign(home, revoke(office))
    const admission = scene.sign(office, admit(attic, true), { after: [before] })
    const late = scene.sign(office, prekey(office, 1, 2), { after: [before] })
    const ofAdmitted = scene.sign(attic, prekey(attic, 0, 1), { after: [admission] })
    expect(voidReason(before)).toBeUndefined()
    expect([admission, late, ofAdmitted].map(voidReason)).toEqual([
      'SIGNER_REVOKED',
      'SIGNER_REVOKED',
      'SIGNER_UNKNOWN',
    ])
    expect(scene.fold().nodes.has(attic.id)).toBe(false)
    expect(scene.fold().nodes.get(office.id)?.prekeys).toHaveLength(1)
  })

  test('whom a removed admin had admitted before stays', () => {
    const { scene, home, office } = household()
    const attic = scene.machine('attic')
    scene.sign(office, admit(attic))
    scene.sign(home, revoke(office))
    expect(scene.fold().nodes.get(attic.id)?.revocations).toEqual([])
  })

  test('one who was admitted beside the removal stays once another admin admits it too', () => {
    const { scene, home, office } = household()
    const attic = scene.machine('attic')
    const fork = [...scene.records]
    scene.sign(home, revoke(office))
    scene.sign(office, admit(attic), { after: [fork.at(-1) as SignedRecord] })
    expect(scene.fold().nodes.has(attic.id)).toBe(false)
    scene.sign(home, admit(attic))
    expect(scene.fold().nodes.get(attic.id)?.revocations).toEqual([])
  })

  test('T-revoked-3: two admins who remove each other are both removed', () => {
    const { scene, home, office, first, voidReason } = household()
    const [one, other] = [
      scene.sign(home, revoke(office), { after: [first] }),
      scene.sign(office, revoke(home), { after: [first] }),
    ]
    const mesh = scene.fold()
    expect([one, other].map(voidReason)).toEqual([undefined, undefined])
    expect(mesh.nodes.get(home.id)?.revocations.map(({ record }) => record)).toEqual([other.hash])
    expect(mesh.nodes.get(office.id)?.revocations.map(({ record }) => record)).toEqual([one.hash])
  })

  test('after that the root admits a new machine, which governs', () => {
    const { scene, home, office, first } = household()
    scene.sign(home, revoke(office), { after: [first] })
    scene.sign(office, revoke(home), { after: [first] })
    const rescue = scene.machine('rescue')
    scene.sign(scene.root, admit(rescue, true))
    const attic = scene.machine('attic')
    scene.sign(rescue, admit(attic))
    expect(scene.fold().nodes.get(attic.id)?.revocations).toEqual([])
  })

  test('T-revoked-3: a revoke stands although its signer is removed beside it, and although the one who let it in was', () => {
    const { scene, home, office, shed, first } = household()
    const attic = scene.machine('attic')
    const admission = scene.sign(office, admit(attic, true), { after: [first] })
    scene.sign(home, revoke(office), { after: [first] })
    const byVoid = scene.sign(attic, revoke(shed), { after: [admission] })
    const mesh = scene.fold()
    expect(mesh.voided.get(admission.hash)).toBe('SIGNER_REVOKED')
    expect(mesh.nodes.get(shed.id)?.revocations.map(({ record }) => record)).toEqual([byVoid.hash])
  })

  test('a new epoch starts with every removal, and only then', () => {
    const { scene, home, shed } = household()
    const epoch = () => toHex(scene.fold().epoch)
    const first = epoch()
    scene.sign(home, prekey(home, 0, 1))
    expect(epoch()).toBe(first)
    scene.sign(home, revoke(shed))
    expect(epoch()).not.toBe(first)
  })
})

describe('hosts', () => {
  test('T-peer-10: only the agent itself makes its first host record', () => {
    const { scene, home, shed, voidReason } = household()
    expect(voidReason(scene.sign(home, host(shed.agent, [home])))).toBe('SUBJECT_UNKNOWN')
    expect(voidReason(scene.sign(home.agent, host(shed.agent, [home])))).toBe('SIGNER_NOT_ALLOWED')
    expect(voidReason(scene.sign(scene.root, host(shed.agent, [home])))).toBe('SIGNER_NOT_ALLOWED')
    expect(scene.fold().agents.has(shed.agent.id)).toBe(false)
  })

  test('the holder of the term speaks for an agent that delegated, and for no other', () => {
    const { scene, home, office, shed, agent, voidReason } = household()
    expect(voidReason(scene.sign(home, host(agent, [home, shed])))).toBeUndefined()
    expect(voidReason(scene.sign(office, host(agent, [office])))).toBe('SIGNER_NOT_ALLOWED')
    expect(scene.fold().agents.get(agent.id)?.hosts).toEqual([home.id, shed.id])
    scene.sign(agent, host(agent, [home], { delegate: false }))
    expect(voidReason(scene.sign(home, host(agent, [home, shed])))).toBe('SIGNER_NOT_ALLOWED')
  })

  test('T-peer-10: NOT_A_HOST: a holder that the host list has dropped no longer speaks for the agent', () => {
    const { scene, home, office, agent, voidReason } = household()
    scene.sign(agent, host(agent, [office]))
    expect(voidReason(scene.sign(home, host(agent, [home])))).toBe('NOT_A_HOST')
  })

  test('concurrent host records keep both additions, and a removal wins', () => {
    const { scene, home, office, shed, agent } = household()
    const attic = scene.machine('attic')
    const admission = scene.sign(home, admit(attic))
    scene.sign(agent, host(agent, [home, shed]), { after: [admission] }) // Adds shed, drops office.
    scene.sign(agent, host(agent, [home, office, attic], { name: 'renamed' }), { after: [admission] })
    const mesh = scene.fold()
    expect(mesh.agents.get(agent.id)?.hosts).toEqual([home.id, attic.id, shed.id])
    expect(mesh.agents.get(agent.id)?.name).toBe('renamed')
  })

  test('a drop that lies further back on one side still wins over the other side, until a later record names it', () => {
    const { scene, home, office, shed, agent, first } = household()
    const drop = scene.sign(agent, host(agent, [home]), { after: [first] })
    scene.sign(agent, host(agent, [home, shed]), { after: [drop] })
    scene.sign(agent, host(agent, [home, office], { name: 'other-side' }), { after: [first] })
    expect(scene.fold().agents.get(agent.id)?.hosts.toSorted()).toEqual([home.id, shed.id].toSorted())
    scene.sign(agent, host(agent, [home, office]))
    expect(scene.fold().agents.get(agent.id)?.hosts).toEqual([home.id, office.id])
  })

  test('a node that was dropped and named again stays a host when the list is then edited on two sides', () => {
    const { scene, home, office, shed, agent } = household()
    scene.sign(agent, host(agent, [home]))
    const again = scene.sign(agent, host(agent, [home, office]))
    scene.sign(agent, host(agent, [home, office, shed]), { after: [again] })
    scene.sign(agent, host(agent, [home, office], { name: 'renamed' }), { after: [again] })
    expect(scene.fold().agents.get(agent.id)?.hosts).toEqual([home.id, office.id, shed.id])
  })

  test('revoked machines and strangers are no hosts, and the rest of the record stands', () => {
    const { scene, home, office, agent } = household()
    scene.sign(agent, host(agent, [scene.machine('stranger'), home, office]))
    scene.sign(home, revoke(office))
    expect(scene.fold().agents.get(agent.id)?.hosts).toEqual([home.id])
  })
})

describe('grants', () => {
  test('a grant by the agent or its holder counts until an ungrant', () => {
    const { scene, home, shed, agent } = household()
    const [one, other] = [
      scene.sign(agent, grant(agent, 'semantic', 'standby')),
      scene.sign(home, grant(agent, 'semantic', shed)),
    ]
    const taken = scene.sign(home, ungrant(agent, one))
    const grants = scene.fold().agents.get(agent.id)?.grants ?? []
    expect(grants.find(({ record }) => record === one.hash)?.ended?.record).toBe(taken.hash)
    expect(grants.find(({ record }) => record === other.hash)?.ended).toBeNull()
  })

  test('SUBJECT_UNKNOWN: a grant of an agent that nobody hosts, an ungrant of what was not granted', () => {
    const { scene, agent, founded, office, shed, voidReason } = household()
    expect(voidReason(scene.sign(shed.agent, grant(shed.agent, 'semantic', office)))).toBe('SUBJECT_UNKNOWN')
    const given = scene.sign(agent, grant(agent, 'semantic', office))
    scene.sign(shed.agent, host(shed.agent, [shed]))
    expect(voidReason(scene.sign(shed.agent, ungrant(shed.agent, given)))).toBe('SUBJECT_UNKNOWN')
    expect(voidReason(scene.sign(agent, ungrant(agent, founded)))).toBe('SUBJECT_UNKNOWN')
  })

  test('SUBJECT_UNKNOWN: an ungrant of a grant that is not in its past, whichever comes first', () => {
    const { scene, shed, agent, first } = household()
    const given = scene.sign(agent, grant(agent, 'semantic', shed), { after: [first] })
    const early = scene.sign(agent, ungrant(agent, given), { after: [first] })
    for (const records of [scene.records, scene.records.toReversed()])
      expect(scene.fold(records).voided.get(early.hash)).toBe('SUBJECT_UNKNOWN')
  })

  test('T-peer-10: SIGNER_NOT_ALLOWED: neither an admin nor the root gives away what an agent owns', () => {
    const { scene, office, agent, voidReason } = household()
    expect(voidReason(scene.sign(office, grant(agent, 'semantic', office)))).toBe('SIGNER_NOT_ALLOWED')
    expect(voidReason(scene.sign(scene.root, grant(agent, 'semantic', office)))).toBe('SIGNER_NOT_ALLOWED')
  })

  test('T-peer-11: TERM_PASSED: what the old holder signed apart from the new term is void, what the new one saw is not', () => {
    const { scene, home, office, shed, agent, first, voidReason } = household()
    const seen = scene.sign(home, grant(agent, 'semantic', shed))
    const second = scene.sign(office, assign(agent, office, 2, first))
    const apart = [
      scene.sign(home, grant(agent, 'episodic', shed), { after: [seen] }),
      scene.sign(home, host(agent, [home]), { after: [seen] }),
      scene.sign(home, ungrant(agent, seen), { after: [seen] }),
    ]
    expect(apart.map(voidReason)).toEqual(Array(3).fill('TERM_PASSED'))
    expect([seen, second].map(voidReason)).toEqual([undefined, undefined])
    // The agent's own key is under no term.
    expect(voidReason(scene.sign(agent, grant(agent, 'episodic', shed), { after: [seen] }))).toBeUndefined()
  })

  test('what rests on a passed record falls with it', () => {
    const { scene, home, office, shed, agent, first, voidReason } = household()
    const second = scene.sign(office, assign(agent, office, 2, first), { after: [first] })
    const named = scene.sign(home, host(agent, [home, shed]), { after: [first] })
    const taken = scene.sign(shed, assign(agent, shed, 2, first), { after: [named] })
    // Either would void the other's ground; the term whose host record is under no passed term stands.
    expect(voidReason(named)).toBe('TERM_PASSED')
    expect(voidReason(taken)).toBe('NOT_A_HOST')
    expect(voidReason(second)).toBeUndefined()
  })

  test('two terms that rest on concurrent delegated records void each other instead of depending on arrival', () => {
    const { scene, home, office, shed, agent, first } = household()
    const narrowed = scene.sign(home, host(agent, [home]), { after: [first] })
    const [left, right] = [
      scene.sign(home, host(agent, [home, office]), { after: [narrowed] }),
      scene.sign(home, host(agent, [home, shed]), { after: [narrowed] }),
    ]
    scene.sign(office, assign(agent, office, 2, first), { after: [left] })
    scene.sign(shed, assign(agent, shed, 2, first), { after: [right] })
    const folds = [scene.records, scene.records.toReversed()].map((records) => scene.fold(records))
    for (const mesh of folds) {
      expect([left, right].map(({ hash }) => mesh.voided.get(hash))).toEqual(['TERM_PASSED', 'TERM_PASSED'])
      expect(mesh.agents.get(agent.id)?.term?.record).toBe(first.hash)
    }
  })
})

describe('terms', () => {
  test('a host takes the next term; the highest says who holds the agent', () => {
    const { scene, office, agent, first } = household()
    const second = scene.sign(office, assign(agent, office, 2, first))
    const { term, terms } = scene.fold().agents.get(agent.id) ?? {}
    expect(term).toMatchObject({ number: 2, holder: office.id, record: second.hash, previous: first.hash })
    expect(terms).toHaveLength(2)
  })

  test('T-peer-11: NOT_A_HOST: a member that no host record names takes no term', () => {
    const { scene, shed, agent, first, voidReason } = household()
    expect(voidReason(scene.sign(shed, assign(agent, shed, 2, first)))).toBe('NOT_A_HOST')
  })

  test('T-peer-11: SIGNER_NOT_ALLOWED: nobody takes a term for another', () => {
    const { scene, home, office, agent, first, voidReason } = household()
    expect(voidReason(scene.sign(home, assign(agent, office, 2, first)))).toBe('SIGNER_NOT_ALLOWED')
    expect(voidReason(scene.sign(agent, assign(agent, office, 2, first)))).toBe('SIGNER_NOT_ALLOWED')
  })

  test('SUBJECT_UNKNOWN: a term of an agent that nobody hosts', () => {
    const { scene, shed, voidReason } = household()
    expect(voidReason(scene.sign(shed, assign(shed.agent, shed, 1, null)))).toBe('SUBJECT_UNKNOWN')
  })

  test('T-peer-11: TERM_NOT_HIGHER: terms only grow, and by one', () => {
    const { scene, home, office, agent, first, voidReason } = household()
    const second = scene.sign(office, assign(agent, office, 2, first))
    const tries = [
      assign(agent, home, 1, null),
      assign(agent, home, 2, first),
      assign(agent, home, 9_007_199_254_740_991, second),
      assign(agent, home, 3, first),
      assign(agent, home, 3, null),
    ].map((body) => scene.sign(home, body))
    expect(tries.map(voidReason)).toEqual(Array(5).fill('TERM_NOT_HIGHER'))
    expect(voidReason(scene.sign(home, assign(agent, home, 3, second)))).toBeUndefined()
  })

  test('two terms of one number both stand, and are seen', () => {
    const { scene, home, office, agent, first } = household()
    scene.sign(home, assign(agent, home, 2, first), { after: [first] })
    scene.sign(office, assign(agent, office, 2, first), { after: [first] })
    const { term, terms } = scene.fold().agents.get(agent.id) ?? {}
    expect(terms?.map(({ number }) => number)).toEqual([1, 2, 2])
    expect(term).toBe(terms?.[2])
  })

  test('a term that followed one which was voided later still stands', () => {
    const { scene, home, office, shed, agent, first, voidReason } = household()
    scene.sign(agent, host(agent, [home, office, shed]))
    const fork = scene.records.at(-1) as SignedRecord
    const second = scene.sign(shed, assign(agent, shed, 2, first), { after: [fork] })
    const third = scene.sign(office, assign(agent, office, 3, second), { after: [second] })
    scene.sign(home, revoke(shed), { after: [fork] })
    expect(voidReason(second)).toBe('SIGNER_REVOKED')
    expect(voidReason(third)).toBeUndefined()
    expect(scene.fold().agents.get(agent.id)?.term).toMatchObject({ number: 3, holder: office.id })
  })
})

describe('prekeys and relays', () => {
  test('a node states its own prekeys; the newest come first', () => {
    const { scene, home, office, voidReason } = household()
    scene.sign(office, prekey(office, 10, 20))
    scene.sign(office, prekey(office, 30, 40))
    expect(voidReason(scene.sign(home, prekey(office, 50, 60)))).toBe('SIGNER_NOT_ALLOWED')
    expect(
      scene
        .fold()
        .nodes.get(office.id)
        ?.prekeys.map(({ notBeforeMs }) => notBeforeMs),
    ).toEqual([30, 10])
  })

  test('the newest relay record says where the relays are, whoever of the admins signed it', () => {
    const { scene, home, office, shed } = household()
    const at = (address: string) => ({ type: 'relay', relays: [{ address, relay: shed.id as never }] }) as const
    scene.sign(home, at('wss://one'))
    scene.sign(office, at('wss://two'))
    expect(scene.fold().relays.map(({ address }) => address)).toEqual(['wss://two'])
  })
})

test('heads stay within what a record has room for, and void branches go first', () => {
  const { scene, home, shed, first } = household()
  for (let i = 0; i < 80; i++) scene.sign(shed, revoke(home), { after: [first] })
  const good = scene.sign(home, prekey(home, 0, 1), { after: [first] })
  const { heads } = scene.fold()
  expect(heads).toHaveLength(64)
  expect(heads).toContain(good.hash)
})
