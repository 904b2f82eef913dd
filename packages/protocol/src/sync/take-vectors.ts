import type { Shared } from './peer-plan.ts'

/** Vectors in one packet: some hundred bytes each. Receipts and questions have as many bytes, each. */
const VECTORS_AT_ONCE = 256
const VECTORS_BYTES = 32_768
/** An agent, a layer and a count; an incarnation, a sequence and a hash. */
const VECTOR_BYTES = 112
const ENTRY_BYTES = 56
/** Its driver writes out no more: closed sets stand for the rest, and what fits no packet is left out. */
const VECTOR_ENTRIES_SENT = 1_500

/** As many as fit their part of a packet; the rest goes into the next. */
export function takeVectors(all: Iterable<Shared>, wanted: (shared: Shared) => boolean): Shared[] {
  const taken: Shared[] = []
  let bytes = 0
  for (const shared of all) {
    if (!wanted(shared)) continue
    bytes += VECTOR_BYTES + ENTRY_BYTES * Math.min(shared.mine.length, VECTOR_ENTRIES_SENT)
    if (taken.length > 0 && (bytes > VECTORS_BYTES || taken.length === VECTORS_AT_ONCE)) break
    taken.push(shared)
  }
  return taken
}
