import { concatBytes, equalBytes, fromHex, fromUtf8, utf8 } from '../bytes.ts'
import type { MailboxId, RelayId } from '../ids.ts'
import { NONCE_BYTES, Secret } from '../keys.ts'
import type { Ristretto } from '../ristretto.ts'
import type { Sodium } from '../sodium.ts'
import { TAGS } from '../tags.ts'
import { cpaceKey, cpacePoint, type CpaceRun, type CpaceShare } from './cpace.ts'
import { type LinkKeys, linkKeys } from './link-keys.ts'

/**
 * The second way in (docs/spec/05-pairing.md §6): a code that a person can say over a telephone, which fetches the link.
 * Its number finds the old machine at the relay and hides nothing; its two words are the secret, good for one try.
 */
export interface PairingCode {
  /** Six digits. */
  readonly number: number
  /** Of the word list of 2,048: 22 bits, which is one chance in four million for one try. */
  readonly words: readonly [number, number]
}

export const CODE_NUMBERS = 1_000_000

/** Logins and packet keys that stand for the number: whoever guesses it can spend the code, and do nothing else. */
export const codeKeys = (number: number, sodium: Sodium): LinkKeys =>
  linkKeys({ secret: new Secret('pairing', sodium.hash([TAGS.pairingCode, utf8(String(number))])) }, sodium)

/** What both ends take for granted: a code that was meant for another relay or machine is another secret. */
export interface CodeRun {
  readonly code: PairingCode
  readonly relay: RelayId
  readonly inviter: MailboxId
  /** 16 random bytes of the inviter's, as hexadecimal. */
  readonly session: string
}

const runOf = ({ code, relay, inviter, session }: CodeRun): CpaceRun => ({
  secret: utf8([code.number, ...code.words].join('-')),
  channel: concatBytes(TAGS.pairingCode, fromHex(relay), fromHex(inviter)),
  session: fromHex(session),
})

export const codePoint = (run: CodeRun, scalar: Uint8Array, ristretto: Ristretto): Uint8Array =>
  cpacePoint(runOf(run), scalar, ristretto)

export interface CodeKeys {
  /** The joiner's word that it knows the code: it speaks first, so that the inviter gives a guesser nothing to try on. */
  readonly proof: Uint8Array
  readonly link: Secret<'pairing'>
}

/** Undefined for a point of the other's that is no good. */
export function agreeOnCode(
  run: CodeRun,
  scalar: Uint8Array,
  points: { readonly inviter: Uint8Array; readonly joiner: Uint8Array },
  me: 'inviter' | 'joiner',
  deps: { readonly sodium: Sodium; readonly ristretto: Ristretto },
): CodeKeys | undefined {
  const share = (point: Uint8Array): CpaceShare => ({ point, said: new Uint8Array() })
  const shares = { initiator: share(points.inviter), responder: share(points.joiner) }
  const others = me === 'inviter' ? 'responder' : 'initiator'
  const key = cpaceKey(runOf(run), scalar, shares, others, deps.ristretto)
  if (key === undefined) return undefined
  const derive = (what: number): Uint8Array => deps.sodium.hash([TAGS.pairingCode, Uint8Array.of(what)], 32, key)
  const keys = { proof: derive(1), link: new Secret('pairing', derive(2)) }
  key.fill(0)
  return keys
}

export const provesCode = (keys: CodeKeys, proof: Uint8Array): boolean => equalBytes(keys.proof, proof)

/** `nonce`: 24 random bytes. */
export function sealLink(link: string, keys: CodeKeys, nonce: Uint8Array, sodium: Sodium): Uint8Array {
  return concatBytes(nonce, sodium.encrypt(utf8(link), keys.proof, nonce, keys.link.expose()))
}

/** Undefined unless the other side knew the code as well. */
export function openLink(sealed: Uint8Array, keys: CodeKeys, sodium: Sodium): string | undefined {
  const nonce = sealed.subarray(0, NONCE_BYTES)
  const plain = sodium.decrypt(sealed.subarray(NONCE_BYTES), keys.proof, nonce, keys.link.expose())
  return plain === undefined ? undefined : fromUtf8(plain)
}
