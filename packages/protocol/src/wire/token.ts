import {
  concatBytes,
  type DecodeError,
  decode,
  encode,
  equalBytes,
  fromHex,
  Malformed,
  type Reader,
  readByte,
  readFixed,
  readId,
  readList,
  readUint,
  type Writer,
  writeByte,
  writeFixed,
  writeId,
  writeList,
  writeUint,
} from '../bytes.ts'
import type { MailboxId, MeshId } from '../ids.ts'
import type { LoginPublicKey, Secret, Signature, SignPublicKey } from '../keys.ts'
import { SIGN_PUBLIC_KEY_BYTES, SIGNATURE_BYTES } from '../keys.ts'
import { assert, err, ok, type Result } from '../result.ts'
import type { Sodium } from '../sodium.ts'
import { TAGS } from '../tags.ts'

/**
 * What lets a login key into a relay on behalf of a mesh (docs/spec/07-relay.md §2). Tokens chain root → admin →
 * node: the mesh's root signs the first, whoever holds the admin key that one token names may sign the next. A relay
 * needs only the mesh's id to check all of it.
 *
 *   kind 1B (1 node, 2 invite) | mesh 32B | login key 32B | admin 1B (0 no, 1 yes) [admin key 32B]
 *   | invite only: mailbox 32B | expires uint, ms since 1970, 0 never | issuer 1B (0 root, 1 admin) [issuer key 32B]
 *   | signature 64B over the tag `relay token` and everything before it
 */
export interface Token {
  readonly mesh: MeshId
  readonly loginKey: LoginPublicKey
  /** Whoever holds its secret half may issue tokens. */
  readonly adminKey: SignPublicKey | null
  readonly kind: 'node' | 'invite'
  /** The one mailbox that an invite may write to; null for nodes. */
  readonly mailbox: MailboxId | null
  /** 0: never. */
  readonly expiresMs: number
  readonly issuer: 'root' | SignPublicKey
  readonly signature: Signature
}

export type TokenDraft = Omit<Token, 'issuer' | 'signature'>

/** Root, an admin that it named, one that that one named, and so on: deeper is a mistake. */
export const TOKEN_CHAIN_MAX = 8
/** Fits a login with all of its keys and signatures into LOGIN_BYTES_MAX. */
export const TOKEN_CHAIN_BYTES_MAX = 3_072

const KIND_NODE = 1
const KIND_INVITE = 2

/** Signs with the root's secret, or with the admin's whose public key is `issuer`. */
export function issueToken(
  draft: TokenDraft,
  issuer: 'root' | SignPublicKey,
  secret: Secret<'root' | 'sign'>,
  sodium: Sodium,
): Token {
  assert((draft.kind === 'invite') === (draft.mailbox !== null), 'an invite names a mailbox, a node none')
  assert(draft.kind === 'node' || draft.adminKey === null, 'an invite never makes an admin')
  const unsigned = { ...draft, issuer }
  return { ...unsigned, signature: sodium.sign(signedBytes(unsigned), secret) }
}

/** What a node presents: the first token is signed by the root, the last names the login. */
export const encodeTokenChain = (chain: readonly Token[]): Uint8Array =>
  encode((writer) => {
    writeList(writer, chain, (token) => {
      writeUnsigned(writer, token)
      writeFixed(writer, token.signature)
    })
  })

/** Untrusted bytes in. Never throws. An empty chain is a chain: the login must then be enrolled already. */
export function decodeTokenChain(bytes: Uint8Array): Result<Token[], DecodeError> {
  if (bytes.length === 0) return ok([])
  if (bytes.length > TOKEN_CHAIN_BYTES_MAX) return err({ code: 'BYTES_MALFORMED' })
  return decode(bytes, (reader) => readList(reader, TOKEN_CHAIN_MAX, readToken))
}

export interface VerifiedLogin {
  readonly mesh: MeshId
  readonly loginKey: LoginPublicKey
  readonly adminKey: SignPublicKey | null
  readonly kind: 'node' | 'invite'
  readonly mailbox: MailboxId | null
  /** The earliest expiry of the chain; 0 never. */
  readonly expiresMs: number
  /** The admins through whose hands the right went, oldest first; empty when the root gave it. */
  readonly through: readonly SignPublicKey[]
}

