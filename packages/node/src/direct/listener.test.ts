import { once } from 'node:events'
import { connect as connectTcp } from 'node:net'
import { connect as connectTls, createServer as createTlsServer, type TLSSocket } from 'node:tls'
import type { MeshId, NodeId, RecordHash } from '@sealmesh/protocol/ids'
import type { KeyPair, LoginPublicKey } from '@sealmesh/protocol/keys'
import type { Mesh, MeshNode } from '@sealmesh/protocol/membership/mesh'
import { loginMessage } from '@sealmesh/protocol/wire/challenge'
import { decodeFrame, encodeFrame, type Frame, type FrameOf } from '@sealmesh/protocol/wire/frame'
import { OwnMailboxes } from '@sealmesh/protocol/envelope/daily-mailboxes'
import { loadSodium } from '@sealmesh/sodium/load'
import { afterEach, expect, test } from 'vitest'
import { WebSocket } from 'ws'
import { makeCertificate } from './certificate.ts'
import { ADDRESS_STRANGERS_MAX } from './core/direct-limits.ts'
import { Dialler } from './dialler.ts'
import { DirectLinks } from './direct-links.ts'
import { Listener } from './listener.ts'
import { Members } from './members.ts'

const sodium = await loadSodium()
const certificate = await makeCertificate(Date.now())
const MESH = 'ee'.repeat(32) as MeshId
const FOUND = 'ff'.repeat(32) as RecordHash
const HOME = '11'.repeat(32) as NodeId
const OFFICE = '22'.repeat(32) as NodeId
const quiet = { info: () => undefined, warn: () => undefined }

function keysOf(byte: number): KeyPair<LoginPublicKey, 'login'> {
  const { publicKey, secretKey } = sodium.signKeys('login', new Uint8Array(32).fill(byte))
  return { publicKey: publicKey as Uint8Array as LoginPublicKey, secretKey }
}
const KEYS = new Map([
  [HOME, keysOf(1)],
  [OFFICE, keysOf(2)],
])

function membersOf(node: NodeId, found = FOUND): Members {
  const nodes = [...KEYS].map(
    ([id, { publicKey }]) => [id, { id, loginKey: publicKey, revocations: [], prekeys: [] }] as const,
  )
  const records = new Map([[found, { body: { type: 'found' } }]])
  const mesh = {
    id: MESH,
    nodes: new Map(nodes as unknown as [NodeId, MeshNode][]),
    records,
    voided: new Map(),
  } as unknown as Mesh
  const login = KEYS.get(node)!
  const mailboxes = new OwnMailboxes(login.secretKey, sodium)
  return Members.of({ node, login, mailboxes, mesh: () => mesh, sodium, now: Date.now })!
}

const closers: (() => unknown)[] = []
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close()
})

async function listening(node: NodeId = HOME) {
  const links = new DirectLinks(node)
  const monotonicMs = (): number => performance.now()
  const listen = { host: '127.0.0.1', port: 0 }
  const listener = await Listener.open({
    listen,
    certificate,
    members: membersOf(node),
    links,
    log: quiet,
    monotonicMs,
  })
  closers.push(() => listener.close())
  return { links, listener }
}

/** From the office to this port; resolves to the first thing that becomes of it. */
async function dialled(port: number, members = membersOf(OFFICE), node: NodeId | null = HOME): Promise<string> {
  const links = new DirectLinks(OFFICE)
  const dialler = new Dialler({ members, links, node: OFFICE, mesh: MESH, log: quiet, dice: () => 1 })
  closers.push(() => dialler.close())
  const up = new Promise<string>((resolve) => {
    links.onUp = (peer) => resolve(`up ${peer === HOME ? 'home' : 'other'}`)
  })
  dialler.add({ url: `wss://127.0.0.1:${port}`, node, from: 'config' })
  const refused = (async () => {
    for (;;) {
      const reason = dialler.status()[0]?.reason
      if (reason != null) return reason
      await new Promise((resolve) => setTimeout(resolve, 10))
    }
  })()
  return Promise.race([up, refused])
}

