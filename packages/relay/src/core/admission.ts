import { fromHex, toHex } from '@sealmesh/protocol/bytes'
import { mailboxOf } from '@sealmesh/protocol/envelope/mailbox'
import type { MailboxId, MeshId } from '@sealmesh/protocol/ids'
import { err, ok, type Result } from '@sealmesh/protocol/result'
import { claimMessage, claimProof, loginMessage } from '@sealmesh/protocol/wire/challenge'
import type { FrameOf } from '@sealmesh/protocol/wire/frame'
import type { Reason } from '@sealmesh/protocol/wire/reason'
import {
  decodeTokenChain,
  keyText,
  type Token,
  type VerifiedLogin,
  verifyTokenChain,
} from '@sealmesh/protocol/wire/token'
import type { ClaimKey } from './event.ts'
import type { Connection, LoginRecord, RelayState, World } from './state.ts'

export interface Admitted {
  readonly mailbox: MailboxId
  readonly record: LoginRecord
  /** The claim that admits its mesh now; null when the mesh is known. */
  readonly claim: string | null
}

/** Whether this login may enter, and what is known of it afterwards. Changes nothing. */
export function judgeLogin(
  state: RelayState,
  connection: Connection,
  frame: FrameOf<'login'>,
  claims: readonly ClaimKey[],
  world: World,
): Result<Admitted, Reason> {
  const { relay, generation } = state
  const { nonce: relayNonce } = connection
  const message = loginMessage({ relay, relayNonce, generation, nodeNonce: frame.nonce, chain: frame.chain })
  if (!world.sodium.verify(frame.signature, message, frame.loginKey)) return err('LOGIN_SIGNATURE')
  const mailbox = mailboxOf(frame.loginKey, world.sodium)
  const tokens = decodeTokenChain(frame.chain)
  if (!tokens.ok) return err('TOKEN_INVALID')
  const [first] = tokens.value
  const record =
    first === undefined
      ? enrolledAs(state, mailbox, frame, world)
      : tokensSay(state, frame, mailbox, first.mesh, tokens.value, world)
  if (!record.ok) return record
  const { mesh } = record.value
  const known = state.meshes.get(mesh)
  if (known !== undefined) {
    if (known.logins >= state.limits.meshLoginsMax && !state.mailboxes.has(mailbox)) return err('QUOTA_NODES')
    return ok({ mailbox, record: record.value, claim: null })
  }
  if (frame.claim === null) {
    // Who has the root can bring a claim; others can only wait for the relay's owner.
    return err(
      record.value.through.length === 0 && record.value.adminKey !== null ? 'CLAIM_REQUIRED' : 'MESH_NOT_ADMITTED',
    )
  }
  const subject = { relay, relayNonce, mesh }
  if (!world.sodium.verify(frame.claim.rootSignature, claimMessage(subject), fromHex(mesh))) return err('CLAIM_INVALID')
  for (const { id, key, expiresMs } of claims) {
    if (state.spentClaims.has(id) || expiresMs <= world.nowMs) continue
    if (toHex(claimProof(key, subject, world.sodium)) !== toHex(frame.claim.proof)) continue
    return ok({ mailbox, record: record.value, claim: id })
  }
  return err('CLAIM_INVALID')
}

/** Checks what one node lets in on behalf of another. */
export function judgeEnrolment(
  state: RelayState,
  mesh: MeshId,
  chain: Uint8Array,
  world: World,
): Result<{ mailbox: MailboxId; record: LoginRecord }, Reason> {
  const tokens = decodeTokenChain(chain)
  const first = tokens.ok ? tokens.value[0] : undefined
  if (!tokens.ok || first?.mesh !== mesh) return err('TOKEN_INVALID')
  const login = verifyTokenChain(tokens.value, mesh, world.nowMs, world.sodium)
  if (!login.ok) return err(login.error)
  const mailbox = mailboxOf(login.value.loginKey, world.sodium)
  const known = state.meshes.get(mesh)
  if (known === undefined) return err('MESH_NOT_ADMITTED')
  if (isRevoked(state, mailbox, login.value)) return err('NODE_REVOKED')
  const held = state.mailboxes.get(mailbox)
  if (held !== undefined && held.login.mesh !== mesh) return err('TOKEN_INVALID')
  if (held === undefined && known.logins >= state.limits.meshLoginsMax) return err('QUOTA_NODES')
  return ok({ mailbox, record: recordOf(login.value) })
}

function tokensSay(
  state: RelayState,
  frame: FrameOf<'login'>,
  mailbox: MailboxId,
  mesh: MeshId,
  tokens: readonly Token[],
  world: World,
): Result<LoginRecord, Reason> {
  const login = verifyTokenChain(tokens, mesh, world.nowMs, world.sodium)
  if (!login.ok) return err(login.error)
  if (keyText(login.value.loginKey) !== keyText(frame.loginKey)) return err('TOKEN_INVALID')
  if (isRevoked(state, mailbox, login.value)) return err('NODE_REVOKED')
  const held = state.mailboxes.get(mailbox)
  // One login key in two meshes would share a mailbox between them.
  if (held !== undefined && held.login.mesh !== mesh) return err('TOKEN_INVALID')
  return ok(recordOf(login.value))
}

function enrolledAs(
  state: RelayState,
  mailbox: MailboxId,
  frame: FrameOf<'login'>,
  world: World,
): Result<LoginRecord, Reason> {
  const record = state.mailboxes.get(mailbox)?.login
  if (record === undefined)
    return err(isRevokedSomewhere(state, keyText(frame.loginKey)) ? 'NODE_REVOKED' : 'TOKEN_INVALID')
  if (record.expiresMs !== 0 && record.expiresMs <= world.nowMs) return err('TOKEN_EXPIRED')
  return ok(record)
}

/** Removed itself, or let in by an admin that was removed before this login was ever seen. */
function isRevoked(state: RelayState, mailbox: MailboxId, login: VerifiedLogin): boolean {
  const mesh = state.meshes.get(login.mesh)
  if (mesh === undefined) return false
  if (mesh.revokedLogins.has(keyText(login.loginKey))) return true
  if (login.adminKey !== null && mesh.revokedAdmins.has(keyText(login.adminKey))) return true
  return !state.mailboxes.has(mailbox) && login.through.some((key) => mesh.revokedAdmins.has(keyText(key)))
}

/** An invite's key names no mesh, so all are asked. It tells the holder of the key only what it was told before. */
function isRevokedSomewhere(state: RelayState, loginKey: string): boolean {
  for (const mesh of state.meshes.values()) if (mesh.revokedLogins.has(loginKey)) return true
  return false
}

const recordOf = (login: VerifiedLogin): LoginRecord => ({
  mesh: login.mesh,
  loginKey: Uint8Array.from(login.loginKey) as LoginRecord['loginKey'],
  kind: login.kind,
  onlyTo: login.mailbox,
  expiresMs: login.expiresMs,
  adminKey: login.adminKey === null ? null : keyText(login.adminKey),
  through: login.through.map(keyText),
})
