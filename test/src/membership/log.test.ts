import { RECORDS_WAITING_MAX } from '@sealmesh/protocol/limits'
import { MembershipLog } from '@sealmesh/protocol/membership/log'
import type { SignedRecord } from '@sealmesh/protocol/membership/record'
import { decodeRecord } from '@sealmesh/protocol/membership/record-codec'
import { expect, test } from 'vitest'
import { FakeSodium } from './fake-sodium.ts'
import { admit, assign, grant, host, prekey, revoke, Scene, ungrant } from './scene.ts'

function chain(length: number) {
  const scene = new Scene(new FakeSodium())
  const home = scene.machine('home')
  scene.found(home)
  for (let i = 1; i < length; i++)
    scene.sign(home, prekey(home, i, i + 1), { after: [scene.records[i - 1] as SignedRecord] })
  return { scene, home, records: scene.records, log: new MembershipLog(scene.mesh, scene.sodium) }
}

test('a record waits for its parents, is named as waiting by what it misses, and enters when they come', () => {
  const { records, log } = chain(3)
  const [first, second, third] = records as [SignedRecord, SignedRecord, SignedRecord]
  expect(log.add(third)).toBe('waiting')
  expect(log.add(third)).toBe('duplicate')
  expect(log.mesh.missing).toEqual([second.hash])
  expect(log.add(second)).toBe('waiting')
  expect(log.mesh.missing).toEqual([first.hash])
  expect(log.mesh.records.size).toBe(0)
  expect(log.add(first)).toBe('added')
  expect(log.mesh.missing).toEqual([])
  expect(log.entered(0)).toEqual([first, second, third])
  expect(log.add(second)).toBe('duplicate')
})

test('T-relay-5: records of another mesh and records with a bad signature are refused, with what follows them', () => {
  const { scene, home, records, log } = chain(2)
  const [first, second] = records as [SignedRecord, SignedRecord]
  const next = scene.sign(home, prekey(home, 5, 6), { after: [second] })
  const other = new Scene(scene.sodium, 'other')
  expect(log.add(other.found(home))).toBe('refused')
  log.add(first)
  expect(log.add(next)).toBe('waiting')
  const bad = { ...second, signature: new Uint8Array(64) as SignedRecord['signature'] }
  expect(log.add(bad)).toBe('refused')
  expect(log.mesh.missing).toEqual([])
  expect(log.add(next)).toBe('refused')
})

test('T-relay-5: a spoilt signature makes another record: it cannot stand in the way of the good one', () => {
  const { scene, records, log } = chain(2)
  const [first, second] = records as [SignedRecord, SignedRecord]
  const bytes = second.bytes.slice()
  bytes[bytes.length - 1] = (bytes.at(-1) as number) ^ 1
  const spoilt = decodeRecord(bytes, scene.sodium)
  if (!spoilt.ok) throw new Error(spoilt.error.code)
  expect(log.add(spoilt.value)).toBe('waiting')
  log.add(first)
  expect(log.has(spoilt.value.hash)).toBe(false)
  expect(log.add(second)).toBe('added')
})

test('T-peer-4: a record by a node that nothing in its past admits is refused: its signature can never be checked', () => {
  const { scene, records, log } = chain(1)
  const attic = scene.machine('attic')
  const stray = scene.sign(attic, prekey(attic, 0, 1), { after: records.slice(0, 1) })
  log.add(records[0] as SignedRecord)
  expect(log.add(stray)).toBe('refused')
})

test('T-peer-5: what waits is bounded: the oldest makes room and enters when it is sent again', () => {
  const { scene, home, records, log } = chain(2)
  const [first, second] = records as [SignedRecord, SignedRecord]
  const waiting = Array.from({ length: RECORDS_WAITING_MAX + 1 }, (_, i) =>
    scene.sign(home, prekey(home, i, i + 1), { after: [second] }),
  )
  for (const record of waiting) expect(log.add(record)).toBe('waiting')
  log.add(first)
  log.add(second)
  expect(log.size).toBe(2 + RECORDS_WAITING_MAX)
  expect(log.has((waiting[0] as SignedRecord).hash)).toBe(false)
  expect(log.add(waiting[0] as SignedRecord)).toBe('added')
})

