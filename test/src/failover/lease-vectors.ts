import { toHex } from '@sealmesh/protocol/bytes'
import { type LeaseBlob, leaseKeyOf, leaseSlotOf, openLease, sealLease } from '@sealmesh/protocol/failover/lease-blob'
import { type Acceptor, NO_BALLOT, sealAcceptor } from '@sealmesh/protocol/failover/ballot'
import type { Prefix } from '@sealmesh/protocol/failover/prefix'
import type { IncarnationId, MeshId, NodeId, RecordHash, SlotId } from '@sealmesh/protocol/ids'
import type { Sodium } from '@sealmesh/protocol/sodium'

/** test/vectors/leases.json: everything in hexadecimal, for any language that reads JSON. */
export interface LeaseVectors {
  readonly about: string
  readonly mesh: string
  readonly found: string
  readonly node: string
  readonly slot: string
  readonly good: readonly { name: string; bytes: string; lease: unknown }[]
  readonly bad: readonly { name: string; bytes: string; error: string }[]
  /** What three relays keep of one register between them; values in hexadecimal. */
  readonly acceptors: readonly { name: string; bytes: string; acceptor: unknown }[]
}

const MESH = 'e5'.repeat(32) as MeshId
const FOUND = 'f0'.repeat(32) as RecordHash
export const NODE = '0d'.repeat(32) as NodeId
const OTHER = '1d'.repeat(32) as NodeId
const prefix = (byte: string): Prefix => byte.repeat(8) as Prefix

const empty: LeaseBlob = {
  node: NODE,
  incarnation: '1c'.repeat(16) as IncarnationId,
  count: 1,
  leaseMs: 15_000,
  state: { type: 'renewed' },
  held: [],
  handed: [],
  taken: [],
}

export const LEASES: readonly { name: string; lease: LeaseBlob }[] = [
  { name: 'holds nothing', lease: empty },
  {
    name: 'holds two agents, hands one over',
    lease: {
      ...empty,
      count: 300,
      held: [
        { agent: prefix('a1'), term: 1, record: prefix('c1'), sync: null },
        { agent: prefix('a2'), term: 9, record: prefix('c2'), sync: prefix('d2') },
      ],
      handed: [{ agent: prefix('a2'), to: prefix('1d') }],
    },
  },
  { name: 'released', lease: { ...empty, leaseMs: 6_000, state: { type: 'released' } } },
  {
    name: 'broken',
    lease: {
      ...empty,
      state: { type: 'broken', by: OTHER },
      held: [{ agent: prefix('a3'), term: 2, record: prefix('c3'), sync: prefix('d3') }],
      taken: [{ agent: prefix('a1'), term: 2, record: prefix('c4'), holder: prefix('1d'), sync: prefix('d4') }],
    },
  },
]

export const SLOT = '51'.repeat(32) as SlotId
const earlier = { round: 7, by: prefix('b1') }
const later = { round: 300, by: prefix('b2') }
const value = new Uint8Array(40).fill(0x7a)

export const ACCEPTORS: readonly { name: string; acceptor: Acceptor }[] = [
  { name: 'promised, nothing accepted', acceptor: { promised: earlier, accepted: NO_BALLOT, value: null } },
  { name: 'accepted', acceptor: { promised: later, accepted: later, value } },
  { name: 'promised anew over a value', acceptor: { promised: later, accepted: earlier, value } },
]

export const vectorKey = (sodium: Sodium) => leaseKeyOf(MESH, FOUND, sodium)

export function buildVectors(sodium: Sodium): LeaseVectors {
  const key = vectorKey(sodium)
  const good = LEASES.map(({ name, lease }, at) => {
    const sealed = sealLease(lease, key, new Uint8Array(24).fill(at + 1), sodium)
    if (!sealed.ok) throw new Error('A vector fits')
    return { name, bytes: toHex(sealed.value), lease }
  })
  const whole = sealLease(empty, key, new Uint8Array(24).fill(9), sodium)
  if (!whole.ok) throw new Error('A vector fits')
  const bytes = whole.value
  const other = sealLease({ ...empty, node: OTHER }, key, new Uint8Array(24).fill(9), sodium)
  const spoiled = [
    { name: 'cut short by a byte', bytes: bytes.subarray(0, -1) },
    { name: 'a byte changed', bytes: bytes.with(100, bytes[100]! ^ 1) },
    { name: "another node's", bytes: other.ok ? other.value : bytes },
    { name: 'zeros', bytes: new Uint8Array(bytes.length) },
  ]
  const bad = spoiled.map((each) => {
    const opened = openLease(each.bytes, NODE, key, sodium)
    return { name: each.name, bytes: toHex(each.bytes), error: opened.ok ? 'opened' : opened.error.code }
  })
  return {
    about: 'docs/spec/12-failover.md §3 and §9',
    mesh: MESH,
    found: FOUND,
    node: NODE,
    slot: leaseSlotOf(key, NODE, sodium),
    good,
    bad,
    acceptors: ACCEPTORS.map(({ name, acceptor }, at) => ({
      name,
      bytes: toHex(sealAcceptor(acceptor, SLOT, key, new Uint8Array(24).fill(at + 1), sodium)),
      acceptor: { ...acceptor, value: acceptor.value && toHex(acceptor.value) },
    })),
  }
}