/** A stranger with a WebSocket of its own. */
class Stranger {
  readonly ws: WebSocket
  readonly #frames: Frame[] = []
  readonly closed: Promise<unknown>

  constructor(port: number) {
    this.ws = new WebSocket(`wss://127.0.0.1:${port}`, { rejectUnauthorized: false, perMessageDeflate: false })
    this.ws.on('error', () => undefined)
    this.closed = new Promise((resolve) => this.ws.once('close', resolve))
    this.ws.on('message', (data) => {
      const frame = decodeFrame(data as Uint8Array)
      if (frame.ok) this.#frames.push(frame.value)
    })
    closers.push(() => this.ws.terminate())
  }

  async frame<Type extends Frame['type']>(type: Type): Promise<FrameOf<Type>> {
    for (;;) {
      const found = this.#frames.find((frame) => frame.type === type)
      if (found !== undefined) return found as FrameOf<Type>
      if (this.ws.readyState === WebSocket.CLOSED) throw new Error(`closed without ${type}`)
      await new Promise((resolve) => setTimeout(resolve, 5))
    }
  }
}

test('members know each other, in both directions', async () => {
  const { links, listener } = await listening()
  expect(await dialled(listener.port)).toBe('up home')
  expect(links.to(OFFICE)?.dialledBy).toBe('there')
})

test('when both dial at the same moment, one link stays at both ends, and nobody goes on dialling', async () => {
  const [home, office] = [await listening(HOME), await listening(OFFICE)]
  const sides = [
    { node: HOME, members: membersOf(HOME), links: home.links, to: OFFICE, port: office.listener.port },
    { node: OFFICE, members: membersOf(OFFICE), links: office.links, to: HOME, port: home.listener.port },
  ]
  for (let round = 0; round < 10; round++) {
    const diallers = sides.map(({ node, members, links, to, port }) => {
      const dialler = new Dialler({ members, links, node, mesh: MESH, log: quiet, dice: () => 0.1 })
      links.onChange = () => dialler.review()
      dialler.add({ url: `wss://127.0.0.1:${port}`, node: to, from: 'config' })
      return dialler
    })
    const isSettled = (): boolean => {
      const [here, there] = [home.links.to(OFFICE)?.dialledBy, office.links.to(HOME)?.dialledBy]
      return here !== undefined && there !== undefined && here !== there && diallers.every(isAtRest)
    }
    while (!isSettled()) await new Promise((resolve) => setTimeout(resolve, 5))
    await Promise.all(diallers.map((each) => each.close()))
    while (home.links.size + office.links.size > 0) await new Promise((resolve) => setTimeout(resolve, 5))
  }
})

const isAtRest = (dialler: Dialler): boolean =>
  dialler.status().every(({ state }) => state === 'live' || state === 'not needed')

test('whoever is there at an address that was found says it himself', async () => {
  const { listener } = await listening()
  expect(await dialled(listener.port, undefined, null)).toBe('up home')
})

test('another machine than the one that the address names is not spoken with, nor one of another mesh', async () => {
  const { links, listener } = await listening()
  expect(await dialled(listener.port, undefined, '33'.repeat(32) as NodeId)).toBe('PEER_WRONG_KEY')
  expect(await dialled(listener.port, membersOf(OFFICE, 'ab'.repeat(32) as RecordHash), null)).toBe('PEER_WRONG_KEY')
  expect(links.size).toBe(0)
})

