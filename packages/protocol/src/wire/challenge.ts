import { concatBytes, encode, fromHex, utf8, writeByte, writeFixed, writeId, writeUint } from '../bytes.ts'
import type { MeshId, RelayId } from '../ids.ts'
import type { LoginPublicKey } from '../keys.ts'
import type { Sodium } from '../sodium.ts'
import { TAGS } from '../tags.ts'
import { WIRE_VERSION } from '../version.ts'

/**
 * What the two sides of a login sign (docs/spec/07-relay.md §3). Both name the relay and both nonces' owner has drawn
 * one, so that neither signature can be replayed to somebody else or at another time.
 */

export const LOGIN_NONCE_BYTES = 32
export const GENERATION_BYTES = 16

/** The node's words: this login key, with these tokens, to this relay, in answer to this challenge. */
export const loginMessage = (login: {
  relay: RelayId
  relayNonce: Uint8Array
  generation: Uint8Array
  nodeNonce: Uint8Array
  chain: Uint8Array
}): Uint8Array =>
  encode((writer) => {
    writeFixed(writer, TAGS.relayLogin)
    writeByte(writer, WIRE_VERSION)
    writeId(writer, login.relay)
    writeFixed(writer, login.relayNonce)
    writeFixed(writer, login.generation)
    writeFixed(writer, login.nodeNonce)
    writeFixed(writer, login.chain)
  })

/** The relay's words: I am that relay, this is my generation, and I have counted this many sessions in it. */
export const acceptMessage = (accept: {
  relay: RelayId
  nodeNonce: Uint8Array
  loginKey: LoginPublicKey
  generation: Uint8Array
  counter: number
}): Uint8Array =>
  encode((writer) => {
    writeFixed(writer, TAGS.relayAccept)
    writeByte(writer, WIRE_VERSION)
    writeId(writer, accept.relay)
    writeFixed(writer, accept.nodeNonce)
    writeFixed(writer, accept.loginKey)
    writeFixed(writer, accept.generation)
    writeUint(writer, accept.counter)
  })

/** The root's words: I ask this relay to admit my mesh. */
export const claimMessage = (claim: { relay: RelayId; relayNonce: Uint8Array; mesh: MeshId }): Uint8Array =>
  concatBytes(TAGS.relayClaim, fromHex(claim.relay), claim.relayNonce, fromHex(claim.mesh))

/** What the relay keeps of a claim code. Dashes, spaces and case do not matter: people type it. */
export const claimKeyOf = (code: string, sodium: Sodium): Uint8Array =>
  sodium.hash([TAGS.relayClaim, utf8(code.replace(/[\s-]/g, '').toUpperCase())])

/** Shows that its sender knows the code, to this relay, for this mesh, without saying it to whoever listens there. */
export const claimProof = (
  key: Uint8Array,
  claim: { relay: RelayId; relayNonce: Uint8Array; mesh: MeshId },
  sodium: Sodium,
): Uint8Array => sodium.hash([claimMessage(claim)], 32, key)
