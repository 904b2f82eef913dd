import type { AgentId, NodeId, RecordHash } from '@sealmesh/protocol/ids'
import { RECORD_BYTES_MAX } from '@sealmesh/protocol/limits'
import { loadSodium } from '@sealmesh/sodium/load'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { type KeptDraft, LeaseStore } from './lease-store.ts'
import { metaOn, TestLeases } from './test-leases.ts'

const sodium = await loadSodium()

beforeEach(() => vi.useFakeTimers({ now: 1_700_000_200_000 }))
afterEach(() => vi.useRealTimers())

async function homeIsGone() {
  const leases = new TestLeases(sodium)
  const home = await leases.start(leases.mesh.home)
  await vi.advanceTimersByTimeAsync(1_000)
  expect(home.failover.mustHold(leases.agent)).toMatchObject({ ok: true })
  const office = await leases.start(leases.mesh.office)
  leases.crash(home)
  return { leases, office }
}

test('takeovers that the relay does not write down are asked for again, each as it was signed, until one is written', async () => {
  const { leases, office } = await homeIsGone()
  leases.witness.sets.set(office.node.id, 'refused')
  await vi.advanceTimersByTimeAsync(60_000)
  expect(office.store.drafts).toHaveLength(1)
  expect(office.failover.standby.outlookOf(leases.agent)).toEqual({ type: 'failed', code: 'DISK_FULL' })
  leases.witness.sets.delete(office.node.id)
  await vi.advanceTimersByTimeAsync(5_000)
  expect(office.failover.mustHold(leases.agent)).toMatchObject({ ok: true, value: { term: { number: 2 } } })
  expect(office.store.drafts).toEqual([])
})

test('one that was written although nobody answered is found out by asking again, and not lost', async () => {
  const { leases, office } = await homeIsGone()
  const { standby, taker } = office.failover
  standby.close()
  await vi.advanceTimersByTimeAsync(7_000)
  const watched = (await standby.look(leases.mesh.home.id, true))!
  const asked = { how: 'break', reason: 'test', acceptDataLoss: false } as const
  leases.witness.sets.set(office.node.id, 'unanswered')
  await expect(taker.take(leases.agent, watched, asked)).rejects.toMatchObject({ code: 'RELAY_UNREACHABLE' })
  leases.witness.sets.delete(office.node.id)
  expect(await taker.take(leases.agent, watched, asked)).toMatchObject({ type: 'taken' })
  expect(office.log.mesh.agents.get(leases.agent)?.term).toMatchObject({ number: 2, holder: office.node.id })
})

const draft = (at: number, changes: Partial<KeptDraft> = {}): KeptDraft => ({
  agent: at.toString(16).padStart(64, '0') as AgentId,
  register: 'ab'.repeat(32) as NodeId,
  record: (1_000 + at).toString(16).padStart(64, '0') as RecordHash,
  term: 2,
  proves: true,
  expected: Uint8Array.of(at),
  witness: { relays: 'relay', generation: 'now' },
  bytes: new Uint8Array(at === 0 ? RECORD_BYTES_MAX : 10).fill(at + 1),
  ...changes,
})

test('a draft may be as large as a record, and is there after a restart', async () => {
  const meta = metaOn(new Map())
  await (await LeaseStore.load(meta)).keepDraft(draft(0))
  const { drafts } = await LeaseStore.load(meta)
  expect(drafts).toEqual([draft(0)])
})

test('drafts of a witness that is no more, and second ones of an agent, make room for others', async () => {
  const store = await LeaseStore.load(metaOn(new Map()))
  for (let at = 0; at < 62; at++) await store.keepDraft(draft(at))
  await store.keepDraft(draft(62, { witness: { relays: 'relay', generation: 'before' } }))
  await store.keepDraft(draft(63, { agent: draft(5).agent }))
  await store.keepDraft(draft(64))
  await store.keepDraft(draft(65))
  await expect(store.keepDraft(draft(66))).rejects.toMatchObject({ code: 'CORE_BUSY' })
  const gone = [62, 5].map((at) => draft(at).record)
  expect(store.drafts.filter(({ record }) => gone.includes(record))).toEqual([])
  expect(store.drafts).toHaveLength(64)
  await store.dropDraft(draft(64).record)
  await store.keepDraft(draft(66))
})
