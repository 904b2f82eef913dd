import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'
import { PassThrough } from 'node:stream'
import { expect, onTestFinished, test } from 'vitest'
import { Slabs } from '../core/slabs.ts'
import { Outgoing } from './outgoing.ts'
import { Scratch } from './scratch.ts'

const PACKET_BYTES = 16_384

/** As a connection's packets leave: written as they stand, from memory that others will use. */
function outgoingTo(socket: Socket | PassThrough, slabs: Slabs): Outgoing {
  const send = (parts: readonly Uint8Array[]): void => {
    for (const part of parts) socket.write(part)
  }
  return new Outgoing({ send }, socket, new Scratch(), slabs, () => 8_388_608)
}

test('what a reader acknowledges before it has left stays as it is until it has', async () => {
  const server = createServer()
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const near = connect((server.address() as { port: number }).port, '127.0.0.1')
  const [[far]] = (await Promise.all([once(server, 'connection'), once(near, 'connect')])) as [[Socket], unknown]
  onTestFinished(() => {
    near.destroy()
    far.destroy()
    server.close()
  })
  const slabs = new Slabs()
  const outgoing = outgoingTo(near, slabs)
  // The far end reads nothing: the kernel fills up, and the rest waits here.
  let sent = 0
  while (near.writableLength === 0) {
    const slab = slabs.take(PACKET_BYTES)
    slab.holders += 1
    slab.memory.fill(1)
    outgoing.hold(slab)
    sent += 1
    outgoing.packet({ sequence: sent, packet: slab.memory.subarray(0, PACKET_BYTES) })
    outgoing.flush()
    // Acknowledged, by one who cannot have it yet.
    slabs.release(slab)
  }
  // Others' messages come in meanwhile.
  for (let i = 0; i < 64; i++) slabs.take(PACKET_BYTES).memory.fill(2)
  let [bytes, wrong] = [0, 0]
  far.on('data', (chunk) => {
    bytes += chunk.length
    for (const byte of chunk) if (byte === 2) wrong += 1
  })
  await expect.poll(() => bytes).toBeGreaterThanOrEqual(sent * PACKET_BYTES)
  // There are twos in the sequences, but one packet of another would bring more of them.
  expect(wrong).toBeLessThan(PACKET_BYTES)
  outgoing.flush()
  expect(slabs.freeBytes).toBeGreaterThanOrEqual(PACKET_BYTES)
})

test('what another stream than a socket was given is never used again', () => {
  const slabs = new Slabs()
  const outgoing = outgoingTo(new PassThrough(), slabs)
  const slab = slabs.take(PACKET_BYTES)
  slab.holders += 1
  outgoing.hold(slab)
  outgoing.packet({ sequence: 1, packet: slab.memory.subarray(0, PACKET_BYTES) })
  outgoing.flush()
  slabs.release(slab)
  expect(slabs.freeBytes).toBe(0)
})
