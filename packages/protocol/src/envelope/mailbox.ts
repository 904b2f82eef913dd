import { toHex } from '../bytes.ts'
import type { MailboxId } from '../ids.ts'
import type { LoginPublicKey } from '../keys.ts'
import type { Sodium } from '../sodium.ts'
import { TAGS } from '../tags.ts'

/** Where a relay files what is for the holder of this login key (docs/spec/04-packets.md §2). */
export const mailboxOf = (loginKey: LoginPublicKey, sodium: Sodium): MailboxId =>
  toHex(sodium.hash([TAGS.mailboxId, loginKey])) as MailboxId
