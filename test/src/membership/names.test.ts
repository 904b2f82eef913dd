import { toHex } from '@sealmesh/protocol/bytes'
import type { SignedRecord } from '@sealmesh/protocol/membership/record'
import { describe, expect, test } from 'vitest'
import { FakeSodium } from './fake-sodium.ts'
import { admit, recovery, rename, revoke, Scene } from './scene.ts'

/** Home founded the mesh, office is an admin, shed and attic are members. */
function household() {
  const scene = new Scene(new FakeSodium())
  const [home, office, shed, attic] = ['home', 'office', 'shed', 'attic'].map((name) => scene.machine(name)) as [
    ReturnType<Scene['machine']>,
    ReturnType<Scene['machine']>,
    ReturnType<Scene['machine']>,
    ReturnType<Scene['machine']>,
  ]
  scene.found(home)
  scene.sign(home, admit(office, true))
  scene.sign(home, admit(shed))
  scene.sign(home, admit(attic))
  const voidReason = (record: SignedRecord) => scene.fold().voided.get(record.hash)
  const nameOf = (machine: { id: typeof shed.id }) => scene.fold().nodes.get(machine.id)?.name
  return { scene, home, office, shed, attic, voidReason, nameOf }
}

describe('names', () => {
  test('a machine names itself, an admin names any; the newest of the latest words holds', () => {
    const { scene, home, office, shed, nameOf } = household()
    scene.sign(shed, rename(shed, 'barn'))
    expect(nameOf(shed)).toBe('barn')
    const known = scene.records.at(-1) as SignedRecord
    scene.sign(office, rename(shed, 'cellar'), { after: [known], timeMs: 1 })
    expect(nameOf(shed)).toBe('cellar') // After it, whatever its clock says.
    scene.sign(home, rename(shed, 'garage'), { after: [known], timeMs: 2 })
    expect(nameOf(shed)).toBe('garage')
  })
  test('T-peer-4: a member names no other', () => {
    const { scene, shed, attic, voidReason, nameOf } = household()
    expect(voidReason(scene.sign(attic, rename(shed, 'mine')))).toBe('SIGNER_NOT_ALLOWED')
    expect(nameOf(shed)).toBe('shed')
  })
  test('SUBJECT_UNKNOWN: a stranger has no name to change', () => {
    const { scene, home, voidReason } = household()
    expect(voidReason(scene.sign(home, rename(scene.machine('other'), 'mine')))).toBe('SUBJECT_UNKNOWN')
  })
  test('a machine that has another name now is made an admin as it was first called', () => {
    const { scene, home, shed, nameOf } = household()
    scene.sign(home, rename(shed, 'barn'))
    scene.sign(home, admit(shed, true))
    expect(scene.fold().nodes.get(shed.id)?.admin).toBe(true)
    expect(nameOf(shed)).toBe('barn')
  })
})

describe('the recovery mailbox', () => {
  test('T-peer-4: the root alone says where it is', () => {
    const { scene, home, shed, attic, voidReason } = household()
    expect(scene.fold().recovery).toBeNull()
    expect(voidReason(scene.sign(home, recovery(attic)))).toBe('SIGNER_NOT_ALLOWED')
    scene.sign(scene.root, recovery(shed))
    expect(toHex(scene.fold().recovery?.loginKey ?? new Uint8Array())).toBe(toHex(shed.identity.loginKey))
  })
  test('T-revoked-3: with the root a machine comes back that two admins who removed each other let in', () => {
    const { scene, home, office } = household()
    const known = scene.records.at(-1) as SignedRecord
    scene.sign(home, revoke(office), { after: [known] })
    scene.sign(office, revoke(home), { after: [known] })
    const desk = scene.machine('desk')
    scene.sign(scene.root, admit(desk, true), { after: [known] })
    const mesh = scene.fold()
    const admins = [...mesh.nodes.values()].filter(({ admin, revocations }) => admin && revocations.length === 0)
    expect(admins.map(({ name }) => name)).toEqual(['desk'])
  })
})
