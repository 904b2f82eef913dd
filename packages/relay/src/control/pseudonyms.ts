import { toHex, utf8 } from '@sealmesh/protocol/bytes'
import { Failure } from '@sealmesh/protocol/errors'
import type { Sodium } from '@sealmesh/protocol/sodium'
import type { Target } from '../core/event.ts'
import type { RelayState } from '../core/state.ts'

const SHOWN = 10
/** Fewer characters would hit the wrong one sooner or later. */
const TYPED_MIN = 4

/**
 * Ids as logs and verbs show them: a hash under the relay's own key, so that the same id is the same word as long as the
 * relay lives, and nobody who reads it can tell whose it is or compare it with another relay's.
 */
export class Pseudonyms {
  readonly #sodium: Sodium
  readonly #key: Uint8Array

  constructor(sodium: Sodium, relaySecret: Uint8Array) {
    this.#sodium = sodium
    this.#key = sodium.hash([utf8('relay log names'), relaySecret])
  }

  of(id: string): string {
    return toHex(this.#sodium.hash([utf8(id)], 16, this.#key)).slice(0, SHOWN)
  }

  /** The mesh or login whose pseudonym begins so. Throws ITEM_NOT_FOUND, also when there are several. */
  find(state: RelayState, typed: string): Target {
    const found: Target[] = []
    if (typed.length >= TYPED_MIN) {
      for (const mesh of state.meshes.keys()) if (this.of(mesh).startsWith(typed)) found.push({ type: 'mesh', mesh })
      for (const login of state.logins.keys())
        if (this.of(login).startsWith(typed)) found.push({ type: 'login', login })
    }
    const [only] = found
    if (only !== undefined && found.length === 1) return only
    const message =
      found.length > 1 ? 'More than one name begins so.' : 'This relay knows no mesh or login of that name.'
    throw new Failure('ITEM_NOT_FOUND', message, { next: 'sealmesh-relay admit ls; the log names logins' })
  }
}
