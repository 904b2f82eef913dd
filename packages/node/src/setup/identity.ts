import { hostname } from 'node:os'
import {
  decodeTokenChain,
  encodeTokenChain,
  issueToken,
  type Token,
  type TokenDraft,
} from '@sealmesh/protocol/wire/token'
import { equalBytes, toHex } from '@sealmesh/protocol/bytes'
import { mailboxOf } from '@sealmesh/protocol/envelope/mailbox'
import { prekeyEndsMs } from '@sealmesh/protocol/envelope/expired-prekey'
import { Failure } from '@sealmesh/protocol/errors'
import { type AgentId, isName, type MeshId, NAME_CHARACTERS_MAX, type NodeId } from '@sealmesh/protocol/ids'
import type { LoginPublicKey, SealPublicKey, SignPublicKey } from '@sealmesh/protocol/keys'
import { PREKEY_LIFE_MS, PREKEY_ROTATE_MS, PREKEY_SKEW_MS } from '@sealmesh/protocol/limits'
import type { Mesh } from '@sealmesh/protocol/membership/mesh'
import { nodeIdOf } from '@sealmesh/protocol/membership/record-codec'
import type { NodeIdentity, SignedRecord } from '@sealmesh/protocol/membership/record'
import { recoveryKeysOf } from '@sealmesh/protocol/recovery/recovery-keys'
import type { Sodium } from '@sealmesh/protocol/sodium'
import { z } from 'zod'
import type { KeyStore } from '../keys/key-store.ts'
import type { LogKeeper } from '../membership/log-keeper.ts'
import { foundAgent } from '../service/agents.ts'
import type { Meta } from '../store/meta.ts'

/** Who this node is: from its keys and the names that its owner gave. */
export function identityOf(keys: KeyStore, names: { node: string; agent: string }): NodeIdentity {
  return {
    name: names.node,
    signKey: keys.sign.publicKey,
    loginKey: keys.login.publicKey,
    foundingAgent: { id: toHex(keys.foundingAgent.publicKey) as AgentId, name: names.agent },
  }
}

export const nodeIdFrom = (keys: KeyStore, sodium: Sodium): NodeId =>
  nodeIdOf(keys.sign.publicKey, toHex(keys.foundingAgent.publicKey) as AgentId, sodium)

/** The name that was asked for, else one made from the machine's. */
export function chooseName(wanted: string | undefined): string {
  if (wanted !== undefined) {
    if (!isName(wanted))
      throw new Failure('NAME_INVALID', `"${wanted.slice(0, NAME_CHARACTERS_MAX)}" is not a node's name.`)
    return wanted
  }
  const made = (hostname().split('.')[0] ?? '')
    .toLowerCase()
    .replace(/[^a-z0-9_-]/g, '-')
    .replace(/^[-_]+|[-_]+$/g, '')
  return isName(made) ? made : 'node'
}

/** A home whose keys were exchanged would write what no member takes from anybody, and lose it. Throws KEY_MISMATCH. */
export function requireOwnKeys(
  mesh: Mesh,
  node: NodeId,
  keys: KeyStore,
  lost: { readonly damaged: readonly unknown[]; readonly fellBack?: unknown; readonly rebuilt?: unknown },
): void {
  // A log with holes may have lost who we are, and is filled by peers.
  if (lost.damaged.length > 0 || lost.fellBack !== undefined || lost.rebuilt !== undefined) return
  const own = mesh.nodes.get(node)
  if (own !== undefined && equalBytes(own.loginKey, keys.login.publicKey)) return
  throw new Failure('KEY_MISMATCH', 'The keys of this home are not those of the machine that joined with it.')
}

/** Which mesh this home belongs to; written last when joining, so that it says that all the rest is there. */
export const Membership = z.object({ mesh: z.string().length(64), node: z.string(), agent: z.string() })
export const MEMBERSHIP = 'membership'
/** The chain that lets this node into the mesh's relays. */
export const TOKEN = 'relay-token'

export function meshIdOf(known: z.infer<typeof Membership> | undefined, keys: KeyStore): MeshId {
  if (known !== undefined) return known.mesh as MeshId
  // Keys without a mesh: a join that was cut off has no root key and must not found a mesh of its own.
  if (keys.root === undefined)
    throw new Failure('NODE_NOT_SET_UP', 'This home began to join a mesh and did not finish.', {
      next: 'sealmesh join LINK',
    })
  return toHex(keys.root.publicKey) as MeshId
}

/** Everything that a mesh's first node writes; each step is looked for first, so that a crash half-way heals. */
export async function foundMesh(
  log: LogKeeper,
  keys: KeyStore,
  meta: Meta,
  names: { mesh: string; node: string; agent: string },
  sodium: Sodium,
): Promise<void> {
  const { root } = keys
  if (root === undefined) throw new Failure('NODE_NOT_SET_UP', 'This home has keys but belongs to no mesh yet.')
  const mesh = toHex(root.publicKey) as MeshId
  const identity = identityOf(keys, names)
  if (log.mesh.nodes.size === 0)
    await log.append({ type: 'found', meshName: names.mesh, node: identity }, { type: 'root' }, root.secretKey)
  if (log.mesh.recovery === null) {
    const { login, seal, mailboxSecret } = recoveryKeysOf(root.secretKey, sodium)
    const mailbox = mailboxOf(mailboxSecret, sodium)
    const body = { type: 'recovery', loginKey: login.publicKey, sealKey: seal.publicKey, mailbox } as const
    await log.append(body, { type: 'root' }, root.secretKey)
  }
  if ((await meta.readBytes(TOKEN)) === undefined) {
    const draft = nodeToken(mesh, identity, identity.signKey)
    await meta.writeBytes(TOKEN, encodeTokenChain([issueToken(draft, 'root', root.secretKey, sodium)]))
  }
  await meta.write(MEMBERSHIP, Membership, { mesh, node: names.node, agent: names.agent })
}

