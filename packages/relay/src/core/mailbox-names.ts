import { toHex } from '@sealmesh/protocol/bytes'
import type { MailboxId } from '@sealmesh/protocol/ids'
import { HASH_BYTES } from '@sealmesh/protocol/keys'

/** A few times what a busy relay's packets name within a second: some 300 B each, so a megabyte. */
const NAMES_MAX = 4_096

interface Known {
  readonly bytes: Uint8Array
  readonly id: MailboxId
}

/**
 * Ids as texts, made once: packets name the same mailboxes again and again, and a text that was looked up before is
 * found faster than an equal one. Each id has one place, by its first bytes, and takes it from whoever was there: ids
 * are hashes, and who chooses theirs to collide slows down their own packets.
 */
export function mailboxNames(): (bytes: Uint8Array, at: number) => MailboxId {
  const places: (Known | undefined)[] = Array.from({ length: NAMES_MAX }, () => undefined)
  return (bytes, at) => {
    const place = (bytes[at]! | (bytes[at + 1]! << 8)) % NAMES_MAX
    const known = places[place]
    if (known !== undefined && isAt(known.bytes, bytes, at)) return known.id
    const copy = Uint8Array.from(bytes.subarray(at, at + HASH_BYTES))
    const id = toHex(copy) as MailboxId
    places[place] = { bytes: copy, id }
    return id
  }
}

function isAt(name: Uint8Array, bytes: Uint8Array, at: number): boolean {
  for (let i = 0; i < HASH_BYTES; i++) if (name[i] !== bytes[at + i]) return false
  return true
}
