import type { Sodium } from '@sealmesh/protocol/sodium'
import { claimKeyOf } from '@sealmesh/protocol/wire/challenge'
import { encodeTokenChain, issueToken } from '@sealmesh/protocol/wire/token'
import { signRevocation } from '@sealmesh/protocol/wire/revocation'
import { keyName } from '@sealmesh/relay/core/key-name'
import { loadSodium } from '@sealmesh/sodium/load'
import { beforeEach, describe, expect, test } from 'vitest'
import { type Member, TestMesh } from './mesh.ts'
import { type Client, SimulatedRelay } from './simulated-relay.ts'

let sodium: Sodium
let relay: SimulatedRelay
let mesh: TestMesh
beforeEach(async () => {
  sodium = await loadSodium()
  relay = new SimulatedRelay(sodium)
  mesh = new TestMesh(sodium, 'admission')
})

const openClaim = (code: string): void => {
  relay.claims = [{ id: 'c1', key: claimKeyOf(code, sodium), expiresMs: relay.nowMs + 1_000 }]
}
const isIn = (client: Client): boolean => client.frame('welcome') !== undefined

describe('a mesh that the relay does not know', () => {
  test('is admitted by a claim code, typed in any case and without its dashes', () => {
    openClaim('ABCDE-FGHJK-MNPQR-STVWX')
    expect(isIn(relay.login(mesh.member('founder', { code: 'abcdefghjk mnpqrstvwx' })))).toBe(true)
  })
  test('is asked for a claim when its founder brings none, and to wait for its owner otherwise', () => {
    const founder = mesh.member('founder', { admin: true })
    expect(relay.login(founder).goodbye).toBe('CLAIM_REQUIRED')
    expect(relay.login(mesh.member('second', { by: founder })).goodbye).toBe('MESH_NOT_ADMITTED')
  })
  test('T-stranger-2: is refused with a wrong, used or expired code', () => {
    openClaim('ABCDE-FGHJK-MNPQR-STVWX')
    expect(relay.login(mesh.member('founder', { code: 'WRONG' })).goodbye).toBe('CLAIM_INVALID')
    relay.nowMs += 2_000
    expect(relay.login(mesh.member('founder', { code: 'ABCDE-FGHJK-MNPQR-STVWX' })).goodbye).toBe('CLAIM_INVALID')
    openClaim('ABCDE-FGHJK-MNPQR-STVWX')
    expect(isIn(relay.login(mesh.member('founder', { code: 'ABCDE-FGHJK-MNPQR-STVWX' })))).toBe(true)
    const other = new TestMesh(sodium, 'another mesh')
    expect(relay.login(other.member('founder', { code: 'ABCDE-FGHJK-MNPQR-STVWX' })).goodbye).toBe('CLAIM_INVALID')
  })
  test('stays admitted, and its code stays used, after a crash', () => {
    openClaim('CODE')
    relay.drop(relay.login(mesh.member('founder', { code: 'CODE' })))
    relay.crash()
    expect(isIn(relay.login(mesh.member('founder')))).toBe(true)
    const other = new TestMesh(sodium, 'another mesh')
    expect(relay.login(other.member('founder', { code: 'CODE' })).goodbye).toBe('CLAIM_INVALID')
  })
  test('T-stranger-2: cannot be claimed with the root signature of another', () => {
    openClaim('CODE')
    const other = new TestMesh(sodium, 'another mesh')
    const founder = mesh.member('founder')
    const thief: Member = {
      ...founder,
      login: { ...founder.login, claim: { code: 'CODE', rootKey: other.root.secretKey } },
    }
    expect(relay.login(thief).goodbye).toBe('CLAIM_INVALID')
  })
})