export const nodeToken = (mesh: MeshId, identity: NodeIdentity, adminKey: SignPublicKey | null): TokenDraft => ({
  mesh,
  loginKey: identity.loginKey,
  adminKey,
  kind: 'node',
  mailbox: null,
  expiresMs: 0,
})

/** Our own chain and one more link: how an admin lets in what is void when it is removed. */
export async function extendToken(meta: Meta, keys: KeyStore, draft: TokenDraft, sodium: Sodium): Promise<Uint8Array> {
  return encodeTokenChain([
    ...(await ownChain(meta)),
    issueToken(draft, keys.sign.publicKey, keys.sign.secretKey, sodium),
  ])
}

/** Lets a machine in for good; as an admin it may issue tokens itself. */
export const tokenForNode = (
  meta: Meta,
  keys: KeyStore,
  mesh: MeshId,
  identity: NodeIdentity,
  admin: boolean,
  sodium: Sodium,
): Promise<Uint8Array> => lastingToken(meta, keys, nodeToken(mesh, identity, admin ? identity.signKey : null), sodium)

/** Lets in the login at which copies of the log are kept. */
export const tokenForRecovery = (
  meta: Meta,
  keys: KeyStore,
  mesh: MeshId,
  loginKey: LoginPublicKey,
  sodium: Sodium,
): Promise<Uint8Array> => lastingToken(meta, keys, recoveryToken(mesh, loginKey), sodium)

export const recoveryToken = (mesh: MeshId, loginKey: LoginPublicKey): TokenDraft => ({
  mesh,
  loginKey,
  adminKey: null,
  kind: 'node',
  mailbox: null,
  expiresMs: 0,
})

/** By the root where it is here: a chain through an admin opens no new relay once that admin has been removed. */
async function lastingToken(meta: Meta, keys: KeyStore, draft: TokenDraft, sodium: Sodium): Promise<Uint8Array> {
  if (keys.root === undefined) return extendToken(meta, keys, draft, sodium)
  return encodeTokenChain([issueToken(draft, 'root', keys.root.secretKey, sodium)])
}

export async function ownChain(meta: Meta): Promise<readonly Token[]> {
  const chain = decodeTokenChain((await meta.readBytes(TOKEN)) ?? new Uint8Array())
  if (!chain.ok) throw new Failure('STORE_DAMAGED', 'The stored relay token cannot be read.')
  return chain.value
}

/** Every node has at least one agent: the one that its id derives from. */
export async function ensureOwnAgent(log: LogKeeper, keys: KeyStore, node: NodeId): Promise<void> {
  const own = log.mesh.nodes.get(node)
  if (own === undefined || own.revocations.length > 0 || log.mesh.agents.get(own.foundingAgent.id)?.term) return
  await foundAgent(log, own.foundingAgent.name, keys.foundingAgent, [node], node, keys.sign.secretKey)
}

/** Older ones go on opening what was sealed to them until their time is over. */
export async function newPrekey(
  log: LogKeeper,
  keys: KeyStore,
  node: NodeId,
  nowMs: number,
): Promise<{ publicKey: SealPublicKey; expiresMs: number; record: SignedRecord }> {
  const { publicKey } = await keys.addPrekey()
  const life = { notBeforeMs: nowMs, expiresMs: nowMs + PREKEY_LIFE_MS }
  const record = await log.append(
    { type: 'prekey', node, publicKey, ...life, mailboxes: keys.mailboxes.announced(life) },
    { type: 'node', node },
    keys.sign.secretKey,
  )
  return { publicKey, expiresMs: life.expiresMs, record }
}

/** A live prekey at all times: a new one each week, old private halves destroyed when nothing may be sealed to them. */
export async function ensurePrekeys(
  log: LogKeeper,
  keys: KeyStore,
  node: NodeId,
  nowMs: number,
  another = false,
): Promise<void> {
  const own = log.mesh.nodes.get(node)
  // A removed node still serves its owner what is on its disk; nobody seals to it any more.
  if (own === undefined || own.revocations.length > 0) return
  const announced = own.prekeys
  // One that was made while the clock ran ahead does not count: nobody can seal to it yet. Nor does one whose private
  // half is not here: its file was damaged, or this home is an older copy.
  const held = new Set(keys.prekeys().map((pair) => toHex(pair.publicKey)))
  const newest = announced
    .filter((each) => each.notBeforeMs <= nowMs + PREKEY_SKEW_MS && held.has(toHex(each.publicKey)))
    .reduce((latest, each) => Math.max(latest, each.notBeforeMs), 0)
  // A node that was declared lapsed says with a new one that it is back.
  if (another || nowMs - newest >= PREKEY_ROTATE_MS || own.lapsed) await newPrekey(log, keys, node, nowMs)
  const dead = announced.filter((each) => prekeyEndsMs(each) < nowMs)
  for (const { publicKey } of dead) await keys.destroyPrekey(publicKey satisfies SealPublicKey)
}
