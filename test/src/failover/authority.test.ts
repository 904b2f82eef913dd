import {
  actName,
  isSignedBy,
  judgeAct,
  parseToken,
  signToken,
  type Standing,
  verifyToken,
} from '@sealmesh/protocol/failover/authority'
import { FAILURES_WITHIN_MS, isCoolingDown, type Readiness, whatBlocks } from '@sealmesh/protocol/failover/electable'
import { prefixOf } from '@sealmesh/protocol/failover/prefix'
import type { AgentId, MeshId, NodeId, RecordHash } from '@sealmesh/protocol/ids'
import type { Mesh, MeshAgent } from '@sealmesh/protocol/membership/mesh'
import { loadSodium } from '@sealmesh/sodium/load'
import { expect, test } from 'vitest'

const sodium = await loadSodium('wasm')
const keys = sodium.signKeys('sign', new Uint8Array(32).fill(7))
const [HOME, OFFICE] = ['0a'.repeat(32), '0b'.repeat(32)] as NodeId[]
const AGENT = 'a9'.repeat(32) as AgentId
const [FIRST, SECOND, SYNC, NARROWER] = ['c1', 'c2', 'd1', 'd2'].map((byte) => byte.repeat(32)) as RecordHash[]

const syncRecord = (hash: RecordHash, members: readonly NodeId[]) =>
  [hash, { hash, timeMs: 0, body: { type: 'sync', agent: AGENT, term: SECOND, members } }] as const

function meshWith(changes: Partial<MeshAgent> = {}): Mesh {
  const term = (number: number, holder: NodeId, record: RecordHash) => ({
    number,
    holder,
    record,
    previous: number === 1 ? null : FIRST!,
    reason: '',
    timeMs: 0,
    basis: [],
  })
  const agent: MeshAgent = {
    id: AGENT,
    name: 'claude',
    delegate: true,
    hosts: [HOME!, OFFICE!],
    hostings: [],
    terms: [term(1, OFFICE!, FIRST!), term(2, HOME!, SECOND!)],
    term: term(2, HOME!, SECOND!),
    grants: [{ record: FIRST!, layer: 'session', to: { type: 'standby' }, access: 'read', ended: null, endings: [] }],
    failover: { mode: 'auto', durability: 'available', record: FIRST! },
    syncSet: { record: SYNC!, members: [HOME!, OFFICE!] },
    ...changes,
  }
  const node = { signKey: keys.publicKey, revocations: [] }
  return {
    id: 'e5'.repeat(32) as MeshId,
    agents: new Map([[AGENT, agent]]),
    nodes: new Map([HOME!, OFFICE!].map((id) => [id, node])),
    records: new Map([syncRecord(SYNC!, [HOME!, OFFICE!]), syncRecord(NARROWER!, [HOME!])]),
    voided: new Map(),
    isInPast: () => false,
  } as unknown as Mesh
}

const good: Standing = {
  listed: SECOND!,
  mayBeListed: true,
  hasWitness: true,
  leftOut: false,
  unsure: false,
  draining: false,
  caughtUp: true,
  proven: true,
  rolledBack: false,
  quarantined: false,
}
const manual = meshWith({ failover: { mode: 'manual', durability: 'available', record: null } })

test('a leased agent acts under the very term that a running lease lists, and for every other state there is a reason', () => {
  const judge = (changes: Partial<Standing>, mesh = meshWith(), node = HOME!) => {
    const judged = judgeAct(mesh, AGENT, node, { ...good, ...changes })
    return judged.ok ? judged.value.witnessed : judged.error
  }
  expect(judge({})).toBe(true)
  expect(judge({ proven: false })).toBe(false)
  expect(judge({ listed: undefined })).toBe('LEASE_OVER')
  expect(judge({ listed: FIRST! })).toBe('LEASE_OVER')
  expect(judge({ listed: undefined, leftOut: true })).toBe('LEASE_FULL')
  expect(judge({ hasWitness: false })).toBe('WITNESS_NEEDED')
  expect(judge({ unsure: true })).toBe('LEASE_UNSURE')
  expect(judge({ draining: true })).toBe('DRAINING')
  expect(judge({ caughtUp: false })).toBe('CATCHING_UP')
  expect(judge({ rolledBack: true })).toBe('ROLLED_BACK')
  expect(judge({ quarantined: true })).toBe('QUARANTINED')
  expect(judge({}, meshWith(), OFFICE!)).toBe('NOT_THE_HOLDER')
  expect(judge({}, meshWith({ hosts: [OFFICE!] }))).toBe('NOT_A_HOST')
})

