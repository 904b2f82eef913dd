import { leaseSlotOf, type LeaseKey, openLease, sealLease } from '@sealmesh/protocol/failover/lease-blob'
import type { Wanted } from '@sealmesh/protocol/failover/node-lease'
import { prefixOf } from '@sealmesh/protocol/failover/prefix'
import type { LeaseTiming } from '@sealmesh/protocol/failover/timing'
import type { NodeId } from '@sealmesh/protocol/ids'
import { NONCE_BYTES } from '@sealmesh/protocol/keys'
import type { Sodium } from '@sealmesh/protocol/sodium'
import { within } from './within.ts'
import type { SlotSeen, Witness } from './witness.ts'

export interface LiftFenceDeps {
  readonly witness: Witness
  readonly timing: LeaseTiming
  readonly key: LeaseKey
  readonly sodium: Sodium
  readonly random: (bytes: number) => Uint8Array
  readonly heard: (seen: SlotSeen) => Promise<void>
}

/**
 * A fence in the way of `wanted`, which this node holds by the log (docs/spec/12-failover.md §4.10): whether nobody has
 * taken that number again, nor can any more who has read the register of `before`, its holder of the term before. The
 * register is written anew as it is, so that whatever was to be compared and set over it fails.
 */
export async function mayLiftFence(
  { agent, term, record }: Wanted,
  before: NodeId,
  { witness, timing, key, sodium, random, heard }: LiftFenceDeps,
): Promise<boolean> {
  const slot = leaseSlotOf(key, before, sodium)
  const seen = await within(timing.retryMs, witness.read(slot))
  await heard(seen)
  const opened = seen.blob === null ? undefined : openLease(seen.blob, before, key, sodium)
  if (opened?.ok !== true) return false
  const { held, taken } = opened.value
  // What it lists under a lower number a relay whose disk was put back says: §4 on witnesses that forgot is about that.
  const isOthers = [...taken, ...held].some(
    (each) => each.agent === prefixOf(agent) && each.term >= term && each.record !== prefixOf(record),
  )
  if (isOthers) return false
  const sealed = sealLease(opened.value, key, random(NONCE_BYTES), sodium, witness.blobBytes)
  if (!sealed.ok) return false
  const said = await within(timing.retryMs, witness.set(slot, seen.hash, sealed.value, 0))
  await heard(said)
  return said.result === 'set'
}
