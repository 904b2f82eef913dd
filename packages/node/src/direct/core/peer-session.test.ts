import { packetIdAt } from '@sealmesh/protocol/envelope/header'
import type { NodeId, RelayId } from '@sealmesh/protocol/ids'
import type { KeyPair, LoginPublicKey } from '@sealmesh/protocol/keys'
import { acceptMessage, loginMessage } from '@sealmesh/protocol/wire/challenge'
import type { Frame, FrameOf } from '@sealmesh/protocol/wire/frame'
import { loadSodium } from '@sealmesh/sodium/load'
import { expect, test } from 'vitest'
import { IN_HAND_BYTES_MAX, SILENCE_MS_MAX, UNACKED_BYTES_MAX } from './direct-limits.ts'
import { PeerSession, type SessionEffect } from './peer-session.ts'
import { mailboxOf, packetTo } from './test-packet.ts'

const sodium = await loadSodium()
const keysOf = (byte: number): KeyPair<LoginPublicKey, 'login'> => {
  const { publicKey, secretKey } = sodium.signKeys('login', new Uint8Array(32).fill(byte))
  return { publicKey: publicKey as Uint8Array as LoginPublicKey, secretKey }
}

const ME = keysOf(1)
const OTHER = keysOf(2)
const PEER = 'bb'.repeat(32) as NodeId
const MINE = mailboxOf(7)
const THEIRS = mailboxOf(8)
const id = 'cd'.repeat(32) as RelayId
const nonce = new Uint8Array(32).fill(3)
const generation = new Uint8Array(16).fill(4)
const nodeNonce = new Uint8Array(32).fill(5)

function greeting(member: PeerSession['peer'] | 'removed' = PEER) {
  return new PeerSession(
    {
      id,
      nonce,
      generation,
      secret: ME.secretKey,
      sodium,
      member: (key) => (Buffer.from(key).equals(OTHER.publicKey) ? member : undefined),
      isOwnMailbox: (mailbox) => mailbox === MINE,
    },
    0,
  )
}

function loginOf(keys: KeyPair<LoginPublicKey, 'login'>, at: Uint8Array = generation): FrameOf<'login'> {
  const chain = new Uint8Array()
  const message = loginMessage({ relay: id, relayNonce: nonce, generation: at, nodeNonce, chain })
  return {
    type: 'login',
    nonce: nodeNonce,
    loginKey: keys.publicKey,
    chain,
    signature: sodium.sign(message, keys.secretKey),
    claim: null,
  }
}

function live(): PeerSession {
  const session = greeting()
  session.hear(loginOf(OTHER), 0)
  return session
}

const framesIn = (effects: readonly SessionEffect[]): Frame[] =>
  effects.flatMap((effect) => (effect.type === 'frame' ? [effect.frame] : []))
const typesOf = (effects: readonly SessionEffect[]): string[] => effects.map(({ type }) => type)
const goodbyeIn = (effects: readonly SessionEffect[]) =>
  framesIn(effects).flatMap((frame) => (frame.type === 'goodbye' ? [frame.reason] : []))
const send = (...packets: Uint8Array[]): Frame => ({ type: 'send', packets })

test('a member is let in, and told so with the key of the machine that it dialled', () => {
  const session = greeting()
  expect(session.challenge()).toEqual({ type: 'challenge', relay: id, nonce, generation })
  const effects = session.hear(loginOf(OTHER), 0)
  expect(typesOf(effects)).toEqual(['frame', 'live'])
  const [welcome] = framesIn(effects) as [FrameOf<'welcome'>]
  const said = { relay: id, nodeNonce, loginKey: OTHER.publicKey, generation, counter: welcome.counter }
  expect(sodium.verify(welcome.signature, acceptMessage(said), ME.publicKey)).toBe(true)
  expect(session.peer).toBe(PEER)
})

test('nobody else is: strangers, the removed, a forged login, one for another TLS session', () => {
  expect(goodbyeIn(greeting().hear(loginOf(keysOf(9)), 0))).toEqual(['TOKEN_INVALID'])
  expect(goodbyeIn(greeting('removed').hear(loginOf(OTHER), 0))).toEqual(['NODE_REVOKED'])
  const forged = { ...loginOf(OTHER), signature: loginOf(keysOf(9)).signature }
  expect(goodbyeIn(greeting().hear(forged, 0))).toEqual(['LOGIN_SIGNATURE'])
  expect(goodbyeIn(greeting().hear(loginOf(OTHER, new Uint8Array(16)), 0))).toEqual(['LOGIN_SIGNATURE'])
})

