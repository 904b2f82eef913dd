import {
  bytesLeft,
  concatBytes,
  decode,
  encode,
  readBytes,
  readFixed,
  readList,
  toHex,
  writeBytes,
  writeList,
} from '../bytes.ts'
import { PACKET_ID_BYTES, readPacketHeader } from '../envelope/header.ts'
import { encodeHeader } from '../envelope/header-writer.ts'
import { paddedBytes } from '../envelope/padding.ts'
import type { MailboxId, PacketId } from '../ids.ts'
import { CONTENT_KEY_BYTES, type KeyPair, NONCE_BYTES, SEED_BYTES, type SealPublicKey } from '../keys.ts'
import { RECORD_BYTES_MAX } from '../limits.ts'
import type { Sodium } from '../sodium.ts'
import { TAGS } from '../tags.ts'

/**
 * Membership records for one who cannot check who sends them, or whom nobody knows yet (docs/spec/11-recovery.md §3).
 * A packet like any other to a relay. Unsigned: each record proves itself, and nothing else is believed.
 */

/** Three hundred bytes each and more: a packet has room for fewer. */
const RECORDS_MAX = 2_048

export function sealLogCopy(
  records: readonly Uint8Array[],
  to: { readonly mailbox: MailboxId; readonly sealKey: SealPublicKey; readonly expiresMs: number },
  random: (bytes: number) => Uint8Array,
  sodium: Sodium,
): { readonly id: PacketId; readonly bytes: Uint8Array } | undefined {
  const key = random(CONTENT_KEY_BYTES)
  const box = sodium.sealBox(key, to.sealKey, random(SEED_BYTES))
  if (box === undefined) return undefined
  const id = toHex(random(PACKET_ID_BYTES)) as PacketId
  const header = encodeHeader(id, to.expiresMs, [{ mailbox: to.mailbox, box }])
  const content = encode((writer) => writeList(writer, records, (record) => writeBytes(writer, record)))
  const padded = new Uint8Array(paddedBytes('control', content.length))
  padded.set(content)
  const nonce = random(NONCE_BYTES)
  const body = sodium.encrypt(padded, boundTo(header, sodium), nonce, key)
  key.fill(0)
  return { id, bytes: concatBytes(header, nonce, body) }
}

/** Undefined for whatever is not a copy for one of these keys: most packets are not. Never throws. */
export function openLogCopy(
  bytes: Uint8Array,
  at: { readonly mailboxes: ReadonlySet<MailboxId>; readonly keys: readonly KeyPair<SealPublicKey, 'seal'>[] },
  sodium: Sodium,
): Uint8Array[] | undefined {
  const header = readPacketHeader(bytes)
  if (!header.ok) return undefined
  const { recipients, bodyOffset } = header.value
  const [only] = recipients
  if (only === undefined || recipients.length > 1 || !at.mailboxes.has(only.mailbox)) return undefined
  const bodyAt = bodyOffset + NONCE_BYTES
  for (const pair of at.keys) {
    const key = sodium.openBox(only.box, pair)
    if (key?.length !== CONTENT_KEY_BYTES) continue
    const bound = boundTo(bytes.subarray(0, bodyOffset), sodium)
    const padded = sodium.decrypt(bytes.subarray(bodyAt), bound, bytes.subarray(bodyOffset, bodyAt), key)
    if (padded === undefined) continue
    const records = decode(padded, (reader) => {
      const all = readList(reader, RECORDS_MAX, (each) => readBytes(each, RECORD_BYTES_MAX))
      readFixed(reader, bytesLeft(reader)) // Padding.
      return all
    })
    return records.ok ? records.value : undefined
  }
  return undefined
}

/** Another tag than that of signed packets, so that neither opens as the other. */
const boundTo = (header: Uint8Array, sodium: Sodium): Uint8Array => sodium.hash([TAGS.logCopy, header])
