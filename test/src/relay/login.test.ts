import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { toHex } from '@sealmesh/protocol/bytes'
import type { Sodium } from '@sealmesh/protocol/sodium'
import { encodeTokenChain } from '@sealmesh/protocol/wire/token'
import { signRevocation } from '@sealmesh/protocol/wire/revocation'
import { loadSodium } from '@sealmesh/sodium/load'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { WebSocket, WebSocketServer } from 'ws'
import { BIN, runProgram } from '../processes/program.ts'
import { until } from '../processes/wait.ts'
import { type Member, TestMesh } from './mesh.ts'
import { type RunningRelay, startRelay, TestLink, temporaryDirectory, withRelayId } from './running-relay.ts'

/** Logging in to a real relay process: what works, and each refusal with its code. */
let sodium: Sodium
let mesh: TestMesh
let founder: Member
let relay: RunningRelay
const directory = temporaryDirectory()
const links: TestLink[] = []

const open = (member: Member, address = relay.address): TestLink => {
  const link = new TestLink(address, member, sodium)
  links.push(link)
  return link
}

beforeAll(async () => {
  sodium = await loadSodium()
  mesh = new TestMesh(sodium, `login ${process.pid}`)
  relay = await startRelay(directory.data)
  founder = mesh.member('founder', { admin: true, code: relay.claim ?? '' })
  await open(founder).live()
})
afterEach(async () => {
  await Promise.all(links.splice(0).map(({ link }) => link.close()))
})
afterAll(async () => {
  await relay.program.stop()
  directory.remove()
})

describe('a login', () => {
  test('is let in with tokens, and knows the relay again', async () => {
    const first = await open(mesh.member('second', { by: founder })).live()
    expect(first.events[0]).toEqual({ type: 'live', newGeneration: true })
    const again = new TestLink(relay.address, mesh.member('second', { by: founder }), sodium, undefined, first.seen)
    links.push(again)
    await again.live()
    expect(again.events[0]).toEqual({ type: 'live', newGeneration: false })
  })
  test('is refused with the reason, and dials again only where that can help', async () => {
    const stranger = new TestMesh(sodium, 'strangers')
    const cases: [Member, string, 'waiting' | 'refused'][] = [
      [mesh.member('no tokens', { bare: true }), 'TOKEN_INVALID', 'waiting'],
      [mesh.member('by nobody', { by: mesh.member('no admin') }), 'TOKEN_INVALID', 'waiting'],
      [mesh.member('old', { expiresMs: 1_000 }), 'TOKEN_EXPIRED', 'refused'],
      [stranger.member('founder', { admin: true }), 'CLAIM_REQUIRED', 'waiting'],
      [stranger.member('b', { by: stranger.member('founder', { admin: true }) }), 'MESH_NOT_ADMITTED', 'waiting'],
      [stranger.member('founder', { code: 'AAAAA-AAAAA-AAAAA-AAAAA' }), 'CLAIM_INVALID', 'refused'],
      [stranger.member('founder', { code: relay.claim ?? '' }), 'CLAIM_INVALID', 'refused'],
      [
        {
          ...founder,
          login: { ...founder.login, keys: { ...founder.keys, secretKey: stranger.member('x').keys.secretKey } },
        },
        'LOGIN_SIGNATURE',
        'refused',
      ],
    ]
    for (const [member, reason, state] of cases) {
      const link = open(member)
      expect(await link.refusal()).toBe(reason)
      expect(link.link.status).toMatchObject({ state, reason })
      expect(link.link.send(new Uint8Array(900))).toBe('down')
    }
  })
  test('with a new code from the command line admits another mesh, while the relay runs', async () => {
    const { objects, exit } = await runProgram(BIN.relay, ['claim', '--json', '--data', directory.data], {
      name: 'claim',
    })
    expect(exit.code).toBe(0)
    const other = new TestMesh(sodium, 'another mesh')
    await open(other.member('founder', { code: String(objects[0]?.['claim']) })).live()
  })
  test('of a removed node is refused from then on', async () => {
    const hub = await open(founder).live()
    const member = mesh.member('removed', { by: founder })
    const link = await open(member).live()
    const draft = { mesh: mesh.id, loginKey: member.keys.publicKey, adminKey: null, chain: founder.chain }
    await hub.link.revoke(signRevocation(draft, founder.sign.secretKey, sodium))
    expect(await link.refusal()).toBe('NODE_REVOKED')
    expect(link.link.status).toMatchObject({ state: 'refused', reason: 'NODE_REVOKED' })
    expect(await open(member).refusal()).toBe('NODE_REVOKED')
  })
  test('of an invite works when it was enrolled, and is refused politely for what it may not do', async () => {
    const hub = await open(founder).live()
    const guest = mesh.member('guest', { by: founder, invite: founder.mailbox, bare: true })
    await hub.link.enrol(encodeTokenChain(guest.chain))
    const link = await open(guest).live()
    await expect(link.link.enrol(encodeTokenChain(guest.chain))).rejects.toMatchObject({ code: 'NOT_ADMIN' })
    const packet = mesh.packet([founder.mailbox], Date.now() + 60_000)
    link.link.send(packet.bytes)
    expect(await link.answered(packet.id)).toBe('delivered')
  })
  test('of the same key twice idles the older one, which goes on when the newer leaves', async () => {
    const member = mesh.member('twice')
    const older = await open(member).live()
    const newer = await open(member).live()
    await until('the older is told', () => older.has('notice'))
    expect(older.link.status).toEqual({ state: 'refused', reason: 'DUPLICATE_LOGIN', nextTryAtMs: null })
    const hub = await open(founder).live()
    const first = mesh.packet([member.mailbox], Date.now() + 60_000)
    hub.link.send(first.bytes)
    await newer.received(1)
    expect(older.got).toEqual([])
    await newer.link.close()
    await older.live()
    const second = mesh.packet([member.mailbox], Date.now() + 60_000)
    hub.link.send(second.bytes)
    await until('the older has the second', () => older.got.some((packet) => toHex(packet) === toHex(second.bytes)))
    expect(older.events.filter(({ type }) => type === 'down')).toEqual([])
  })
})

