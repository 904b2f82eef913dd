import { randomBytes } from 'node:crypto'
import { toHex } from '@sealmesh/protocol/bytes'
import type { AgentId, MeshId } from '@sealmesh/protocol/ids'
import type { KeyPair, LoginPublicKey, SignPublicKey } from '@sealmesh/protocol/keys'
import { nodeIdOf } from '@sealmesh/protocol/membership/record-codec'
import { encodeTokenChain, issueToken, type Token } from '@sealmesh/protocol/wire/token'
import { loadSodium } from '@sealmesh/sodium/load'
import { beforeEach, expect, test } from 'vitest'
import type { KeyStore } from '../keys/key-store.ts'
import type { LogKeeper } from '../membership/log-keeper.ts'
import type { Meta } from '../store/meta.ts'
import { adoptAdminToken } from './admin-token.ts'

const sodium = await loadSodium()
const random = (bytes: number) => new Uint8Array(randomBytes(bytes))
const NOW_MS = 1_800_000_000_000

type Pair<Key> = {
  readonly sign: KeyPair<SignPublicKey, 'sign'>
  readonly login: KeyPair<Key & LoginPublicKey, 'login'>
}
const pair = (): Pair<LoginPublicKey> => ({
  sign: sodium.signKeys('sign', random(32)),
  login: sodium.signKeys('login', random(32)) as unknown as KeyPair<LoginPublicKey, 'login'>,
})

const root = sodium.signKeys('root', random(32))
const mesh = toHex(root.publicKey) as MeshId
const [own, other, admin] = [pair(), pair(), pair()]
const agent = 'aa'.repeat(32) as AgentId
const node = nodeIdOf(own.sign.publicKey, agent, sodium)

const token = (changes: Partial<Token> = {}, by: 'root' | KeyPair<SignPublicKey, 'sign'> = 'root'): Token => {
  const { login, sign } = own
  const drawn = { mesh, loginKey: login.publicKey, adminKey: sign.publicKey, kind: 'node', mailbox: null } as const
  const draft = { ...drawn, expiresMs: 0, ...changes }
  return by === 'root'
    ? issueToken(draft, 'root', root.secretKey, sodium)
    : issueToken(draft, by.publicKey, by.secretKey, sodium)
}
const adminToken = token({ loginKey: admin.login.publicKey, adminKey: admin.sign.publicKey })

let stored: Uint8Array
beforeEach(() => {
  stored = encodeTokenChain([token({ adminKey: null })])
})

/** What is stored after records with these chains have come. */
async function adopted(
  chains: readonly (readonly Token[])[],
  changes: { admin?: boolean; voided?: boolean; of?: Pair<LoginPublicKey> } = {},
): Promise<string> {
  const identity = { name: 'office', signKey: (changes.of ?? own).sign.publicKey, foundingAgent: { id: agent } }
  const records = new Map(
    chains.map((chain, at) => [
      `${at}`,
      { hash: `${at}`, body: { type: 'admit', node: identity, admin: true, token: encodeTokenChain(chain) } },
    ]),
  )
  const voided = new Map(changes.voided === true ? [['0', 'SIGNER_REVOKED']] : [])
  const nodes = new Map([[node, { admin: changes.admin ?? true }]])
  const log = { mesh: { id: mesh, nodes, records, voided } } as unknown as LogKeeper
  const meta = {
    readBytes: () => Promise.resolve(stored),
    writeBytes: (_: string, bytes: Uint8Array) => Promise.resolve(void (stored = bytes)),
  } as unknown as Meta
  await adoptAdminToken({ log, keys: own as unknown as KeyStore, meta, sodium }, node, NOW_MS)
  return toHex(stored)
}
const text = (...chain: Token[]): string => toHex(encodeTokenChain(chain))

test('a member that was made an admin takes the token that its record brings', async () => {
  expect(await adopted([[token()]])).toBe(text(token()))
  expect(await adopted([[adminToken, token({}, admin.sign)]])).toBe(text(token()))
})

test('T-peer-4: a token that is not its own, makes no admin, is of another mesh, broken or over is left alone', async () => {
  const before = toHex(stored)
  const chains: Record<string, readonly Token[]> = {
    'for another login': [token({ loginKey: other.login.publicKey })],
    'for another admin key': [token({ adminKey: other.sign.publicKey })],
    'no admin': [token({ adminKey: null })],
    'of another mesh': [token({ mesh: 'bb'.repeat(32) as MeshId })],
    'by nobody who may': [token({}, other.sign)],
    'after a gap': [adminToken, token({}, other.sign)],
    over: [token({ expiresMs: NOW_MS })],
    'signature changed': [{ ...token(), signature: token({ expiresMs: 5 }).signature }],
  }
  for (const [name, chain] of Object.entries(chains)) expect([name, await adopted([chain])]).toEqual([name, before])
  expect(await adopted([[token()]], { voided: true })).toBe(before)
  expect(await adopted([[token()]], { admin: false })).toBe(before)
  expect(await adopted([[token()]], { of: other })).toBe(before)
})

test('of several it keeps the shortest, and of equal ones the latest', async () => {
  const short = [token()]
  const long = [adminToken, token({}, admin.sign)]
  const later = [token({ expiresMs: NOW_MS + 1 })]
  expect(await adopted([long])).toBe(text(...long))
  expect(await adopted([short, long])).toBe(text(...short))
  expect(await adopted([short, later])).toBe(text(...later))
})
