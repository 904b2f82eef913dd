import { encode, equalBytes, writeBytes, writeId } from '../bytes.ts'
import type { Sodium } from '../sodium.ts'
import { TAGS } from '../tags.ts'
import { linkBytes, type PairingLink } from './link.ts'
import { type Joiner, type Session, writeJoiner } from './message.ts'
import { type WordNumbers, wordsOf } from './words.ts'

/** Who commits. In the hash, so that neither can answer with the other's commitment. */
const ROLE_BYTE = { joiner: 0x01, inviter: 0x02 } as const
export type PairingRole = keyof typeof ROLE_BYTE

/** What is agreed before either nonce is known: the link, the joiner and its session. */
export interface Introduction {
  readonly link: PairingLink
  readonly session: Session
  readonly joiner: Joiner
}

/** Hides the nonce until it is revealed, and ties it to this link and this joiner (docs/spec/05-pairing.md §3). */
export const commitTo = (
  nonce: Uint8Array,
  role: PairingRole,
  introduction: Introduction,
  sodium: Sodium,
): Uint8Array =>
  sodium.hash([TAGS.pairingCommit, Uint8Array.of(ROLE_BYTE[role]), introductionHash(introduction, sodium), nonce])

export const opens = (
  commitment: Uint8Array,
  nonce: Uint8Array,
  role: PairingRole,
  introduction: Introduction,
  sodium: Sodium,
): boolean => equalBytes(commitment, commitTo(nonce, role, introduction, sodium))

/** The same on both screens only if nobody stood in between. */
export const wordsFor = (
  introduction: Introduction,
  nonces: { readonly joiner: Uint8Array; readonly inviter: Uint8Array },
  sodium: Sodium,
): WordNumbers =>
  wordsOf(
    sodium.hash([TAGS.pairingTranscript, introductionHash(introduction, sodium), nonces.joiner, nonces.inviter]),
    sodium,
  )

export const introductionHash = ({ link, session, joiner }: Introduction, sodium: Sodium): Uint8Array =>
  sodium.hash([
    TAGS.pairingTranscript,
    encode((writer) => {
      writeBytes(writer, linkBytes(link))
      writeId(writer, session)
      writeJoiner(writer, joiner)
    }),
  ])
