import { type KeyPair, type LoginPublicKey, type SealPublicKey, type Secret, SEED_BYTES } from '../keys.ts'
import type { Sodium } from '../sodium.ts'
import { TAGS } from '../tags.ts'

export interface RecoveryKeys {
  readonly login: KeyPair<LoginPublicKey, 'login'>
  /** Opens the mailbox in which copies of the log lie: the same on every day. */
  readonly mailboxSecret: Uint8Array
  /** Opens the copies. */
  readonly seal: KeyPair<SealPublicKey, 'seal'>
}

/**
 * Made from the root's seed, so that a recovery kit needs nothing but that: whoever has the root may let itself in
 * anyway, and reads the log from then on (docs/spec/11-recovery.md §2).
 */
export function recoveryKeysOf(root: Secret<'root'>, sodium: Sodium): RecoveryKeys {
  const seedOf = (tag: Uint8Array): Uint8Array => sodium.hash([tag], SEED_BYTES, root.expose().subarray(0, SEED_BYTES))
  const login = sodium.signKeys('login', seedOf(TAGS.recoveryLogin))
  return {
    login: { publicKey: login.publicKey as Uint8Array as LoginPublicKey, secretKey: login.secretKey },
    mailboxSecret: seedOf(TAGS.recoveryMailbox),
    seal: sodium.sealKeys(seedOf(TAGS.recoverySeal)),
  }
}
