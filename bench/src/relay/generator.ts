import { loadSodium } from '@sealmesh/sodium/load'
import { openBareLane } from './bare-lane.ts'
import type { GeneratorOrder, GeneratorReport } from './generators.ts'
import { type Lane, type LaneOptions, stampNow } from './lane.ts'
import { openNatsLane } from './nats-lane.ts'
import { openOurLane } from './our-lane.ts'

/**
 * A process of the load: some lanes in a ring, each of which sends to the next and reads from the one before. `go`
 * starts it, `sample` asks how far it is.
 */

const order = JSON.parse(process.argv[2] ?? '') as GeneratorOrder
const { first, count, load } = order
const lanes: Lane[] = []
let delivered = 0
let startedMs = Number.POSITIVE_INFINITY
let latencies: number[] = []

const sodium = await loadSodium()
for (let at = 0; at < count; at++) lanes.push(await open(at))
process.on('message', (message) => {
  if (message === 'go') start()
  if (message === 'sample') {
    process.send?.({ delivered, latencies } satisfies GeneratorReport)
    latencies = []
  }
  if (message === 'stop') process.exit(0)
})
process.on('disconnect', () => process.exit(0))
process.send?.('ready')

function open(at: number): Promise<Lane> {
  const { system, url, relay } = order.server
  const options: LaneOptions = {
    url,
    number: first + at,
    bytes: order.bytes,
    onMessage: (stamp) => {
      // What a run before this one left in a mailbox would be more on its way than was ordered.
      if (stamp < startedMs) return
      delivered += 1
      if (load.type === 'paced') latencies.push(stampNow() - stamp)
      // Its place in the sender's window is free again.
      else sendFrom((at + count - 1) % count)
    },
    onClosed: () => {
      throw new Error(`lane ${first + at} was closed`)
    },
  }
  if (system === 'bare') return openBareLane(options)
  if (system === 'nats') return openNatsLane(options)
  return openOurLane({ ...options, relay, sodium, ...(order.claim === undefined ? {} : { claim: order.claim }) })
}

function sendFrom(at: number): void {
  lanes[at]?.send(first + ((at + 1) % count), stampNow())
}

function start(): void {
  startedMs = stampNow()
  if (load.type === 'full') {
    for (let at = 0; at < count; at++) for (let i = 0; i < load.window; i++) sendFrom(at)
    return
  }
  let sent = 0
  setInterval(() => {
    // A timer that is late sends what is due, stamped with when it was: waiting for the sender counts for both alike.
    for (; sent < ((stampNow() - startedMs) / 1_000) * load.perSecond; sent++) sendFrom(sent % count)
  }, 1)
}