describe('a login', () => {
  beforeEach(() => relay.admit(mesh.id))

  test('is let in by tokens from the root, or through admins', () => {
    const founder = mesh.member('founder', { admin: true })
    const second = mesh.member('second', { admin: true, by: founder })
    for (const member of [founder, second, mesh.member('third', { by: second })])
      expect(isIn(relay.login(member))).toBe(true)
  })
  test('T-stranger-1: is refused when its tokens were issued by somebody who is no admin', () => {
    const founder = mesh.member('founder')
    expect(relay.login(mesh.member('second', { by: founder })).goodbye).toBe('TOKEN_INVALID')
  })
  test('T-stranger-1: is refused with the tokens of another login', () => {
    const [a, b] = [mesh.member('a'), mesh.member('b')]
    expect(relay.login({ ...a, login: { ...a.login, token: b.login.token } }).goodbye).toBe('TOKEN_INVALID')
  })
  test('T-stranger-1: is refused without tokens, when it was never enrolled', () => {
    expect(relay.login(mesh.member('stranger', { bare: true })).goodbye).toBe('TOKEN_INVALID')
  })
  test('is refused when its token, or one above it, has expired', () => {
    const expiresMs = relay.nowMs - 1
    expect(relay.login(mesh.member('late', { expiresMs })).goodbye).toBe('TOKEN_EXPIRED')
    const founder = mesh.member('founder', { admin: true, expiresMs })
    expect(relay.login(mesh.member('second', { by: founder })).goodbye).toBe('TOKEN_EXPIRED')
  })
  test('T-stranger-1: is refused when another key signed the challenge', () => {
    const [a, b] = [mesh.member('a'), mesh.member('b')]
    const keys = { publicKey: a.keys.publicKey, secretKey: b.keys.secretKey }
    expect(relay.login({ ...a, login: { ...a.login, keys } }).goodbye).toBe('LOGIN_SIGNATURE')
  })
  test('T-network-2: is refused when it answers the challenge of another connection', () => {
    const member = mesh.member('a')
    const first = relay.connect()
    first.answerAs(member)
    const answer = first.frames
    expect(answer).toHaveLength(1)
    const second = relay.connect()
    // The first connection's challenge, replayed to the second.
    second.frames.push(...first.frames.filter(({ type }) => type === 'challenge'))
    second.answerAs(member)
    expect(second.goodbye).toBe('LOGIN_SIGNATURE')
  })
  test('T-stranger-4: may say nothing but who it is until it is in, and has five seconds for it', () => {
    const early = relay.connect()
    early.say({ type: 'ping', number: 1 })
    expect(early.goodbye).toBe('FRAME_UNEXPECTED')
    const silent = relay.connect()
    relay.nowMs += 5_000
    relay.feed({ type: 'tick' })
    expect(silent.goodbye).toBe('HELLO_TIMEOUT')
  })
  test('sees a counter that grows with every session, crash or not', () => {
    const member = mesh.member('a')
    const counters: number[] = []
    for (let i = 0; i < 6; i++) {
      const client = relay.login(member)
      counters.push(client.frame('welcome')?.counter ?? 0)
      if (i % 2 === 1) relay.crash()
    }
    expect(counters).toEqual(counters.toSorted((a, b) => a - b))
    expect(new Set(counters).size).toBe(6)
  })
  test('is turned away when the disk cannot take its counter', () => {
    const client = relay.connect()
    client.answerAs(mesh.member('a'))
    relay.failCommit('DISK_FULL')
    expect(client.goodbye).toBe('DISK_FULL')
    expect(isIn(client)).toBe(false)
  })
})

describe('strangers from one address', () => {
  test('T-stranger-4: are refused after too many failures within a minute, while others are not', () => {
    relay.admit(mesh.id)
    const bad = mesh.member('stranger', { bare: true })
    for (let i = 0; i < 30; i++) expect(relay.login(bad, '203.0.113.9').goodbye).toBe('TOKEN_INVALID')
    expect(relay.login(bad, '203.0.113.9').goodbye).toBe('TOO_MANY_LOGINS')
    expect(isIn(relay.login(mesh.member('a'), '203.0.113.10'))).toBe(true)
    relay.nowMs += 60_000
    expect(isIn(relay.login(mesh.member('a'), '203.0.113.9'))).toBe(true)
  })
  test('T-stranger-4: may not hold more than a few connections open without a login', () => {
    relay.admit(mesh.id)
    const waiting = Array.from({ length: 64 }, () => relay.connect('203.0.113.9'))
    expect(relay.connect('203.0.113.9').goodbye).toBe('TOO_MANY_LOGINS')
    for (const client of waiting.slice(0, 2)) relay.drop(client)
    expect(isIn(relay.login(mesh.member('a'), '203.0.113.9'))).toBe(true)
  })
  test('do not count against nodes that log in well, however often', () => {
    relay.admit(mesh.id)
    const member = mesh.member('a')
    for (let i = 0; i < 100; i++) {
      const client = relay.login(member)
      expect(isIn(client)).toBe(true)
      relay.drop(client)
    }
  })
})

