import {
  concatBytes,
  type DecodeError,
  decode,
  encode,
  fromHex,
  Malformed,
  readByte,
  readBytes,
  readFixed,
  readId,
  writeByte,
  writeBytes,
  writeFixed,
  writeId,
} from '../bytes.ts'
import type { MeshId } from '../ids.ts'
import type { LoginPublicKey, Secret, Signature, SignPublicKey } from '../keys.ts'
import { SIGN_PUBLIC_KEY_BYTES, SIGNATURE_BYTES } from '../keys.ts'
import { err, type Result } from '../result.ts'
import type { Sodium } from '../sodium.ts'
import { TAGS } from '../tags.ts'
import { decodeTokenChain, encodeTokenChain, TOKEN_CHAIN_BYTES_MAX, type Token, verifyTokenChain } from './token.ts'

/**
 * An admin's word to relays that a login key is out (docs/spec/07-relay.md §2). It carries its signer's tokens, so
 * any node of the mesh may bring it, and counts even if its signer has been removed meanwhile.
 *
 *   mesh 32B | login key 32B | admin 1B (0 no, 1 yes) [admin key 32B] | chain, length-prefixed | signature 64B
 *
 * An empty chain says that the root signed.
 */
export interface Revocation {
  readonly mesh: MeshId
  readonly loginKey: LoginPublicKey
  /** The removed node's admin key, if it had one: tokens that it issues from now on count for nothing. */
  readonly adminKey: SignPublicKey | null
  readonly chain: readonly Token[]
  readonly signature: Signature
}

export const REVOCATION_BYTES_MAX = TOKEN_CHAIN_BYTES_MAX + 256 // Three keys, a signature and a length.

export function signRevocation(
  draft: Omit<Revocation, 'signature'>,
  secret: Secret<'root' | 'sign'>,
  sodium: Sodium,
): Uint8Array {
  const signature = sodium.sign(signedBytes(draft), secret)
  return encode((writer) => {
    writeId(writer, draft.mesh)
    writeFixed(writer, draft.loginKey)
    writeByte(writer, draft.adminKey === null ? 0 : 1)
    if (draft.adminKey !== null) writeFixed(writer, draft.adminKey)
    writeBytes(writer, encodeTokenChain(draft.chain))
    writeFixed(writer, signature)
  })
}

/** Untrusted bytes in. Never throws. */
export function decodeRevocation(bytes: Uint8Array): Result<Revocation, DecodeError> {
  if (bytes.length > REVOCATION_BYTES_MAX) return err({ code: 'BYTES_MALFORMED' })
  return decode(bytes, (reader) => {
    const mesh = readId<MeshId>(reader, 32)
    const loginKey = readFixed(reader, SIGN_PUBLIC_KEY_BYTES) as LoginPublicKey
    const admin = readByte(reader)
    if (admin > 1) throw new Malformed()
    const adminKey = admin === 1 ? (readFixed(reader, SIGN_PUBLIC_KEY_BYTES) as SignPublicKey) : null
    const chain = decodeTokenChain(readBytes(reader, TOKEN_CHAIN_BYTES_MAX))
    if (!chain.ok) throw new Malformed()
    return { mesh, loginKey, adminKey, chain: chain.value, signature: readFixed(reader, SIGNATURE_BYTES) as Signature }
  })
}

/** Whether the root, or an admin whose tokens chain to it, said so. */
export function verifyRevocation(revocation: Revocation, nowMs: number, sodium: Sodium): boolean {
  let signer: Uint8Array = fromHex(revocation.mesh)
  if (revocation.chain.length > 0) {
    const login = verifyTokenChain(revocation.chain, revocation.mesh, nowMs, sodium)
    if (!login.ok || login.value.adminKey === null) return false
    signer = login.value.adminKey
  }
  return sodium.verify(revocation.signature, signedBytes(revocation), signer)
}

const signedBytes = (revocation: Omit<Revocation, 'signature' | 'chain'>): Uint8Array =>
  concatBytes(TAGS.relayRevoke, fromHex(revocation.mesh), revocation.loginKey, revocation.adminKey ?? new Uint8Array())
