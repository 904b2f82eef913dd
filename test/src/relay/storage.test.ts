import { execFileSync } from 'node:child_process'
import { rmSync } from 'node:fs'
import type { Sodium } from '@sealmesh/protocol/sodium'
import { toHex } from '@sealmesh/protocol/bytes'
import { loadSodium } from '@sealmesh/sodium/load'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { until } from '../processes/wait.ts'
import { type Member, TestMesh } from './mesh.ts'
import {
  connectionsAre,
  healthOf,
  portOf,
  type RunningRelay,
  startRelay,
  TestLink,
  temporaryDirectory,
} from './running-relay.ts'

/** What a real relay process keeps: over kill -9, restarts, wipes and old copies. */
let sodium: Sodium
let mesh: TestMesh
let relay: RunningRelay
let directory: ReturnType<typeof temporaryDirectory>
let alice: Member
let bob: Member
const links: TestLink[] = []

const open = (
  member: Member,
  ...rest: ConstructorParameters<typeof TestLink> extends [unknown, unknown, unknown, ...infer R] ? R : never
): TestLink => {
  const link = new TestLink(relay.address, member, sodium, ...rest)
  links.push(link)
  return link
}
const restart = async (): Promise<void> => {
  relay = await startRelay(directory.data, '--port', portOf(relay))
}
const packetFor = (member: Member, bytes = 0) => mesh.packet([member.mailbox], Date.now() + 3_600_000, bytes)

beforeEach(async () => {
  sodium = await loadSodium()
  directory = temporaryDirectory()
  relay = await startRelay(directory.data)
  mesh = new TestMesh(sodium, `storage ${process.pid}`)
  alice = mesh.member('alice', { code: relay.claim ?? '' })
  bob = mesh.member('bob')
  await (await open(alice).live()).link.close()
  await (await open(bob).live()).link.close()
  await connectionsAre(relay, 0)
})
afterEach(async () => {
  await Promise.all(links.splice(0).map(({ link }) => link.close()))
  await relay.program.kill()
  directory.remove()
})

/** As a backup does it, modes and all: Node 22's own copying gives folders the default mode. */
const copy = (from: string, to: string) => execFileSync('cp', ['-a', from, to])

describe('packets that were called stored', () => {
  test('are drained in order after kill -9, then live traffic follows', async () => {
    const sender = await open(alice).live()
    const packets = Array.from({ length: 300 }, (_, i) => packetFor(bob, 700 + i * 10))
    for (const packet of packets) expect(sender.link.send(packet.bytes)).toBe('sent')
    await until('all are answered', () => sender.outcomes.size === packets.length)
    expect(new Set(sender.outcomes.values())).toEqual(new Set(['stored']))
    await relay.program.kill()
    await restart()
    const reader = await open(bob).live()
    await until('the mailbox is drained', () => reader.has('drained'))
    await sender.live()
    const live = packetFor(bob)
    sender.link.send(live.bytes)
    expect(await sender.answered(live.id)).toBe('delivered')
    const got = await reader.received(301)
    expect(got.map(toHex)).toEqual([...packets, live].map(({ bytes }) => toHex(bytes)))
  })
  test('in the mailboxes of three days, with a kill of the relay in each, are drained in the order of each sender', async () => {
    const days = [0, 1, 2].map((day) => mesh.member(`bob on day ${day}`))
    const sent: Record<string, string[]> = { alice: [], carol: [] }
    for (const [day, { mailbox }] of days.entries()) {
      for (const [name, member] of [
        ['alice', alice],
        ['carol', mesh.member('carol')],
      ] as const) {
        const sender = await open(member).live()
        const packets = Array.from({ length: 40 }, (_, i) =>
          mesh.packet([mailbox], Date.now() + 3_600_000, 700 + day * 100 + i),
        )
        for (const packet of packets) sender.link.send(packet.bytes)
        await until('all are answered', () => sender.outcomes.size === packets.length)
        expect(new Set(sender.outcomes.values())).toEqual(new Set(['stored']))
        sent[name]?.push(...packets.map(({ bytes }) => toHex(bytes)))
        await sender.link.close()
      }
      await relay.program.kill()
      await restart()
    }
    const reader = open(bob)
    reader.secrets = days.map(({ mailboxSecret }) => mailboxSecret)
    const got = (await reader.received(240)).map(toHex)
    for (const of of Object.values(sent)) expect(got.filter((packet) => of.includes(packet))).toEqual(of)
    await until('they are drained', () => reader.has('drained'))
    expect(got).toHaveLength(240)
  })
  test('are gone for good once they were acknowledged', async () => {
    const sender = await open(alice).live()
    for (let i = 0; i < 20; i++) sender.link.send(packetFor(bob).bytes)
    await until('all are answered', () => sender.outcomes.size === 20)
    const reader = await open(bob).live()
    await reader.received(20)
    await until('the mailbox is empty', async () => (await healthOf(relay)).storedPackets === 0)
    await relay.program.stop()
    await restart()
    expect(await healthOf(relay)).toMatchObject({ status: 'ok', storedPackets: 0, storedBytes: 0 })
  })
})