describe('a node refuses', () => {
  test('T-network-1: a relay with another key than its address says', async () => {
    const link = open(founder, withRelayId(relay.address, '77'.repeat(32)))
    expect(await link.refusal()).toBe('RELAY_WRONG_KEY')
  })
  test('a relay of another version, and is refused by one', async () => {
    const server = new WebSocketServer({ port: 0, host: '127.0.0.1' })
    await once(server, 'listening')
    server.on('connection', (ws) => ws.send(Uint8Array.of(0x01, 2, 0xff)))
    const address = `ws://127.0.0.1:${(server.address() as AddressInfo).port}#relay=${'77'.repeat(32)}`
    expect(await open(founder, address).refusal()).toBe('VERSION_MISMATCH')
    server.close()

    const ws = new WebSocket(relay.address.replace(/#.*/, ''))
    await once(ws, 'message')
    const goodbye = once(ws, 'message')
    ws.send(Uint8Array.of(0x02, 9, 1, 2, 3))
    const [frame] = (await goodbye) as [Buffer]
    expect(frame.subarray(0, 2)).toEqual(Buffer.of(0x04, 17))
  })
  test('what is no relay, and what is not there', async () => {
    const web = createServer((_, response) => response.end('hello'))
    web.listen(0, '127.0.0.1')
    await once(web, 'listening')
    const port = (web.address() as AddressInfo).port
    expect(await open(founder, `ws://127.0.0.1:${port}#relay=${'77'.repeat(32)}`).refusal()).toBe('RELAY_UNREACHABLE')
    web.close()
    await once(web, 'close')
    const link = open(founder, `ws://127.0.0.1:${port}#relay=${'77'.repeat(32)}`)
    expect(await link.refusal()).toBe('RELAY_UNREACHABLE')
    expect(link.link.status.state).toBe('waiting')
    expect(link.link.status.nextTryAtMs).not.toBeNull()
  })
})

describe('a stranger', () => {
  test('T-stranger-4: may send no more than a login before it has logged in', async () => {
    const ws = new WebSocket(relay.address.replace(/#.*/, ''))
    ws.on('error', () => undefined)
    await once(ws, 'message')
    const closed = once(ws, 'close')
    ws.send(new Uint8Array(5_000))
    // Cut without a word: a stranger's bytes are not even looked at.
    expect((await closed)[0]).toBe(1006)
  })
  test('that says nothing is cut after five seconds', async () => {
    const ws = new WebSocket(relay.address.replace(/#.*/, ''))
    await once(ws, 'message')
    const startMs = performance.now()
    const [frame] = (await once(ws, 'message')) as [Buffer]
    expect(frame.subarray(0, 2)).toEqual(Buffer.of(0x04, 16))
    expect(performance.now() - startMs).toBeGreaterThan(3_500)
  })
})
