import { type KeyPair, type LoginPublicKey, Secret } from '../keys.ts'
import type { Sodium } from '../sodium.ts'
import { TAGS } from '../tags.ts'
import type { PairingLink } from './link.ts'

/** Which way a pairing packet goes. Each has its own key, so that a packet sent back to its sender opens nowhere. */
export type Direction = 'to-inviter' | 'to-joiner'
const DIRECTION_BYTE = { 'to-inviter': 0x01, 'to-joiner': 0x02 } as const satisfies Record<Direction, number>

/** What both machines derive from a link's secret (docs/spec/05-pairing.md §2). */
export interface LinkKeys {
  /** How the joiner logs in at the relay until it has a login of its own. */
  readonly login: KeyPair<LoginPublicKey, 'login'>
  readonly packet: Readonly<Record<Direction, Secret<'pairing'>>>
}

export function linkKeys(link: Pick<PairingLink, 'secret'>, sodium: Sodium): LinkKeys {
  const secret = link.secret.expose()
  const login = sodium.signKeys('login', sodium.hash([TAGS.pairingLogin], 32, secret))
  const packetKey = (direction: Direction): Secret<'pairing'> =>
    new Secret('pairing', sodium.hash([TAGS.pairingKey, Uint8Array.of(DIRECTION_BYTE[direction])], 32, secret))
  return {
    // The one place where an Ed25519 key pair is made for logging in with a link.
    login: { publicKey: new Uint8Array(login.publicKey) as LoginPublicKey, secretKey: login.secretKey },
    packet: { 'to-inviter': packetKey('to-inviter'), 'to-joiner': packetKey('to-joiner') },
  }
}
