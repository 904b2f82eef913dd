import { concatBytes, equalBytes } from '../bytes.ts'
import { type KeyPair, type LoginPublicKey, type SealPublicKey, SIGNATURE_BYTES, type SignPublicKey } from '../keys.ts'
import type { Sodium } from '../sodium.ts'
import { TAGS } from '../tags.ts'
import { CANARY_BYTES } from './message.ts'
import { type Introduction, introductionHash } from './transcript.ts'

/** Both halves of all that the joiner has named in its introduction. */
export interface JoinerKeys {
  readonly sign: KeyPair<SignPublicKey, 'sign'>
  readonly login: KeyPair<LoginPublicKey, 'login'>
  readonly prekey: KeyPair<SealPublicKey, 'seal'>
}

/**
 * Asked of a machine before it is admitted (docs/spec/05-pairing.md §5): one whose private halves are not those of the
 * keys that it named would write what nobody can use, and read nothing. Undefined for a prekey that is no good.
 */
export const sealCanary = (
  canary: Uint8Array,
  prekey: SealPublicKey,
  seed: Uint8Array,
  sodium: Sodium,
): Uint8Array | undefined => sodium.sealBox(canary, prekey, seed)

/** Bytes from whoever has the link. Undefined when our keys do not open it. */
export function proveKeys(
  box: Uint8Array,
  introduction: Introduction,
  keys: JoinerKeys,
  sodium: Sodium,
): Uint8Array | undefined {
  const canary = sodium.openBox(box, keys.prekey)
  if (canary === undefined || canary.length !== CANARY_BYTES) return undefined
  const answer = answerTo(canary, introduction, sodium)
  return concatBytes(
    answer,
    ...[keys.sign.secretKey, keys.login.secretKey].map((secret) => sodium.sign(signedPart(answer), secret)),
  )
}

export function provesKeys(proof: Uint8Array, canary: Uint8Array, introduction: Introduction, sodium: Sodium): boolean {
  const { signKey, loginKey } = introduction.joiner.identity
  const answer = answerTo(canary, introduction, sodium)
  const signatures = proof.subarray(CANARY_BYTES)
  return (
    equalBytes(proof.subarray(0, CANARY_BYTES), answer) &&
    sodium.verify(signatures.subarray(0, SIGNATURE_BYTES), signedPart(answer), signKey) &&
    sodium.verify(signatures.subarray(SIGNATURE_BYTES), signedPart(answer), loginKey)
  )
}

/** Of this link, session and joiner: good for no other admission. */
const answerTo = (canary: Uint8Array, introduction: Introduction, sodium: Sodium): Uint8Array =>
  sodium.hash([TAGS.joinCanary, introductionHash(introduction, sodium), canary])

const signedPart = (answer: Uint8Array): Uint8Array => concatBytes(TAGS.joinCanary, answer)