describe('an invite', () => {
  let inviter: Member
  let guest: Member
  let hub: Client
  beforeEach(() => {
    relay.admit(mesh.id)
    inviter = mesh.member('inviter', { admin: true })
    guest = mesh.member('guest', { by: inviter, invite: inviter.mailbox, expiresMs: relay.nowMs + 600_000, bare: true })
    hub = relay.login(inviter)
    hub.say({ type: 'enrol', request: 1, chain: encodeTokenChain(guest.chain) })
    relay.commit()
  })

  test('is enrolled by an admin, and then needs no tokens', () => {
    expect(hub.frame('done')).toEqual({ type: 'done', request: 1, reason: null })
    expect(isIn(relay.login(guest))).toBe(true)
  })
  test('is enrolled when its enrolment is durable, not before', () => {
    const second = mesh.member('guest 2', { by: inviter, invite: inviter.mailbox, bare: true })
    hub.say({ type: 'enrol', request: 2, chain: encodeTokenChain(second.chain) })
    expect(hub.frame('done')?.request).toBe(1)
    relay.commit()
    expect(hub.frame('done')).toEqual({ type: 'done', request: 2, reason: null })
    relay.crash()
    expect(isIn(relay.login(second))).toBe(true)
  })
  test('T-pairing-6: may write to its inviter, and to nobody else', () => {
    const other = mesh.member('other')
    relay.login(other)
    const client = relay.login(guest)
    const [good, bad] = [
      mesh.packet([inviter.mailbox], relay.nowMs + 1e6),
      mesh.packet([other.mailbox], relay.nowMs + 1e6),
    ]
    client.send(good.bytes, bad.bytes)
    expect([client.outcome(good.id), client.outcome(bad.id)]).toEqual(['delivered', 'RECIPIENT_FORBIDDEN'])
  })
  test('T-pairing-6: can let nobody in', () => {
    const client = relay.login(guest)
    client.say({ type: 'enrol', request: 9, chain: encodeTokenChain(mesh.member('friend').chain) })
    expect(client.frame('done')).toEqual({ type: 'done', request: 9, reason: 'NOT_ADMIN' })
  })
  test('ends when it expires, and is forgotten', () => {
    relay.nowMs += 600_001
    expect(relay.login(guest).goodbye).toBe('TOKEN_EXPIRED')
    relay.feed({ type: 'tick' })
    expect(relay.state.logins.has(keyName(guest.keys.publicKey, sodium))).toBe(false)
  })
  test('T-pairing-6: cannot be enrolled for another mesh, by a node that is no admin, or with a broken chain', () => {
    const other = new TestMesh(sodium, 'another mesh')
    hub.say({ type: 'enrol', request: 2, chain: encodeTokenChain(other.member('x').chain) })
    expect(hub.frame('done')?.reason).toBe('TOKEN_INVALID')
    const plain = mesh.member('plain')
    hub.say({ type: 'enrol', request: 3, chain: encodeTokenChain(mesh.member('y', { by: plain }).chain) })
    expect(hub.frame('done')?.reason).toBe('TOKEN_INVALID')
    hub.say({ type: 'enrol', request: 4, chain: new Uint8Array([9, 9, 9]) })
    expect(hub.frame('done')?.reason).toBe('TOKEN_INVALID')
  })
})