/** Whether every link holds, and what the last one then says. Knows nothing of revocations: those are the relay's. */
export function verifyTokenChain(
  chain: readonly Token[],
  mesh: MeshId,
  nowMs: number,
  sodium: Sodium,
): Result<VerifiedLogin, 'TOKEN_INVALID' | 'TOKEN_EXPIRED'> {
  const leaf = chain.at(-1)
  if (leaf === undefined || chain.length > TOKEN_CHAIN_MAX) return err('TOKEN_INVALID')
  const through: SignPublicKey[] = []
  let signer: Uint8Array = fromHex(mesh)
  let expiresMs = 0
  for (const [index, token] of chain.entries()) {
    const previous = chain[index - 1]
    if (token.mesh !== mesh) return err('TOKEN_INVALID')
    if (previous === undefined) {
      if (token.issuer !== 'root') return err('TOKEN_INVALID')
    } else {
      const { adminKey } = previous
      if (adminKey === null || token.issuer === 'root' || !equalBytes(token.issuer, adminKey))
        return err('TOKEN_INVALID')
      signer = adminKey
      through.push(adminKey)
    }
    if (!sodium.verify(token.signature, signedBytes(token), signer)) return err('TOKEN_INVALID')
    if (token.expiresMs !== 0) expiresMs = expiresMs === 0 ? token.expiresMs : Math.min(expiresMs, token.expiresMs)
  }
  if (expiresMs !== 0 && expiresMs <= nowMs) return err('TOKEN_EXPIRED')
  const { loginKey, adminKey, kind, mailbox } = leaf
  return ok({ mesh, loginKey, adminKey, kind, mailbox, expiresMs, through })
}

const signedBytes = (token: Omit<Token, 'signature'>): Uint8Array =>
  concatBytes(
    TAGS.relayToken,
    encode((writer) => writeUnsigned(writer, token)),
  )

function writeUnsigned(writer: Writer, token: Omit<Token, 'signature'>): void {
  writeByte(writer, token.kind === 'node' ? KIND_NODE : KIND_INVITE)
  writeId(writer, token.mesh)
  writeFixed(writer, token.loginKey)
  writeByte(writer, token.adminKey === null ? 0 : 1)
  if (token.adminKey !== null) writeFixed(writer, token.adminKey)
  if (token.mailbox !== null) writeId(writer, token.mailbox)
  writeUint(writer, token.expiresMs)
  writeByte(writer, token.issuer === 'root' ? 0 : 1)
  if (token.issuer !== 'root') writeFixed(writer, token.issuer)
}

function readToken(reader: Reader): Token {
  const kind = readByte(reader)
  if (kind !== KIND_NODE && kind !== KIND_INVITE) throw new Malformed()
  const mesh = readId<MeshId>(reader, 32)
  const loginKey = readFixed(reader, SIGN_PUBLIC_KEY_BYTES) as LoginPublicKey
  const adminKey = readFlag(reader) ? (readFixed(reader, SIGN_PUBLIC_KEY_BYTES) as SignPublicKey) : null
  // An invite is a guest: it can never let others in.
  if (kind === KIND_INVITE && adminKey !== null) throw new Malformed()
  const mailbox = kind === KIND_INVITE ? readId<MailboxId>(reader, 32) : null
  const expiresMs = readUint(reader)
  const issuer = readFlag(reader) ? (readFixed(reader, SIGN_PUBLIC_KEY_BYTES) as SignPublicKey) : 'root'
  const signature = readFixed(reader, SIGNATURE_BYTES) as Signature
  return {
    mesh,
    loginKey,
    adminKey,
    kind: kind === KIND_NODE ? 'node' : 'invite',
    mailbox,
    expiresMs,
    issuer,
    signature,
  }
}

function readFlag(reader: Reader): boolean {
  const flag = readByte(reader)
  if (flag > 1) throw new Malformed()
  return flag === 1
}
