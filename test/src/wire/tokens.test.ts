import { fromHex } from '@sealmesh/protocol/bytes'
import type { MailboxId } from '@sealmesh/protocol/ids'
import type { Sodium } from '@sealmesh/protocol/sodium'
import { decodeRevocation, signRevocation, verifyRevocation } from '@sealmesh/protocol/wire/revocation'
import {
  decodeTokenChain,
  encodeTokenChain,
  TOKEN_CHAIN_BYTES_MAX,
  verifyTokenChain,
} from '@sealmesh/protocol/wire/token'
import { LOGIN_BYTES_MAX } from '@sealmesh/protocol/limits'
import { encodeFrame } from '@sealmesh/protocol/wire/frame'
import { loadSodium } from '@sealmesh/sodium/load'
import { beforeAll, describe, expect, test } from 'vitest'
import { TestMesh } from '../relay/mesh.ts'

const NOW_MS = 1_700_000_000_000
let sodium: Sodium
let mesh: TestMesh
beforeAll(async () => {
  sodium = await loadSodium()
  mesh = new TestMesh(sodium, 'tokens')
})
const verify = (chain: Parameters<typeof verifyTokenChain>[0], nowMs = NOW_MS) =>
  verifyTokenChain(chain, mesh.id, nowMs, sodium)

describe('a chain of tokens', () => {
  test('is read as it was written, and holds', () => {
    const root = mesh.member('founder', { admin: true, expiresMs: NOW_MS + 5 })
    const second = mesh.member('second', { admin: true, by: root })
    const guest = mesh.member('guest', { by: second, invite: 'ab'.repeat(32) as MailboxId, expiresMs: NOW_MS + 9 })
    const chain = decodeTokenChain(encodeTokenChain(guest.chain))
    expect(chain.ok && chain.value).toEqual(guest.chain)
    expect(chain.ok && verify(chain.value)).toEqual({
      ok: true,
      value: {
        mesh: mesh.id,
        loginKey: guest.keys.publicKey,
        adminKey: null,
        kind: 'invite',
        mailbox: 'ab'.repeat(32),
        expiresMs: NOW_MS + 5,
        through: [root.sign.publicKey, second.sign.publicKey],
      },
    })
  })
  test('T-stranger-1: that has one bit changed anywhere is refused', () => {
    const root = mesh.member('founder', { admin: true })
    const bytes = encodeTokenChain(mesh.member('second', { by: root, expiresMs: NOW_MS + 5 }).chain)
    const accepted: number[] = []
    for (let bit = 0; bit < bytes.length * 8; bit++) {
      const changed = Uint8Array.from(bytes)
      changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (1 << (bit & 7))
      const chain = decodeTokenChain(changed)
      if (chain.ok && verify(chain.value).ok) accepted.push(bit)
    }
    expect(accepted).toEqual([])
  })
  test('that is cut anywhere is refused', () => {
    const bytes = encodeTokenChain(mesh.member('a').chain)
    for (let length = 1; length < bytes.length; length++)
      expect(decodeTokenChain(bytes.subarray(0, length)).ok).toBe(false)
  })
  test('T-stranger-1: does not hold for another mesh, in another order, with a link missing, or when empty', () => {
    const root = mesh.member('founder', { admin: true })
    const second = mesh.member('second', { admin: true, by: root })
    const third = mesh.member('third', { by: second })
    const other = new TestMesh(sodium, 'another mesh')
    expect(verifyTokenChain(third.chain, other.id, NOW_MS, sodium).ok).toBe(false)
    expect(verify(third.chain.toReversed()).ok).toBe(false)
    expect(verify(third.chain.slice(1)).ok).toBe(false)
    expect(verify([third.chain[0], third.chain[2]].flatMap((token) => token ?? [])).ok).toBe(false)
    expect(verify([]).ok).toBe(false)
    expect(verify(third.chain).ok).toBe(true)
  })
  test('of the greatest length fits a login before the relay knows its sender', () => {
    let member = mesh.member('0', { admin: true, expiresMs: NOW_MS * 2 })
    for (let i = 1; i < 8; i++) member = mesh.member(String(i), { admin: true, by: member, expiresMs: NOW_MS * 2 })
    const chain = encodeTokenChain(member.chain)
    expect(chain.length).toBeLessThanOrEqual(TOKEN_CHAIN_BYTES_MAX)
    const { nonce, signature } = { nonce: new Uint8Array(32), signature: member.chain[0]?.signature ?? fromHex('') }
    const claim = { proof: new Uint8Array(32), rootSignature: signature as never }
    const frame = {
      type: 'login',
      nonce,
      loginKey: member.keys.publicKey,
      chain,
      signature: signature as never,
      claim,
    } as const
    // A WebSocket frame's head and mask come on top.
    expect(encodeFrame(frame).length + 14).toBeLessThanOrEqual(LOGIN_BYTES_MAX)
  })
})

describe('a revocation', () => {
  test('T-stranger-3: holds when the root or an admin signed it, and not otherwise', () => {
    const admin = mesh.member('admin', { admin: true })
    const [plain, target] = [mesh.member('plain'), mesh.member('target')]
    const draft = { mesh: mesh.id, loginKey: target.keys.publicKey, adminKey: admin.sign.publicKey }
    const holds = (chain: typeof admin.chain, secret: Parameters<typeof signRevocation>[1]): boolean => {
      const decoded = decodeRevocation(signRevocation({ ...draft, chain }, secret, sodium))
      return decoded.ok && verifyRevocation(decoded.value, NOW_MS, sodium)
    }
    expect(holds([], mesh.root.secretKey)).toBe(true)
    expect(holds(admin.chain, admin.sign.secretKey)).toBe(true)
    expect(holds([], admin.sign.secretKey)).toBe(false)
    expect(holds(plain.chain, plain.sign.secretKey)).toBe(false)
    expect(holds(admin.chain, plain.sign.secretKey)).toBe(false)
  })
  test('T-stranger-3: that has one bit changed anywhere is refused', () => {
    const admin = mesh.member('admin', { admin: true })
    const { loginKey } = { loginKey: mesh.member('target').keys.publicKey }
    const bytes = signRevocation(
      { mesh: mesh.id, loginKey, adminKey: null, chain: admin.chain },
      admin.sign.secretKey,
      sodium,
    )
    const accepted: number[] = []
    for (let bit = 0; bit < bytes.length * 8; bit++) {
      const changed = Uint8Array.from(bytes)
      changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (1 << (bit & 7))
      const decoded = decodeRevocation(changed)
      if (decoded.ok && verifyRevocation(decoded.value, NOW_MS, sodium)) accepted.push(bit)
    }
    expect(accepted).toEqual([])
  })
})