describe('a removed node', () => {
  let admin: Member
  let second: Member
  let hub: Client
  const revoke = (member: Member, by: Member, adminKey: Member['sign']['publicKey'] | null = null): Uint8Array =>
    signRevocation(
      { mesh: mesh.id, loginKey: member.keys.publicKey, adminKey, chain: by.chain },
      by.sign.secretKey,
      sodium,
    )
  beforeEach(() => {
    relay.admit(mesh.id)
    admin = mesh.member('admin', { admin: true })
    second = mesh.member('second', { by: admin })
    hub = relay.login(admin)
  })

  test('T-revoked-4: is cut, refused from then on, and after a crash too', () => {
    const client = relay.login(second)
    hub.say({ type: 'revoke', request: 1, revocation: revoke(second, admin) })
    expect(client.goodbye).toBe('NODE_REVOKED')
    relay.commit()
    expect(hub.frame('done')).toEqual({ type: 'done', request: 1, reason: null })
    expect(relay.login(second).goodbye).toBe('NODE_REVOKED')
    relay.crash()
    expect(relay.login(second).goodbye).toBe('NODE_REVOKED')
  })
  test('T-revoked-4: leaves nothing of what it was reading, and can read nothing that is sent after', () => {
    const reading = relay.login(second)
    const packet = mesh.packet([second.mailbox], relay.nowMs + 1e6)
    hub.send(packet.bytes)
    expect(reading.got).toHaveLength(1)
    hub.say({ type: 'revoke', request: 1, revocation: revoke(second, admin) })
    relay.commit()
    relay.crash()
    expect(relay.mailbox(second.mailbox)).toBeUndefined()
    hub = relay.login(admin)
    const after = mesh.packet([second.mailbox], relay.nowMs + 1e6)
    hub.send(after.bytes)
    relay.settle()
    const back = relay.login(second)
    back.say({ type: 'open', secrets: [second.mailboxSecret] })
    relay.settle()
    expect([back.goodbye, back.got]).toEqual(['NODE_REVOKED', []])
  })
  test('T-stranger-3: is removed by an admin, not by any node, and not by a word for another mesh', () => {
    hub.say({ type: 'revoke', request: 1, revocation: revoke(admin, second) })
    expect(hub.frame('done')?.reason).toBe('NOT_ADMIN')
    const other = new TestMesh(sodium, 'another mesh')
    const foreign = signRevocation(
      { mesh: other.id, loginKey: second.keys.publicKey, adminKey: null, chain: [] },
      other.root.secretKey,
      sodium,
    )
    hub.say({ type: 'revoke', request: 2, revocation: foreign })
    expect(hub.frame('done')?.reason).toBe('TOKEN_INVALID')
    expect(isIn(relay.login(second))).toBe(true)
  })
  test('that was an admin takes its open invites along, and lets nobody new in; those that are in stay', () => {
    const bad = mesh.member('bad', { by: admin, admin: true })
    const inside = mesh.member('inside', { by: bad })
    relay.login(inside)
    const client = relay.login(bad)
    const guest = mesh.member('guest', { by: bad, invite: bad.mailbox, bare: true })
    client.say({ type: 'enrol', request: 1, chain: encodeTokenChain(guest.chain) })
    relay.commit()
    hub.say({ type: 'revoke', request: 1, revocation: revoke(bad, admin, bad.sign.publicKey) })
    relay.commit()
    expect(relay.login(guest).goodbye).toBe('TOKEN_INVALID')
    expect(relay.login(mesh.member('new', { by: bad })).goodbye).toBe('NODE_REVOKED')
    expect(isIn(relay.login(inside))).toBe(true)
  })
  test('may be named by a removed admin: two who remove each other are both out', () => {
    const a = mesh.member('a', { by: admin, admin: true })
    const b = mesh.member('b', { by: admin, admin: true })
    relay.login(a)
    relay.login(b)
    hub.say({ type: 'revoke', request: 1, revocation: revoke(b, a, b.sign.publicKey) })
    hub.say({ type: 'revoke', request: 2, revocation: revoke(a, b, a.sign.publicKey) })
    relay.commit()
    expect([relay.login(a).goodbye, relay.login(b).goodbye]).toEqual(['NODE_REVOKED', 'NODE_REVOKED'])
  })
  test('that is an invite is told so, without tokens', () => {
    const guest = mesh.member('guest', { by: admin, invite: admin.mailbox, bare: true })
    hub.say({ type: 'enrol', request: 1, chain: encodeTokenChain(guest.chain) })
    hub.say({ type: 'revoke', request: 2, revocation: revoke(guest, admin) })
    relay.commit()
    expect(relay.login(guest).goodbye).toBe('NODE_REVOKED')
  })
})

test('T-peer-6: a mesh has a bound of logins, and those that are known still come in', () => {
  relay = new SimulatedRelay(sodium, { meshLoginsMax: 2 })
  relay.admit(mesh.id)
  expect(isIn(relay.login(mesh.member('a')))).toBe(true)
  expect(isIn(relay.login(mesh.member('b')))).toBe(true)
  expect(relay.login(mesh.member('c')).goodbye).toBe('QUOTA_NODES')
  expect(isIn(relay.login(mesh.member('a')))).toBe(true)
})

test('T-peer-6: a mesh has a bound of connections, and those that end make room', () => {
  relay = new SimulatedRelay(sodium, { meshConnectionsMax: 2 })
  relay.admit(mesh.id)
  const first = relay.login(mesh.member('a'))
  expect([isIn(first), isIn(relay.login(mesh.member('a')))]).toEqual([true, true])
  expect(relay.login(mesh.member('b')).goodbye).toBe('TOO_MANY_LOGINS')
  relay.drop(first)
  expect(isIn(relay.login(mesh.member('b')))).toBe(true)
})

test('T-stranger-5: a login key belongs to one mesh: another cannot take it over', () => {
  const other = new TestMesh(sodium, 'another mesh')
  relay.admit(mesh.id)
  relay.admit(other.id)
  const mine = mesh.member('a')
  relay.login(mine)
  const draft = {
    mesh: other.id,
    loginKey: mine.keys.publicKey,
    adminKey: null,
    kind: 'node',
    mailbox: null,
    expiresMs: 0,
  } as const
  const token = encodeTokenChain([issueToken(draft, 'root', other.root.secretKey, sodium)])
  expect(relay.login({ ...mine, login: { ...mine.login, mesh: other.id, token } }).goodbye).toBe('TOKEN_INVALID')
})
