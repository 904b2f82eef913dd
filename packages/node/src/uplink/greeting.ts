import { fromHex, toHex } from '@sealmesh/protocol/bytes'
import type { FailureCode } from '@sealmesh/protocol/errors'
import type { MeshId, RelayId } from '@sealmesh/protocol/ids'
import type { KeyPair, LoginPublicKey, Secret } from '@sealmesh/protocol/keys'
import { err, ok, type Result } from '@sealmesh/protocol/result'
import type { Sodium } from '@sealmesh/protocol/sodium'
import { acceptMessage, claimKeyOf, claimMessage, claimProof, loginMessage } from '@sealmesh/protocol/wire/challenge'
import type { FrameOf } from '@sealmesh/protocol/wire/frame'

/** Who logs in, and by what right. */
export interface Login {
  readonly mesh: MeshId
  readonly keys: KeyPair<LoginPublicKey, 'login'>
  /** An encoded token chain; empty when somebody enrolled this login key at the relay. */
  readonly token: Uint8Array
  /** Admits the mesh to a relay that does not know it yet. */
  readonly claim?: { readonly code: string; readonly rootKey: Secret<'root'> }
}

/** How far a relay had come when this node last spoke with it. Survives restarts: the node stores it. */
export interface SeenGeneration {
  /** Hexadecimal. */
  readonly generation: string
  readonly counter: number
}

/** Answers a challenge. The caller has checked that it comes from the relay that was dialled. */
export function answerChallenge(
  challenge: FrameOf<'challenge'>,
  login: Login,
  nodeNonce: Uint8Array,
  sodium: Sodium,
): FrameOf<'login'> {
  const { relay, nonce: relayNonce, generation } = challenge
  const message = loginMessage({ relay, relayNonce, generation, nodeNonce, chain: login.token })
  const signature = sodium.sign(message, login.keys.secretKey)
  const subject = { relay, relayNonce, mesh: login.mesh }
  const claim =
    login.claim === undefined
      ? null
      : {
          proof: claimProof(claimKeyOf(login.claim.code, sodium), subject, sodium),
          rootSignature: sodium.sign(claimMessage(subject), login.claim.rootKey),
        }
  return { type: 'login', nonce: nodeNonce, loginKey: login.keys.publicKey, chain: login.token, signature, claim }
}

/** Whether the key of the far end that was dialled signed this welcome, for this login, now. */
export function isGenuine(
  welcome: FrameOf<'welcome'>,
  session: { relay: RelayId; loginKey: LoginPublicKey; nodeNonce: Uint8Array; generation: Uint8Array },
  sodium: Sodium,
  farKey: Uint8Array = fromHex(session.relay),
): boolean {
  const message = acceptMessage({ ...session, counter: welcome.counter })
  return sodium.verify(welcome.signature, message, farKey)
}

/** Of a relay: the key that its address names is the one that has to sign. */
export const keyOfRelay =
  (expected: RelayId): Identify =>
  ({ relay }) =>
    relay === expected ? ok(fromHex(relay)) : err('RELAY_WRONG_KEY')

/**
 * Who answers, by its challenge and the SHA-256 of the certificate that it showed (null without TLS): the key that has to
 * sign the welcome, or why this far end is not the one that was meant.
 */
export type Identify = (
  challenge: FrameOf<'challenge'>,
  certificateHash: Uint8Array | null,
) => Result<Uint8Array, FailureCode>

/** A relay that was wiped, restored or replaced has forgotten packets that it called stored. */
export function isNewGeneration(seen: SeenGeneration | undefined, generation: Uint8Array, counter: number): boolean {
  return seen === undefined || seen.generation !== toHex(generation) || counter <= seen.counter
}
