import {
  concatBytes,
  decode,
  encode,
  equalBytes,
  fromHex,
  type Reader,
  readByte,
  readFixed,
  readId,
  readText,
  readUint,
  writeByte,
  writeFixed,
  writeId,
  writeText,
  writeUint,
} from '../bytes.ts'
import type { MailboxId, MeshId, RelayId } from '../ids.ts'
import { toHex } from '../bytes.ts'
import { HASH_BYTES, Secret } from '../keys.ts'
import { RELAY_ADDRESS_BYTES_MAX, TIME_MS_MAX } from '../limits.ts'
import { err, ok, type Result } from '../result.ts'
import type { Sodium } from '../sodium.ts'
import { TAGS } from '../tags.ts'
import { formatRelayAddress, parseRelayAddress, type RelayAddress } from '../wire/address.ts'
import { fromBase64Url, toBase64Url } from './base64url.ts'

/**
 * What one machine shows and another is given, once (docs/spec/05-pairing.md §1):
 *
 *   sealmesh: base64url( version 1B | mesh root 32B | inviter's mailbox 32B | secret 32B | expires uint
 *                        | relay id 32B | pin 1B [32B] | relay url text | check 4B )
 */
export interface PairingLink {
  readonly relayAddress: RelayAddress
  /** The mesh's root key: what the joiner holds all membership records against. */
  readonly rootFingerprint: MeshId
  /** 256 bits, good for one machine. */
  readonly secret: Secret<'pairing'>
  readonly inviterMailbox: MailboxId
  readonly expiresMs: number
}

/** `why` is for people: the one code is the same. */
export interface LinkError {
  code: 'LINK_INVALID'
  why: 'no-link' | 'characters' | 'cut-or-changed' | 'other-version' | 'relay-address'
}

const PREFIX = 'sealmesh:'
const LINK_VERSION = 1
const SECRET_BYTES = 32
/** Finds a character that got lost on the way; it is not there against anybody who means harm. */
const CHECK_BYTES = 4
const LINK_CHARACTERS_MAX = 1_024 // Room for the longest address.

export const newLinkSecret = (random: (bytes: number) => Uint8Array): Secret<'pairing'> =>
  new Secret('pairing', random(SECRET_BYTES))

export function encodeLink(link: PairingLink, sodium: Sodium): string {
  const body = linkBytes(link)
  return PREFIX + toBase64Url(concatBytes(body, checkOf(body, sodium)))
}

/** Text from a person or a chat. White space that wrapping put into it is dropped. Never throws. */
export function parseLink(text: string, sodium: Sodium): Result<PairingLink, LinkError> {
  const compact = text.length > 2 * LINK_CHARACTERS_MAX ? '' : text.replace(/\s+/g, '')
  if (!compact.startsWith(PREFIX) || compact.length > LINK_CHARACTERS_MAX)
    return err({ code: 'LINK_INVALID', why: 'no-link' })
  const bytes = fromBase64Url(compact.slice(PREFIX.length))
  if (!bytes.ok) return err({ code: 'LINK_INVALID', why: 'characters' })
  const body = bytes.value.subarray(0, -CHECK_BYTES)
  if (!equalBytes(bytes.value.subarray(body.length), checkOf(body, sodium)))
    return err({ code: 'LINK_INVALID', why: 'cut-or-changed' })
  if (body[0] !== LINK_VERSION) return err({ code: 'LINK_INVALID', why: 'other-version' })
  const read = decode(body, readLink)
  if (!read.ok) return err({ code: 'LINK_INVALID', why: 'cut-or-changed' })
  const { url, relay, pin, ...link } = read.value
  const relayAddress = parseRelayAddress(formatRelayAddress({ url, relay, pin }))
  if (!relayAddress.ok) return err({ code: 'LINK_INVALID', why: 'relay-address' })
  return ok({ ...link, relayAddress: relayAddress.value })
}

/** The bytes that a link stands for: both sides bind them into their transcript. */
export const linkBytes = (link: PairingLink): Uint8Array =>
  encode((writer) => {
    const { url, relay, pin } = link.relayAddress
    writeByte(writer, LINK_VERSION)
    writeId(writer, link.rootFingerprint)
    writeId(writer, link.inviterMailbox)
    writeFixed(writer, link.secret.expose())
    writeUint(writer, link.expiresMs)
    writeId(writer, relay)
    writeByte(writer, pin === null ? 0 : 1)
    if (pin !== null) writeFixed(writer, fromHex(pin))
    writeText(writer, url)
  })

function readLink(reader: Reader) {
  readByte(reader) // The version, checked before.
  return {
    rootFingerprint: readId<MeshId>(reader, HASH_BYTES),
    inviterMailbox: readId<MailboxId>(reader, HASH_BYTES),
    // A copy: the text's bytes are not ours to keep or to erase.
    secret: new Secret('pairing', readFixed(reader, SECRET_BYTES).slice()),
    expiresMs: readUint(reader, TIME_MS_MAX),
    relay: readId<RelayId>(reader, HASH_BYTES),
    pin: readUint(reader, 1) === 1 ? toHex(readFixed(reader, HASH_BYTES)) : null,
    url: readText(reader, RELAY_ADDRESS_BYTES_MAX),
  }
}

const checkOf = (body: Uint8Array, sodium: Sodium): Uint8Array =>
  sodium.hash([TAGS.pairingLink, body]).slice(0, CHECK_BYTES)
