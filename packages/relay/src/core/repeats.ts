import { toHex, utf8 } from '@sealmesh/protocol/bytes'
import type { MeshId } from '@sealmesh/protocol/ids'
import type { Sodium } from '@sealmesh/protocol/sodium'
import type { World } from './state.ts'

/**
 * Packets that were stored lately, so that one whose sender heard no answer and sends it again is not stored twice.
 * A packet is known by a hash of all its bytes, among them its id: by the id alone, whoever has heard of a packet could
 * leave another one under its id, and the true one would be taken for a repeat.
 */
export type Repeats = Map<string, number>

/** Longer than a node takes to come back; a clock that is set back makes it longer. */
export const REPEAT_MS = 120_000
/** Of all meshes together, some 5 MB. A quarter beyond it the oldest are forgotten, all at once. */
export const REPEATS_MAX = 32_768
const NAME_BYTES = 16

/** Of a packet, for one mesh. */
export const repeatName = (mesh: MeshId, packet: Uint8Array, sodium: Sodium): string =>
  toHex(sodium.hash([utf8(mesh), packet], NAME_BYTES))

/** `at`: the recipient's place in the packet. Each of them may have had an outcome of its own. */
export function isRepeat(repeats: Repeats, name: string, at: number, { nowMs }: World): boolean {
  const storedMs = repeats.get(keyOf(name, at))
  return storedMs !== undefined && nowMs - storedMs < REPEAT_MS
}

/** It is durable. Called in the order of `storedMs`, as far as that matters. */
export function remember(repeats: Repeats, name: string, at: number, storedMs: number): void {
  repeats.set(keyOf(name, at), storedMs)
  if (repeats.size <= REPEATS_MAX * 1.25) return
  // One by one each would step over the places of all that went before it.
  for (const oldest of repeats.keys()) {
    if (repeats.size <= REPEATS_MAX) return
    repeats.delete(oldest)
  }
}

/** What is too old goes: once in a while. */
export function forgetRepeats(repeats: Repeats, { nowMs }: World): void {
  for (const [key, storedMs] of repeats) if (nowMs - storedMs >= REPEAT_MS) repeats.delete(key)
}

const keyOf = (name: string, at: number): string => `${name}${at}`
