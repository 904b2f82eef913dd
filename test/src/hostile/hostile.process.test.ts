import { connect } from 'node:net'
import type { Sodium } from '@sealmesh/protocol/sodium'
import { loadSodium } from '@sealmesh/sodium/load'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { until, within } from '../processes/wait.ts'
import { TestMesh } from '../relay/mesh.ts'
import {
  connectionsAre,
  portOf,
  type RunningRelay,
  startRelay,
  temporaryDirectory,
  TestLink,
} from '../relay/running-relay.ts'
import { Attack, ATTACKS, type AttackKind, UPGRADE } from './attack.ts'

/** A slice of `pnpm bench relay-hostile`, which measures what these cost others. */
const CONNECTIONS = 150
const PACKETS = 20
/** Strangers have five seconds for a handshake, for a request and for a login; Node alone gives them half a minute. */
const ENDED_WITHIN_MS = 25_000

let sodium: Sodium
let directory: ReturnType<typeof temporaryDirectory>
let relay: RunningRelay
const links: TestLink[] = []

async function start(...flags: readonly string[]): Promise<void> {
  relay = await startRelay(directory.data, ...flags)
}

beforeEach(async () => {
  sodium = await loadSodium()
  directory = temporaryDirectory()
})
afterEach(async () => {
  await Promise.all(links.splice(0).map(({ link }) => link.close()))
  await relay.program.kill()
  directory.remove()
})

/** Sender and reader, and packets that go from one to the other while it lasts. */
async function honestTraffic(): Promise<() => Promise<void>> {
  const mesh = new TestMesh(sodium, 'hostile')
  const [alice, bob] = [mesh.member('alice', { code: relay.claim ?? '' }), mesh.member('bob')]
  const sender = new TestLink(relay.address, alice, sodium, relay.claim ?? '')
  links.push(sender)
  await sender.live()
  const reader = new TestLink(relay.address, bob, sodium)
  links.push(reader)
  await reader.live()
  return async () => {
    for (let i = 0; i < PACKETS; i++) {
      const packet = mesh.packet([bob.mailbox], Date.now() + 3_600_000)
      expect(sender.link.send(packet.bytes)).toBe('sent')
      expect(await sender.answered(packet.id)).toBe('delivered')
    }
  }
}

describe('beside strangers who mean ill', () => {
  const plain = ATTACKS.filter((kind) => kind !== 'tls-silent')
  test('nodes go on, whatever they do, and the relay is rid of them when they leave', async () => {
    await start()
    const talk = await honestTraffic()
    for (const kind of plain) {
      const attack = new Attack(kind, { port: Number(portOf(relay)), connections: CONNECTIONS, addresses: 5 })
      try {
        while (attack.opened < CONNECTIONS) await talk()
        await talk()
      } finally {
        attack.stop()
      }
      await connectionsAre(relay, 2)
    }
    expect(relay.program.running).toBe(true)
  })
  test('nodes go on beside handshakes of TLS that never end', async () => {
    await start('--tls', 'self-signed', '--public-host', '127.0.0.1')
    const talk = await honestTraffic()
    const port = Number(portOf(relay))
    const attack = new Attack('tls-silent', { port, connections: CONNECTIONS, addresses: 5 })
    while (attack.opened < CONNECTIONS) await talk()
    attack.stop()
    await ends(port, 'tls-silent')
  })
  test('one that says too little is hung up on', async () => {
    await start()
    const port = Number(portOf(relay))
    const slow: AttackKind[] = ['tcp-silent', 'http-drip', 'ws-silent', 'ws-drip']
    await Promise.all(slow.map((kind) => ends(port, kind)))
  })
  test('an address that fails again and again is not even greeted, and others are', async () => {
    await start()
    const port = Number(portOf(relay))
    const attack = new Attack('ws-garbage', { port, connections: 40, addresses: 1 })
    try {
      // Each that is opened again has failed before: more of them than an address may in a minute.
      await until('enough have failed', () => attack.opened >= 40 + 35)
      const heard = await answerTo(port, '127.0.3.1')
      expect([heard, (await answerTo(port, '127.0.3.2')).startsWith('HTTP/1.1 101')]).toEqual(['', true])
    } finally {
      attack.stop()
    }
  })
  test('of one address, more than a few hundred that have not logged in are not let in', async () => {
    await start()
    const sockets = Array.from({ length: 300 }, () => connect({ host: '127.0.0.1', port: Number(portOf(relay)) }))
    const closed = new Promise<void>((resolve) => {
      let count = 0
      for (const socket of sockets) {
        socket.on('error', () => undefined)
        socket.on('close', () => {
          count += 1
          if (count === 300 - 256) resolve()
        })
        socket.resume()
      }
    })
    await within(closed, 4_000, () => 'they were all let in')
    expect(sockets.filter(({ closed: gone }) => !gone).length).toBe(256)
    for (const socket of sockets) socket.destroy()
  })
})

/** What an upgrade from this address is answered first; nothing when it is hung up on. */
async function answerTo(port: number, localAddress: string): Promise<string> {
  const socket = connect({ host: '127.0.0.1', port, localAddress })
  socket.on('error', () => undefined)
  socket.write(UPGRADE)
  // A reset is a way to hang up.
  const heard = await new Promise<string>((resolve) => {
    socket.once('data', (bytes) => resolve(bytes.toString('latin1')))
    socket.once('close', () => resolve(''))
  })
  socket.destroy()
  return heard
}

/** A single one of this kind. */
async function ends(port: number, kind: AttackKind): Promise<void> {
  const attack = new Attack(kind, { port, connections: 1, addresses: 1 })
  try {
    await until(`${kind} was ended`, () => attack.ended > 0, ENDED_WITHIN_MS)
  } finally {
    attack.stop()
  }
}
