import { loadSodium } from '@sealmesh/sodium/load'
import { openBareLane } from './bare-lane.ts'
import type { HolderOrder } from './idle-memory.ts'
import type { Lane } from './lane.ts'
import { MESH_LANES_MAX, openOurLane } from './our-lane.ts'

/** A process that holds idle connections: as many as it was told last. */

const order = JSON.parse(process.argv[2] ?? '') as HolderOrder
const { server, first } = order
const sodium = await loadSodium()
const lanes: Lane[] = []

process.on('message', (count: number) => void hold(count))
process.on('disconnect', () => process.exit(0))
process.send?.('ready')

async function hold(count: number): Promise<void> {
  for (let at = lanes.length; at < count; ) {
    const together = Math.min(AT_ONCE, count - at)
    lanes.push(...(await Promise.all(Array.from({ length: together }, (_, i) => open(first + at + i)))))
    at += together
  }
  process.send?.(lanes.length)
}

/** Strangers of one address may be few at once: these come from many. */
const AT_ONCE = 32
const ADDRESSES = 100

function open(number: number): Promise<Lane> {
  const { system, url, relay, claims } = server
  const from = `127.0.1.${1 + (number % ADDRESSES)}`
  const options = { url, number, bytes: 1_024, from, onMessage: () => undefined }
  if (system === 'bare') return openBareLane(options)
  const claim = claims[Math.floor(number / MESH_LANES_MAX)]
  return openOurLane({ ...options, relay, sodium, ...(claim === undefined ? {} : { claim }) })
}