test.each([
  ['bytes', { records: 1_000, bytes: 40_000 }],
  ['records', { records: 100, bytes: 1_000_000 }],
])(
  'T-peer-5: a member that fills the log with %s gets no further than its bound, and can still be removed',
  (_, most) => {
    const { scene, home, records } = chain(1)
    const [mallory, other] = [scene.machine('mallory'), scene.machine('other')]
    scene.sign(home, admit(mallory))
    const limits = { ...most, reservedRecords: 10, reservedBytes: 8_000 }
    const log = new MembershipLog(scene.mesh, scene.sodium, limits)
    for (const record of records) log.add(record)
    // Only an admin says where relays are: such a record counts for nothing, and enters.
    const fill = (at: number) =>
      scene.sign(mallory, { type: 'relay', relays: [] }, { after: [records[1]!], timeMs: at })
    const all = Array.from({ length: 400 }, (_, at) => fill(at + 1))
    const outcomes = all.map((record) => log.add(record))
    expect(outcomes.at(-1)).toBe('refused')
    const bytes = log.entered(0).reduce((sum, record) => sum + record.bytes.length, 0)
    expect(bytes).toBeLessThanOrEqual(limits.bytes - limits.reservedBytes)
    expect(log.size).toBeLessThanOrEqual(limits.records - limits.reservedRecords)
    // Nor by records that wait, and enter together.
    const last = fill(500)
    const waiting = Array.from({ length: 50 }, (_, at) =>
      scene.sign(mallory, { type: 'relay', relays: [] }, { after: [last], timeMs: 600 + at }),
    )
    for (const record of [...waiting, last]) log.add(record)
    expect(log.size).toBe(outcomes.filter((outcome) => outcome === 'added').length + 2)

    const heads = log.mesh.heads.map((hash) => log.mesh.records.get(hash)!).slice(0, 8)
    expect(log.add(scene.sign(home, revoke(mallory), { after: heads }))).toBe('added')
    expect(log.mesh.nodes.get(mallory.id)?.revocations).toHaveLength(1)
    expect(log.add(scene.sign(home, admit(other), { after: heads }))).toBe('added')
    // Nobody takes the reserve by naming an admin without its key.
    const forged = scene.sign({ as: home.as, secret: mallory.secret }, admit(scene.machine('friend')), { after: heads })
    expect(log.add(forged)).toBe('refused')
  },
)

test('after names what does not lie in the past of the heads, parents first, and everything for an unknown head', () => {
  const { scene, home, records, log } = chain(4)
  for (const record of records) log.add(record)
  const [, second, third, fourth] = records as [SignedRecord, SignedRecord, SignedRecord, SignedRecord]
  expect(log.after([fourth.hash])).toEqual([])
  expect(log.after([second.hash])).toEqual([third, fourth])
  const branch = scene.sign(home, prekey(home, 9, 10), { after: [second] })
  log.add(branch)
  expect(log.after([fourth.hash])).toEqual([branch])
  expect(log.after([fourth.hash, branch.hash])).toEqual([])
  expect(log.after([])).toHaveLength(5)
  expect(log.after(['ab'.repeat(32) as SignedRecord['hash']])).toHaveLength(5)
})

test('pasts are right across branches that run side by side for hundreds of records, and after they meet', () => {
  const { scene, home, records } = chain(1)
  const lanes = [records, records, records].map((lane) => lane.slice(0, 1))
  for (let i = 0; i < 120; i++) {
    for (const [at, lane] of lanes.entries()) {
      // The second lane hears of the first now and then; the third of nobody until the end.
      const heard = at === 1 && i % 40 === 39 ? [lanes[0]?.at(-1) as SignedRecord] : []
      lane.push(scene.sign(home, prekey(home, i, i + 1), { after: [lane.at(-1) as SignedRecord, ...heard] }))
    }
  }
  const last = scene.sign(home, prekey(home, 0, 1))
  const meshes = [scene.records, lanes.flat().concat(last)].map(
    (order) => MembershipLog.restore(scene.mesh, order, scene.sodium).mesh,
  )
  const pasts = new Map<SignedRecord['hash'], Set<SignedRecord['hash']>>()
  for (const { hash, parents } of scene.records)
    pasts.set(hash, new Set(parents.flatMap((parent) => [parent, ...(pasts.get(parent) ?? [])])))
  for (const mesh of meshes) {
    const wrong = [...pasts].flatMap(([later, past]) =>
      [...pasts.keys()].filter((one) => mesh.isInPast(one, later) !== (one === later || past.has(one))),
    )
    expect(wrong).toEqual([])
  }
})

