import { concatBytes, encode, fromHex, toHex, writeFixed, writeUint } from '../bytes.ts'
import type { MailboxId } from '../ids.ts'
import { HASH_BYTES, type Secret, SEED_BYTES } from '../keys.ts'
import { DAY_MS, MAILBOX_DAYS_BACK, PREKEY_SKEW_MS } from '../limits.ts'
import type { Sodium } from '../sodium.ts'
import { TAGS } from '../tags.ts'
import { mailboxOf } from './mailbox.ts'

/**
 * A node has a mailbox for each UTC day (docs/spec/04-packets.md §2). It announces the ids with its prekeys, and only
 * it can name what they are hashes of.
 */

export interface Announced {
  readonly notBeforeMs: number
  readonly expiresMs: number
  /** The ids of all days on which a clock within an hour may seal to this prekey, one behind the other. */
  readonly mailboxes: Uint8Array
}

type Life = Pick<Announced, 'notBeforeMs' | 'expiresMs'>

export const mailboxDay = (ms: number): number => Math.floor(ms / DAY_MS)

const firstDay = ({ notBeforeMs }: Life): number => mailboxDay(Math.max(0, notBeforeMs - PREKEY_SKEW_MS))
const daysOf = (life: Life): number => mailboxDay(life.expiresMs - 1) - firstDay(life) + 1

export const mailboxesBytes = (life: Life): number => daysOf(life) * HASH_BYTES

/** Where to send what is sealed to this prekey now. Undefined on a day that it does not live. */
export function mailboxOn({ mailboxes, ...life }: Announced, nowMs: number): MailboxId | undefined {
  const at = (mailboxDay(nowMs) - firstDay(life)) * HASH_BYTES
  if (at < 0 || at >= mailboxes.length) return undefined
  return toHex(mailboxes.subarray(at, at + HASH_BYTES)) as MailboxId
}

/** One node's own mailboxes, from a seed that never leaves it. */
export class OwnMailboxes {
  readonly #seed: Secret<'login'>
  readonly #sodium: Sodium
  #day = Number.NaN
  #secrets: readonly Uint8Array[] = []
  #ids: ReadonlySet<MailboxId> = new Set()

  constructor(seed: Secret<'login'>, sodium: Sodium) {
    this.#seed = seed
    this.#sodium = sodium
  }

  /** What opens those of today: as far back as packets live, in their order, and tomorrow's. */
  secrets(nowMs: number): readonly Uint8Array[] {
    this.#turnTo(nowMs)
    return this.#secrets
  }

  ids(nowMs: number): ReadonlySet<MailboxId> {
    this.#turnTo(nowMs)
    return this.#ids
  }

  /** For the record of a prekey that lives so long. */
  announced(life: Life): Uint8Array {
    const days = Array.from({ length: daysOf(life) }, (_, at) => firstDay(life) + at)
    return concatBytes(...days.map((day) => fromHex(mailboxOf(this.#secretOf(day), this.#sodium))))
  }

  #turnTo(nowMs: number): void {
    const today = mailboxDay(nowMs)
    if (today === this.#day) return
    this.#day = today
    const days = Array.from({ length: MAILBOX_DAYS_BACK + 2 }, (_, at) => today - MAILBOX_DAYS_BACK + at)
    this.#secrets = days.filter((day) => day >= 0).map((day) => this.#secretOf(day))
    this.#ids = new Set(this.#secrets.map((secret) => mailboxOf(secret, this.#sodium)))
  }

  #secretOf(day: number): Uint8Array {
    const message = encode((writer) => {
      writeFixed(writer, TAGS.mailboxSecret)
      writeUint(writer, day)
    })
    return this.#sodium.hash([message], HASH_BYTES, this.#seed.expose().subarray(0, SEED_BYTES))
  }
}