test('before its login a stranger may say nothing else, and not for long', () => {
  expect(goodbyeIn(greeting().hear(send(packetTo(MINE, 1)), 0))).toEqual(['FRAME_UNEXPECTED'])
  const session = greeting()
  expect(session.tick(4_999)).toEqual([])
  expect(goodbyeIn(session.tick(5_000))).toEqual(['HELLO_TIMEOUT'])
  expect(session.hear(loginOf(OTHER), 5_001)).toEqual([])
})

test('a packet for this node is answered when its fate is durable, one for others at once with a refusal', () => {
  const session = live()
  const packet = packetTo(MINE, 1)
  const effects = session.hear(send(packet, packetTo(THEIRS, 2)), 0)
  expect(effects).toEqual([
    { type: 'take', id: packetIdAt(packet), packet },
    {
      type: 'frame',
      frame: {
        type: 'answer',
        answers: [
          {
            packet: packetIdAt(packetTo(THEIRS, 2)),
            outcomes: [{ outcome: 'refused', reason: 'RECIPIENT_FORBIDDEN' }],
          },
        ],
      },
    },
  ])
  expect(framesIn(session.taken(packetIdAt(packet)))).toEqual([
    { type: 'answer', answers: [{ packet: packetIdAt(packet), outcomes: [{ outcome: 'delivered' }] }] },
  ])
  expect(session.taken(packetIdAt(packet))).toEqual([])
})

test('more than this node has made durable is not read', () => {
  const session = live()
  const size = 200_000
  let number = 0
  let effects: SessionEffect[] = []
  while (!typesOf(effects).includes('pause')) {
    effects = session.hear(send(packetTo(MINE, (number += 1), size)), 0)
    expect(number * size).toBeLessThan(IN_HAND_BYTES_MAX + 2 * size)
  }
  // Nothing is read of it meanwhile: its silence says nothing.
  expect(session.tick(SILENCE_MS_MAX)).toEqual([])
  let resumed = 0
  for (let at = 1; at <= number; at++)
    if (typesOf(session.taken(packetIdAt(packetTo(MINE, at)))).includes('resume')) resumed += 1
  expect(resumed).toBe(1)
})

test('what it hands over counts when the peer acknowledges it, and no more is handed over than it takes', () => {
  const session = live()
  const size = 200_000
  const ids = Array.from({ length: 30 }, (_, at) => packetTo(THEIRS, at, size)).map((packet) => ({
    id: packetIdAt(packet),
    ...session.send(packetIdAt(packet), packet),
  }))
  const sent = ids.filter((each) => each.sent === 'sent')
  expect(sent.length).toBe(Math.floor(UNACKED_BYTES_MAX / size))
  expect(ids.at(-1)).toMatchObject({ sent: 'full', effects: [] })
  expect(session.hear({ type: 'ack', sequence: 2 }, 0)).toEqual([{ type: 'delivered', ids: [ids[0]!.id, ids[1]!.id] }])
  expect(typesOf(session.hear({ type: 'ack', sequence: sent.length }, 0))).toEqual(['delivered', 'room'])
  expect(session.hear({ type: 'ack', sequence: sent.length }, 0)).toEqual([])
  expect(goodbyeIn(session.hear({ type: 'ack', sequence: sent.length + 1 }, 0))).toEqual(['FRAME_UNEXPECTED'])
  expect(session.send(ids[0]!.id, packetTo(THEIRS, 1)).sent).toBe('down')
})

test('it does nothing else that a relay does', () => {
  const frames: Frame[] = [
    { type: 'open', secrets: [new Uint8Array(32)] },
    { type: 'enrol', request: 1, chain: new Uint8Array() },
    { type: 'vaultList', request: 1 },
    { type: 'deliver', packets: [{ sequence: 1, packet: packetTo(MINE, 1) }] },
    loginOf(OTHER),
  ]
  for (const frame of frames) expect(goodbyeIn(live().hear(frame, 0))).toEqual(['FRAME_UNEXPECTED'])
  expect(goodbyeIn(live().hear(send(new Uint8Array(800)), 0))).toEqual(['FRAME_MALFORMED'])
})

test('a peer of which nothing is heard is hung up on', () => {
  const session = live()
  expect(framesIn(session.hear({ type: 'ping', number: 3 }, 1_000))).toEqual([{ type: 'pong', number: 3 }])
  session.alive(2_000)
  expect(session.tick(SILENCE_MS_MAX + 1_999)).toEqual([])
  expect(typesOf(session.tick(SILENCE_MS_MAX + 2_000))).toEqual(['frame', 'end'])
})