test('the fold is made once per change', () => {
  const { records, log } = chain(2)
  log.add(records[0] as SignedRecord)
  const { mesh } = log
  expect(log.mesh).toBe(mesh)
  log.add(records[0] as SignedRecord)
  expect(log.mesh).toBe(mesh)
  log.add(records[1] as SignedRecord)
  expect(log.mesh).not.toBe(mesh)
  expect(mesh.records.size).toBe(1) // A mesh that somebody holds does not change under them.
})

test('a restored log is the log that was kept, in whatever order the store lists it, without checking signatures', () => {
  const { scene, records, log } = chain(2_000)
  for (const record of records) log.add(record)
  const sodium = scene.sodium as FakeSodium
  const before = sodium.verifications
  const restored = MembershipLog.restore(scene.mesh, records.toReversed(), sodium)
  expect(sodium.verifications).toBe(before)
  expect(restored.size).toBe(2_000)
  expect(restored.mesh.heads).toEqual(log.mesh.heads)
})

test('each signature is checked once, however often the log is folded', () => {
  const { scene, records, log } = chain(20)
  const sodium = scene.sodium as FakeSodium
  const before = sodium.verifications
  for (const record of [...records, ...records]) {
    log.add(record)
    void log.mesh
  }
  expect(sodium.verifications - before).toBe(20)
})

/** A mesh of twelve machines in which all kinds of records are signed, by some who have not heard the last three. */
function busyMesh(count: number): Scene {
  const scene = new Scene(new FakeSodium())
  const machines = Array.from({ length: 12 }, (_, i) => scene.machine(`m${i}`))
  const [first] = machines as [(typeof machines)[0]]
  const tips: SignedRecord[] = [scene.found(first)]
  for (const machine of machines.slice(1))
    tips[0] = scene.sign(first, admit(machine, true), { after: [tips[0] as SignedRecord] })
  const { agent } = first
  const grants: SignedRecord[] = []
  let held: SignedRecord | null = null
  for (let i = 0; scene.records.length < count; i++) {
    // Most of the time one follows another; every tenth is signed by somebody who has not heard the last three.
    const after = i % 10 === 9 ? [scene.records.at(-4) as SignedRecord] : [...tips]
    const machine = machines[i % 12] as (typeof machines)[0]
    let record: SignedRecord
    if (i % 5 === 0) record = scene.sign(agent, host(agent, machines.slice(0, 2 + (i % 9))), { after })
    else if (i % 5 === 1)
      record = scene.sign(first, assign(agent, first, held?.body.type === 'assign' ? held.body.term + 1 : 1, held), {
        after: [...new Set([...after, ...(held === null ? [] : [held])])],
      })
    else if (i % 5 === 2)
      grants.push((record = scene.sign(agent, grant(agent, `layer-${i % 7}`, machine, 'write'), { after })))
    else if (i % 25 === 3) record = scene.sign(agent, ungrant(agent, grants.at(-1) as SignedRecord), { after })
    else if (i % 400 === 4) record = scene.sign(first, revoke(machine), { after })
    else record = scene.sign(machine, prekey(machine, i, i + 1), { after })
    if (record.body.type === 'assign') held = record
    for (const parent of after) if (tips.includes(parent)) tips.splice(tips.indexOf(parent), 1)
    tips.push(record)
  }
  return scene
}

test('four times as many records of a busy mesh fold in much less than sixteen times the time', () => {
  const [few, many] = [busyMesh(500), busyMesh(2_000)]
  const fold = (scene: Scene): number => {
    const log = MembershipLog.restore(scene.mesh, scene.records, scene.sodium)
    const fromMs = performance.now()
    expect(log.mesh.voided.size).toBeLessThan(scene.records.length / 2)
    return performance.now() - fromMs
  }
  // The best of nine, turn by turn: other work on the machine is not the fold's.
  const runs = Array.from({ length: 9 }, () => [fold(few), fold(many)] as const)
  const best = (at: 0 | 1): number => Math.min(...runs.map((run) => run[at]))
  expect(best(1) / best(0)).toBeLessThan(12)
})