test('a manual agent acts by the log alone, unless a blob that lists it may still lie at the witness', () => {
  const idle: Standing = { ...good, listed: undefined, hasWitness: false, caughtUp: false }
  expect(judgeAct(manual, AGENT, HOME!, { ...idle, mayBeListed: false })).toMatchObject({
    ok: true,
    value: { witnessed: false },
  })
  expect(judgeAct(manual, AGENT, HOME!, { ...idle, mayBeListed: true })).toEqual({ ok: false, error: 'WITNESS_NEEDED' })
})

test('a token is checked with one public key, falls with its term, and not a byte of it can be changed', () => {
  const mesh = meshWith()
  const said = { mesh: mesh.id, agent: AGENT, node: HOME!, term: 2, record: SECOND!, act: new Uint8Array(16).fill(3) }
  const text = signToken(said, keys.secretKey, sodium)
  const token = parseToken(text)
  if (!token.ok) throw new Error('it is one')
  expect(token.value).toMatchObject(said)
  expect(actName(token.value.act)).toBe('03'.repeat(16))
  expect(isSignedBy(token.value, keys.publicKey, sodium)).toBe(true)
  expect(verifyToken(token.value, mesh, sodium)).toBe('good')
  const later = { ...meshWith().agents.get(AGENT)!.term!, number: 3, record: FIRST! }
  expect(verifyToken(token.value, meshWith({ term: later }), sodium)).toBe('passed')
  expect(verifyToken({ ...token.value, term: 3 }, mesh, sodium)).toBe('bad')
  expect(verifyToken({ ...token.value, act: new Uint8Array(16) }, mesh, sodium)).toBe('bad')
  for (let at = 4; at < text.length; at += 7) {
    const changed = parseToken(text.slice(0, at) + (text[at] === 'A' ? 'B' : 'A') + text.slice(at + 1))
    expect(changed.ok && verifyToken(changed.value, mesh, sodium) !== 'bad').toBe(false)
  }
})

const ready: Readiness = { drained: true, rolledBack: false, behind: 0, heard: true }
const blocks = (changes: Partial<Readiness> = {}, mesh = meshWith(), sync: RecordHash | null = SYNC!, node = OFFICE!) =>
  whatBlocks(mesh, AGENT, sync && prefixOf(sync), node, { ...ready, ...changes })?.type ?? null

test('who takes over by itself is a member of the newest set, has read its mail, and lacks nothing that was named', () => {
  expect(blocks()).toBe(null)
  expect(blocks({ rolledBack: true })).toBe('rolled-back')
  expect(blocks({ drained: false })).toBe('mail-unread')
  expect(blocks({ behind: 3 })).toBe('behind')
  expect(blocks({}, meshWith(), NARROWER!)).toBe('not-in-sync-set')
  // Signed, and not listed before the holder died: what the register names is what acknowledgements waited for.
  expect(blocks({}, meshWith({ syncSet: { record: NARROWER!, members: [HOME!] } }))).toBe(null)
  expect(blocks({}, meshWith(), FIRST!)).toBe('not-in-sync-set')
  expect(blocks({}, meshWith({ grants: [] }))).toBe('not-granted')
})

test('where the register names no set nothing was acknowledged in the term: the first needs none, a later one a person', () => {
  expect(blocks({}, meshWith(), null)).toBe('not-in-sync-set')
  const first = { ...meshWith().agents.get(AGENT)!.term!, number: 1, previous: null }
  const fresh = meshWith({ term: first, syncSet: null })
  expect(blocks({}, fresh, null)).toBe(null)
  expect(blocks({ heard: false }, fresh, null)).toBe('unheard')
  // A register of before there was a set, shown once more.
  expect(blocks({}, meshWith({ term: first }), null)).toBe('not-in-sync-set')
})

test('two failures within an hour, and a node waits for a person', () => {
  expect(isCoolingDown([0, 1], FAILURES_WITHIN_MS - 1)).toBe(true)
  expect(isCoolingDown([0, 1], FAILURES_WITHIN_MS)).toBe(false)
  expect(isCoolingDown([5], 6)).toBe(false)
})
