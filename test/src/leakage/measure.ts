import { randomBytes } from 'node:crypto'
import * as fs from 'node:fs'
import * as os from 'node:os'
import * as path from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { decodeFrame, type Frame } from '@sealmesh/protocol/wire/frame'
import { openWireTap, type WireTap } from '../canary/wire-tap.ts'
import { NodeProcess } from '../processes/node.ts'
import { pairNodes, shareLayers, untilInSync } from '../processes/pair.ts'
import { RelayProcess } from '../processes/relay.ts'
import { until } from '../processes/wait.ts'

/** What a relay sees of the sizes of packets, while two real machines do one thing after another. */
export interface Seen {
  readonly what: string
  /** Size of a packet and how many there were, ascending. */
  readonly sizes: readonly (readonly [bytes: number, packets: number])[]
}

const IDLE_MS = 25_000
/** A few renewals of the fast profile. */
const LEASE_MS = 8_000
/** Type and length before a packet that is sent alone: what a question about a slot has as well. */
const SEND_BYTES = 3
/** Receipts and answers of what was done a moment ago belong to it. */
const SETTLE_MS = 1_500

export async function measure(): Promise<Seen[]> {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'sealmesh-leakage-'))
  const closers: (() => Promise<unknown>)[] = []
  try {
    const relay = await RelayProcess.start({ data: path.join(directory, 'relay') })
    closers.push(() => relay.stop())
    const tap = await openWireTap(relay.port)
    closers.push(() => tap.close())
    const claim = relay.claim === undefined ? {} : { claim: relay.claim }
    const address = relay.addressAt(tap.port)
    const home = await NodeProcess.start({ home: path.join(directory, 'home'), name: 'home', relay: address, ...claim })
    closers.push(() => home.stop())
    const seen: Seen[] = []
    const phase = async (what: string, act: () => Promise<unknown>): Promise<void> => {
      const before = tap.fromClients().length
      await act()
      await pause(SETTLE_MS)
      seen.push({ what, sizes: sizesOf(tap, before) })
    }

    let office: NodeProcess | undefined
    await phase('pairing, and the first exchange', async () => {
      office = await pairNodes(home, { home: path.join(directory, 'office'), name: 'office' })
      closers.push(async () => await office?.stop())
      await untilInSync(home, office)
    })
    const door = await home.door()
    await phase('naming a standby and sharing a layer with it', async () => {
      await door.call('agents.add', { name: 'home', standby: ['office'] })
      await shareLayers(home, 'home', ['semantic', 'session'], 'standby')
    })
    const set = (key: string, characters: number) =>
      door.call('set', { umr: `home.semantic.${key}`, value: JSON.stringify(randomText(characters)) })
    for (const [key, characters] of [
      ['short', 20],
      ['sentence', 100],
      ['page', 2_000],
      ['long', 40_000],
    ] as const)
      await phase(`a write of ${characters.toLocaleString('en')} characters, and its receipt`, async () => {
        await set(key, characters)
        await untilReceipted(home)
      })
    await phase(`${IDLE_MS / 1_000} seconds of nothing: heartbeats`, () => pause(IDLE_MS))
    await phase('a takeover by the standby', async () => {
      const there = await office?.door()
      await there?.call('takeover', { agent: 'home' })
      await home.untilStatus('no longer the holder', ({ agents }) =>
        agents.some(({ name, holdsHere }) => name === 'home' && !holdsHere),
      )
    })
    await phase('a lease: claimed, renewed and looked at', async () => {
      const there = await office?.door()
      if (there === undefined) throw new Error('nobody is at the office')
      await door.call('witness.set', { profile: 'fast' })
      await until('the office knows who keeps leases', async () => {
        const { witness } = await there.call('failover.status', {})
        return witness !== null
      })
      await there.call('failover.set', { agent: 'home', mode: 'auto' })
      await until('a lease is renewed', async () => tap.fromClients().some(isRenewal))
      await pause(LEASE_MS)
    })
    return seen
  } finally {
    for (const close of closers.reverse()) await close()
    fs.rmSync(directory, { recursive: true, force: true })
  }
}

/** What repeats itself would be compressed away. */
const randomText = (characters: number): string => randomBytes(characters).toString('base64').slice(0, characters)

const untilReceipted = (node: NodeProcess) =>
  node.untilStatus('receipted', ({ peers }) => peers.every(({ toSend }) => toSend === 0))

function sizesOf(tap: WireTap, from: number): Seen['sizes'] {
  const counts = new Map<number, number>()
  for (const message of tap.fromClients().slice(from)) {
    const frame = decodeFrame(message)
    const lengths = !frame.ok ? [] : lengthsIn(frame.value, message.length)
    for (const length of lengths) counts.set(length, (counts.get(length) ?? 0) + 1)
  }
  return [...counts].toSorted(([a], [b]) => a - b)
}

const isRenewal = (message: Uint8Array): boolean => {
  const frame = decodeFrame(message)
  return frame.ok && frame.value.type === 'setSlot'
}

/** Of packets, and of questions about slots as if they were packets. */
function lengthsIn(frame: Frame, bytes: number): number[] {
  if (frame.type === 'send') return frame.packets.map(({ length }) => length)
  return frame.type === 'readSlot' || frame.type === 'setSlot' ? [bytes - SEND_BYTES] : []
}

/** One line for each thing that was done. */
export const leakageTable = (seen: readonly Seen[]): string =>
  [
    '| what was done | packets, by their size in bytes |',
    '| --- | --- |',
    ...seen.map(({ what, sizes }) => {
      const list = sizes.map(([bytes, packets]) => `${packets} × ${bytes.toLocaleString('en')}`).join(', ')
      return `| ${what} | ${list === '' ? 'none' : list} |`
    }),
  ].join('\n')
