import { equalBytes, fromHex, toHex } from '@sealmesh/protocol/bytes'
import type { MeshId } from '@sealmesh/protocol/ids'
import { err, ok, type Result } from '@sealmesh/protocol/result'
import { claimMessage, claimProof, loginMessage } from '@sealmesh/protocol/wire/challenge'
import type { FrameOf } from '@sealmesh/protocol/wire/frame'
import type { Reason } from '@sealmesh/protocol/wire/reason'
import { decodeTokenChain, type Token, type VerifiedLogin, verifyTokenChain } from '@sealmesh/protocol/wire/token'
import type { ClaimKey } from './event.ts'
import { type KeyName, keyName } from './key-name.ts'
import type { Connection, LoginRecord, RelayState, World } from './state.ts'

export interface Admitted {
  readonly name: KeyName
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
  const name = keyName(frame.loginKey, world.sodium)
  const tokens = decodeTokenChain(frame.chain)
  if (!tokens.ok) return err('TOKEN_INVALID')
  const [first] = tokens.value
  const record =
    first === undefined
      ? enrolledAs(state, name, world)
      : tokensSay(state, frame, name, first.mesh, tokens.value, world)
  if (!record.ok) return record
  const { mesh } = record.value
  const known = state.meshes.get(mesh)
  if (known !== undefined && !known.barred) {
    if (known.logins >= state.limits.meshLoginsMax && !state.logins.has(name)) return err('QUOTA_NODES')
    return ok({ name, record: record.value, claim: null })
  }
  if (frame.claim === null) {
    // Who has the root can bring a claim; others can only wait for the relay's owner.
    return err(
      record.value.through.length === 0 && record.value.admin !== null ? 'CLAIM_REQUIRED' : 'MESH_NOT_ADMITTED',
    )
  }
  const subject = { relay, relayNonce, mesh }
  if (!world.sodium.verify(frame.claim.rootSignature, claimMessage(subject), fromHex(mesh))) return err('CLAIM_INVALID')
  for (const { id, key, expiresMs } of claims) {
    if (state.spentClaims.has(id) || expiresMs <= world.nowMs) continue
    if (toHex(claimProof(key, subject, world.sodium)) !== toHex(frame.claim.proof)) continue
    return ok({ name, record: record.value, claim: id })
  }
  return err('CLAIM_INVALID')
}

/** Checks what one node lets in on behalf of another. */
export function judgeEnrolment(
  state: RelayState,
  mesh: MeshId,
  chain: Uint8Array,
  world: World,
): Result<{ name: KeyName; record: LoginRecord }, Reason> {
  const tokens = decodeTokenChain(chain)
  const first = tokens.ok ? tokens.value[0] : undefined
  if (!tokens.ok || first?.mesh !== mesh) return err('TOKEN_INVALID')
  const login = verifyTokenChain(tokens.value, mesh, world.nowMs, world.sodium)
  if (!login.ok) return err(login.error)
  const name = keyName(login.value.loginKey, world.sodium)
  const known = state.meshes.get(mesh)
  if (known === undefined) return err('MESH_NOT_ADMITTED')
  const record = recordOf(login.value, world)
  if (isRevoked(state, name, record)) return err('NODE_REVOKED')
  const held = state.logins.get(name)
  if (held !== undefined && held.record.mesh !== mesh) return err('TOKEN_INVALID')
  if (held === undefined && known.logins >= state.limits.meshLoginsMax) return err('QUOTA_NODES')
  return ok({ name, record })
}

function tokensSay(
  state: RelayState,
  frame: FrameOf<'login'>,
  name: KeyName,
  mesh: MeshId,
  tokens: readonly Token[],
  world: World,
): Result<LoginRecord, Reason> {
  const login = verifyTokenChain(tokens, mesh, world.nowMs, world.sodium)
  if (!login.ok) return err(login.error)
  if (!equalBytes(login.value.loginKey, frame.loginKey)) return err('TOKEN_INVALID')
  const record = recordOf(login.value, world)
  if (isRevoked(state, name, record)) return err('NODE_REVOKED')
  const held = state.logins.get(name)
  // An enrolled login names no mesh: its key must stand for one.
  if (held !== undefined && held.record.mesh !== mesh) return err('TOKEN_INVALID')
  return ok(record)
}

function enrolledAs(state: RelayState, name: KeyName, world: World): Result<LoginRecord, Reason> {
  const record = state.logins.get(name)?.record
  if (record === undefined) return err(isRevokedSomewhere(state, name) ? 'NODE_REVOKED' : 'TOKEN_INVALID')
  if (record.expiresMs !== 0 && record.expiresMs <= world.nowMs) return err('TOKEN_EXPIRED')
  return ok(record)
}

/** Removed itself, or let in by an admin that was removed before this login was ever seen. */
function isRevoked(state: RelayState, name: KeyName, { mesh: id, admin, through }: LoginRecord): boolean {
  const mesh = state.meshes.get(id)
  if (mesh === undefined) return false
  if (mesh.revokedLogins.has(name)) return true
  if (admin !== null && mesh.revokedAdmins.has(admin)) return true
  return !state.logins.has(name) && through.some((each) => mesh.revokedAdmins.has(each))
}

/** An invite's key names no mesh, so all are asked. It tells the holder of the key only what it was told before. */
function isRevokedSomewhere(state: RelayState, name: KeyName): boolean {
  for (const mesh of state.meshes.values()) if (mesh.revokedLogins.has(name)) return true
  return false
}

const recordOf = (login: VerifiedLogin, { sodium }: World): LoginRecord => ({
  mesh: login.mesh,
  kind: login.kind,
  onlyTo: login.mailbox,
  expiresMs: login.expiresMs,
  admin: login.adminKey === null ? null : keyName(login.adminKey, sodium),
  through: login.through.map((key) => keyName(key, sodium)),
})