test('what a reader had in hand and did not acknowledge comes again, also over a stop', async () => {
  const reader = open(bob)
  reader.acknowledging = false
  await reader.live()
  const sender = await open(alice).live()
  const packet = packetFor(bob)
  sender.link.send(packet.bytes)
  expect(await sender.answered(packet.id)).toBe('delivered')
  await reader.received(1)
  await relay.program.stop()
  expect(await reader.refusal()).toBe('RELAY_RESTARTING')
  await reader.link.close()
  await restart()
  const again = await open(bob).live()
  expect((await again.received(1)).map(toHex)).toEqual([toHex(packet.bytes)])
})

describe('a node notices', () => {
  test('a restart as the same generation', async () => {
    const link = await open(alice).live()
    await relay.program.kill()
    await restart()
    await until('it is live again', () => link.events.filter(({ type }) => type === 'live').length === 2)
    expect(link.events.findLast(({ type }) => type === 'live')).toEqual({
      type: 'live',
      newGeneration: false,
    })
  })
  test('T-relay-8: a relay that was restored from an old copy, and one whose database was lost', async () => {
    await relay.program.stop()
    copy(directory.data, `${directory.data}.copy`)
    await restart()
    const before = await open(alice).live()
    await before.link.close()
    await relay.program.stop()
    rmSync(directory.data, { recursive: true })
    copy(`${directory.data}.copy`, directory.data)
    await restart()
    const restored = await open(alice, undefined, before.seen).live()
    expect(restored.events[0]).toMatchObject({ type: 'live', newGeneration: true })
    await restored.link.close()

    await relay.program.stop()
    rmSync(`${directory.data}/db`, { recursive: true })
    await restart()
    alice = mesh.member('alice', { code: relay.claim ?? '' })
    const wiped = await open(alice, undefined, restored.seen).live()
    expect(wiped.events[0]).toMatchObject({ type: 'live', newGeneration: true })
  })
})

test('a mailbox refuses what is beyond its quota, and its reader learns that something was lost', async () => {
  await relay.program.stop()
  relay = await startRelay(directory.data, '--port', portOf(relay), '--mailbox-bytes', '300000')
  const sender = await open(alice).live()
  const packets = Array.from({ length: 4 }, () => packetFor(bob, 90_000))
  for (const packet of packets) sender.link.send(packet.bytes)
  expect(await Promise.all(packets.map(({ id }) => sender.answered(id)))).toEqual([
    'stored',
    'stored',
    'stored',
    'QUOTA_BYTES',
  ])
  const reader = await open(bob).live()
  await reader.received(3)
  await until('it is told', () => reader.has('lost'))
})

test('a reader that stops is cut, its packets wait in its mailbox, and nobody else is slowed', async () => {
  const stalled = open(bob)
  stalled.acknowledging = false
  await stalled.live()
  const carol = mesh.member('carol')
  const other = await open(carol).live()
  const sender = await open(alice).live()
  const packets = Array.from({ length: 60 }, () => packetFor(bob, 100_000))
  for (const packet of packets) await until('there is room', () => sender.link.send(packet.bytes) === 'sent')
  await until('all are answered', () => sender.outcomes.size === packets.length)
  const aside = mesh.packet([carol.mailbox], Date.now() + 60_000)
  sender.link.send(aside.bytes)
  expect(await sender.answered(aside.id)).toBe('delivered')
  await other.received(1)
  const kinds = [...sender.outcomes.values()]
  expect(kinds.filter((outcome) => outcome === 'delivered').length).toBeGreaterThan(30)
  expect(kinds.filter((outcome) => outcome === 'stored').length).toBeGreaterThan(5)
  expect(await stalled.refusal()).toBe('READER_STALLED')
  stalled.acknowledging = true
  await stalled.link.close()
  const again = await open(bob).live()
  const got = await again.received(packets.length)
  expect(got.map((packet) => toHex(packet.subarray(0, 40)))).toEqual(
    packets.map(({ bytes }) => toHex(bytes.subarray(0, 40))),
  )
})
