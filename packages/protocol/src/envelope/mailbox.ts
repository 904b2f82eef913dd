import { toHex } from '../bytes.ts'
import type { MailboxId } from '../ids.ts'
import type { Sodium } from '../sodium.ts'
import { TAGS } from '../tags.ts'

/** Where a relay files what is for whoever knows this secret: naming it opens the mailbox (docs/spec/04-packets.md §2). */
export const mailboxOf = (secret: Uint8Array, sodium: Sodium): MailboxId =>
  toHex(sodium.hash([TAGS.mailboxId, secret])) as MailboxId
