import type { Watched } from '@sealmesh/protocol/failover/challenger'
import type { Moment } from '@sealmesh/protocol/failover/elapsed'
import type { LeaseBlob } from '@sealmesh/protocol/failover/lease-blob'
import type { LeaseMemory, NodeLease, WitnessName } from '@sealmesh/protocol/failover/node-lease'
import { LEASE_TIMINGS } from '@sealmesh/protocol/failover/timing'
import type { AgentId, NodeId, RecordHash } from '@sealmesh/protocol/ids'

/** What the model of leases is made of, and the rules that it can be run without. */
export const MUTANTS = [
  'lease-from-response',
  'no-min-age',
  'no-drift-margin',
  'monotonic-only',
  'resume-from-disk',
  'ignores-taken',
  'memory-after-write',
  'act-while-handing',
  'witness-unsynced',
  'believes-restored-witness',
] as const
export type Mutant = (typeof MUTANTS)[number]

export const TIMING = LEASE_TIMINGS.fast
export const AGENT = 'a9'.repeat(32) as AgentId
export const LONG = 90_000
export const CALM = 60_000

export const id = (kind: string, at: number): string => (kind + at.toString(16).padStart(6, '0')).padEnd(64, '0')

export interface Term {
  readonly number: number
  readonly holder: number
  readonly record: RecordHash
}

export interface Content {
  readonly blob: LeaseBlob
  readonly hash: Uint8Array
  readonly sinceMs: number
}

export interface Node {
  readonly at: number
  readonly name: NodeId
  readonly rate: number
  readonly origin: number
  sleptMs: number
  up: boolean
  run: number
  blockedUntilMs: number
  lease: NodeLease
  disk: {
    memory: LeaseMemory
    log: Map<string, Term>
    pending: {
      readonly term: Term
      readonly record: RecordHash
      readonly expected: Uint8Array
      readonly witness: WitnessName
    }[]
  }
  watched: Map<number, Watched>
  looked: Moment
  unsure: boolean
  expected: Uint8Array | null | undefined
  busy: boolean
  frozen: boolean
  doubtSinceMs: number | null
  heardSinceDoubt: Set<number>
}

/** Mulberry32: small, and good enough to draw faults with. */
export function diceFrom(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = state
    mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }
}