test('T-network-1: who ends TLS between two machines gets no login, though he hands on every byte', async () => {
  const { links, listener } = await listening()
  const other = await makeCertificate(Date.now())
  const between = createTlsServer({ key: other.key, cert: other.cert }, (socket) => {
    const onward: TLSSocket = connectTls({ port: listener.port, host: '127.0.0.1', rejectUnauthorized: false })
    for (const each of [socket, onward]) each.on('error', () => undefined)
    socket.pipe(onward).pipe(socket)
  })
  between.listen(0, '127.0.0.1')
  await once(between, 'listening')
  closers.push(() => between.close())
  expect(await dialled((between.address() as { port: number }).port)).toBe('PEER_WRONG_KEY')
  expect(links.size).toBe(0)
})

test('T-stranger-1: a stranger hears two different names in two challenges, and no login of his own is taken', async () => {
  const { links, listener } = await listening()
  const strangers = [new Stranger(listener.port), new Stranger(listener.port)]
  const [one, other] = await Promise.all(strangers.map((each) => each.frame('challenge')))
  expect(one!.relay).not.toBe(other!.relay)
  const keys = keysOf(9)
  const { relay, nonce: relayNonce, generation } = one!
  const [nonce, chain] = [new Uint8Array(32), new Uint8Array()]
  const message = loginMessage({ relay, relayNonce, generation, nodeNonce: nonce, chain })
  const signature = sodium.sign(message, keys.secretKey)
  strangers[0]!.ws.send(encodeFrame({ type: 'login', nonce, loginKey: keys.publicKey, chain, signature, claim: null }))
  expect((await strangers[0]!.frame('goodbye')).reason).toBe('TOKEN_INVALID')
  await strangers[0]!.closed
  // A login that was made for one challenge is none for another.
  strangers[1]!.ws.send(encodeFrame({ type: 'login', nonce, loginKey: keys.publicKey, chain, signature, claim: null }))
  expect((await strangers[1]!.frame('goodbye')).reason).toBe('LOGIN_SIGNATURE')
  expect(links.size).toBe(0)
})

test('T-stranger-4: at the port of a node strangers may say little, and hold few connections; members come in beside them', async () => {
  const { listener } = await listening()
  const talker = new Stranger(listener.port)
  await talker.frame('challenge')
  // A message that never ends, so that nobody can find fault with it.
  talker.ws.send(new Uint8Array(8_192), { fin: false })
  await talker.closed
  await expect(talker.frame('goodbye')).rejects.toThrow('closed')
  const held = Array.from({ length: ADDRESS_STRANGERS_MAX }, () => new Stranger(listener.port))
  await Promise.all(held.map((each) => each.frame('challenge')))
  const late = new Stranger(listener.port)
  await late.closed
  await expect(late.frame('challenge')).rejects.toThrow('closed')
  held[0]!.ws.terminate()
  held[1]!.ws.terminate()
  await Promise.all([held[0]!.closed, held[1]!.closed])
  expect(await dialled(listener.port)).toBe('up home')
})

test('who says nothing is told so after five seconds', async () => {
  const { listener } = await listening()
  const silent = new Stranger(listener.port)
  // Those who do not even say that they want TLS, or then what they want, are hung up on.
  const mute = [
    connectTcp(listener.port, '127.0.0.1'),
    connectTls({ port: listener.port, host: '127.0.0.1', rejectUnauthorized: false }),
  ]
  const gone = mute.map(
    (socket) =>
      new Promise((resolve) =>
        socket
          .on('error', () => undefined)
          .resume()
          .once('close', resolve),
      ),
  )
  expect((await silent.frame('goodbye')).reason).toBe('HELLO_TIMEOUT')
  await Promise.all([silent.closed, ...gone])
}, 30_000)

test('it is no web server', async () => {
  const { listener } = await listening()
  const socket = connectTls({ port: listener.port, host: '127.0.0.1', rejectUnauthorized: false })
  socket.on('error', () => undefined)
  socket.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n')
  const [answer] = (await once(socket, 'data')) as [Buffer]
  expect(answer.toString()).toMatch(/^HTTP\/1.1 426 /)
  socket.destroy()
})
