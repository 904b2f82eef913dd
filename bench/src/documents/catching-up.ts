import * as fs from 'node:fs'
import * as path from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { RelayProcess } from '@sealmesh/test/processes/relay'
import { median, type Row, row } from '../result.ts'
import { monotonicMs } from '../sync/workload.ts'
import { Host } from './host.ts'
import { foundPair } from './mesh.ts'
import type { NodeHost } from './node-host.ts'
import type { Part } from './part.ts'
import { Proxy } from './proxy.ts'

const SIZES = [1_000, 100_000] as const
const CHANGED = 100
/** As long as nothing more is said on a connection, both sides have said all. */
const QUIET_MS = 500

interface Figures {
  readonly bytes: number
  readonly ms: number
}

/** A node that was cut off while registers changed, and comes back: what that costs beside a small and a large document. */
export const catchingUp: Part = async ({ directory, runs, progress }) => {
  const place = path.join(directory, 'catching-up')
  const figures = new Map<number, Figures[]>(SIZES.map((size) => [size, []]))
  const relay = await RelayProcess.start({ data: path.join(place, 'relay') })
  const proxy = await Proxy.listen(relay.port, monotonicMs)
  const hosts: Host<NodeHost>[] = []
  try {
    progress('catching-up: a relay and two nodes')
    const homes = { home: path.join(place, 'home'), office: path.join(place, 'office') }
    await foundPair({ address: relay.addressAt(proxy.port), claim: relay.claim }, homes, SIZES.map(layerOf))
    // The home first: the latest connection, which is cut and counted, has to be the office's.
    const home = await Host.start<NodeHost>('node-host.js', [homes.home])
    hosts.push(home)
    await home.ask('live')
    const office = await Host.start<NodeHost>('node-host.js', [homes.office])
    hosts.push(office)
    await office.ask('live')
    for (const size of SIZES) {
      progress(`catching-up: ${size} keys`)
      await home.ask('fill', layerOf(size), 0, size, 0)
      await office.ask('seen', layerOf(size), size - 1, 0)
    }
    for (let run = 1; run <= runs; run++) {
      progress(`catching-up: run ${run} of ${runs}`)
      for (const size of SIZES) {
        await untilQuiet(proxy)
        proxy.cut()
        const places = Array.from({ length: CHANGED }, (_, i) => Math.floor((i * size) / CHANGED))
        await home.ask('change', layerOf(size), places, run)
        await wait(QUIET_MS) // The relay has them all by now.
        const cutAtMs = monotonicMs()
        proxy.mend()
        const seenAtMs = await office.ask('seen', layerOf(size), places.at(-1) ?? 0, run)
        if (proxy.acceptedAtMs < cutAtMs) throw new Error('what was cut went on')
        const ms = seenAtMs - proxy.acceptedAtMs
        await untilQuiet(proxy)
        figures.get(size)?.push({ bytes: proxy.bytes, ms })
      }
    }
  } finally {
    for (const host of hosts.reverse()) await host.stop()
    await proxy.close()
    await relay.stop()
    fs.rmSync(place, { recursive: true, force: true })
  }
  const of = (size: number, pick: (each: Figures) => number) => median((figures.get(size) ?? []).map(pick))
  const [small, large] = SIZES
  const compared = (id: string, unit: string, pick: (each: Figures) => number): Row => {
    const [theirs, ours] = [of(small, pick), of(large, pick)]
    const ok = Math.max(ours / theirs, theirs / ours) <= 1.5
    return row({ id, ours, rival: theirs, unit, bar: 'within 1.5 x', ok })
  }
  return {
    rows: [
      compared('catching-up-bytes-100000-keys', 'bytes', (each) => each.bytes),
      compared('catching-up-time-100000-keys', 'ms', (each) => each.ms),
    ],
    notes: [
      `catching-up: ${CHANGED} registers spread over the document changed one by one while the office was cut off; "ours" has 100,000 keys, the "rival" column 1,000. Time: from the office's connection until the last change is readable there. Bytes: all that its connection carries, both ways, logging in included, until ${QUIET_MS} ms are silent.`,
    ],
  }
}

const layerOf = (size: number): string => `keys-${size}`

async function untilQuiet(proxy: Proxy): Promise<void> {
  for (let before = -1; before !== proxy.bytes; ) {
    before = proxy.bytes
    await wait(QUIET_MS)
  }
}
