import { randomBytes } from 'node:crypto'
import * as path from 'node:path'
import type { Sodium } from '@sealmesh/protocol/sodium'
import { loadSodium } from '@sealmesh/sodium/load'
import { Level } from 'level'
import { type BenchOptions, type Measured, median, type Row, row } from '../result.ts'
import { type Lane, type LaneOptions, stampNow } from './lane.ts'
import { openNatsLane } from './nats-lane.ts'
import { openOurLane } from './our-lane.ts'
import { natsVersion, type Server, startNats, startRelay } from './servers.ts'

/** Packets for readers that are away: answered when they are on disk, and read later. */

const SENDERS = 4
const WINDOW = 64
const BYTES = 1_024
/** For each reader, of which each sender has one: below a mailbox's quota in every run. */
const PACKETS = 8_000
/** It is slow when it syncs. */
const JETSTREAM_PACKETS = 1_000
const LONE = 300
const BATCH = 64
/** Readers' numbers, in each run others. */
const READERS_FROM = 100
const WARM_UP_PACKETS = 1_000

type OpenLane = (options: Pick<LaneOptions, 'number' | 'onAnswer' | 'onMessage'>) => Promise<Lane>

export async function durable(directory: string, { runs, progress }: BenchOptions): Promise<Measured> {
  const sodium = await loadSodium()
  const raw = await Raw.open(path.join(directory, 'raw'))
  const data = path.join(directory, 'relay')
  let relay = await startRelay({ data })
  const jetStream = natsVersion() === undefined ? undefined : await startNats(path.join(directory, 'jetstream'))
  const ours: OpenLane = (options) => {
    const { url, relay: id, claims } = relay
    const right = claims[0] === undefined ? {} : { claim: claims[0] }
    return openOurLane({ ...options, url, bytes: BYTES, relay: id, sodium, reads: false, ...right })
  }
  const nats: OpenLane = (options) =>
    openNatsLane({ ...options, url: jetStream?.url ?? '', bytes: BYTES, stream: true })
  const figures = { ours: [], raw: [], nats: [], lone: [], put: [], drain: [], read: [] } satisfies Record<
    string,
    never[]
  >
  const of = figures as Record<keyof typeof figures, number[]>
  try {
    if (jetStream !== undefined) await makeStream(jetStream)
    await accept(ours, READERS_FROM - SENDERS, WARM_UP_PACKETS)
    await raw.accept(WARM_UP_PACKETS)
    for (let run = 0; run < runs; run++) {
      const readers = READERS_FROM + run * SENDERS
      of.ours.push(await accept(ours, readers, PACKETS))
      of.raw.push(await raw.accept(SENDERS * PACKETS))
      if (jetStream !== undefined) of.nats.push(await accept(nats, readers, JETSTREAM_PACKETS))
      of.lone.push(await loneAccept(ours, readers))
      of.put.push(await raw.lonePut())
      progress(
        `durable, run ${run + 1} of ${runs}: ours ${last(of.ours)}/s, raw ${last(of.raw)}/s, JetStream ${last(of.nats)}/s, lone ${last(of.lone)} ms, put ${last(of.put)} ms`,
      )
    }
    // Read by processes that have not just written it.
    await relay.stop()
    await raw.reopen()
    relay = await startRelay({ data, claims: 0 })
    await drain(relay, READERS_FROM - SENDERS, WARM_UP_PACKETS, sodium)
    for (let run = 0; run < runs; run++) {
      of.drain.push(await drain(relay, READERS_FROM + run * SENDERS, PACKETS, sodium))
      of.read.push(await raw.read(run * SENDERS * PACKETS, SENDERS, PACKETS))
      progress(`drain, run ${run + 1} of ${runs}: ours ${last(of.drain)}/s, raw ${last(of.read)}/s`)
    }
  } finally {
    await relay.stop()
    await jetStream?.stop()
    await raw.close()
  }
  return { rows: rowsOf(of), notes: NOTES }
}

const last = (values: readonly number[]): string => (values.at(-1) ?? Number.NaN).toPrecision(4)

function rowsOf(of: Readonly<Record<'ours' | 'raw' | 'nats' | 'lone' | 'put' | 'drain' | 'read', number[]>>): Row[] {
  const unit = 'packets/s'
  const [ours, raw, nats] = [median(of.ours), median(of.raw), of.nats.length > 0 ? median(of.nats) : null]
  const [lone, put, drained, read] = [median(of.lone), median(of.put), median(of.drain), median(of.read)]
  const id = 'durable-accept'
  return [
    row({ id, ours, rival: raw, unit, bar: '>= 0.4 x classic-level', ok: ours >= 0.4 * raw }),
    row({
      id: `${id}-jetstream`,
      ours,
      rival: nats,
      unit,
      bar: '>= 8 x JetStream R1, synced',
      ok: nats === null ? null : ours >= 8 * nats,
    }),
    row({ id: 'durable-lone', ours: lone, rival: put, unit: 'ms', bar: '<= 3 x a synced put', ok: lone <= 3 * put }),
    row({ id: 'drain', ours: drained, rival: read, unit, bar: '>= 0.4 x raw reads', ok: drained >= 0.4 * read }),
  ]
}

const NOTES = [
  `durable: ${SENDERS} senders with ${WINDOW} packets of ${BYTES} B on their way to readers that are away, until all are answered stored. Raw: classic-level in batches of ${BATCH} puts with sync. JetStream: a file stream of one replica with sync_interval always, over WebSocket, as many on their way.`,
  `durable-lone: one packet at a time, median of ${LONE}. drain: from login until its ${PACKETS} packets are read and acknowledged, ${SENDERS} readers one after the other, after a restart; raw: iterators over as many.`,
]

/** Packets a second, until the last is answered. */
async function accept(open: OpenLane, readers: number, packets: number): Promise<number> {
  const lanes: Lane[] = []
  const startedMs: number[] = []
  const all = Array.from({ length: SENDERS }, async (_, number) => {
    let [sent, answered] = [0, 0]
    let done: () => void = () => undefined
    const isDone = new Promise<void>((resolve) => {
      done = resolve
    })
    const fill = (): void => {
      for (; sent < packets && sent - answered < WINDOW; sent++) lane.send(readers + number, stampNow())
    }
    const lane = await open({
      number,
      onMessage: () => undefined,
      onAnswer: (outcome) => {
        if (outcome !== 'stored') throw new Error(`a packet was ${outcome}`)
        answered += 1
        if (answered === packets) done()
        fill()
      },
    })
    lanes.push(lane)
    return { fill, isDone }
  })
  // The mesh is admitted by whoever comes first.
  const ready = []
  for (const each of all) ready.push(await each)
  startedMs.push(stampNow())
  for (const { fill } of ready) fill()
  await Promise.all(ready.map(({ isDone }) => isDone))
  const ms = stampNow() - (startedMs[0] ?? 0)
  for (const lane of lanes) lane.close()
  return (SENDERS * packets) / (ms / 1_000)
}

/** Milliseconds from a packet to its answer, with nothing else going on. */
async function loneAccept(open: OpenLane, reader: number): Promise<number> {
  let answered: () => void = () => undefined
  const lane = await open({ number: 0, onMessage: () => undefined, onAnswer: () => answered() })
  const times: number[] = []
  for (let i = 0; i < LONE; i++) {
    const startedMs = stampNow()
    const isAnswered = new Promise<void>((resolve) => {
      answered = resolve
    })
    lane.send(reader, startedMs)
    await isAnswered
    times.push(stampNow() - startedMs)
  }
  lane.close()
  return median(times)
}

/** Packets a second of readers that come one after the other. */
async function drain(relay: Server, from: number, packets: number, sodium: Sodium): Promise<number> {
  const startedMs = stampNow()
  for (let reader = from; reader < from + SENDERS; reader++) {
    let read = 0
    let lane: Lane | undefined
    await new Promise<void>((resolve, reject) => {
      const options = { number: reader, url: relay.url, bytes: BYTES, relay: relay.relay, sodium, onDrained: resolve }
      openOurLane({ ...options, onMessage: () => (read += 1) }).then((opened) => (lane = opened), reject)
    })
    lane?.close()
    if (read < packets) throw new Error(`only ${read} of ${packets} packets came back`)
  }
  return (SENDERS * packets) / ((stampNow() - startedMs) / 1_000)
}

async function makeStream(server: Server): Promise<void> {
  let made: () => void = () => undefined
  const isMade = new Promise<void>((resolve) => {
    made = resolve
  })
  const maker = await openNatsLane({
    url: server.url,
    number: 0,
    bytes: BYTES,
    stream: true,
    onMessage: () => undefined,
    onAnswer: (outcome) => {
      if (outcome !== 'stored') throw new Error('JetStream makes no stream')
      made()
    },
  })
  maker.ask('$JS.API.STREAM.CREATE.KEPT', { name: 'KEPT', subjects: ['kept.>'], storage: 'file', num_replicas: 1 })
  await isMade
  maker.close()
}

/** What the database itself can do, used as well as it can be. */
class Raw {
  readonly #db: Level<Buffer, Buffer>
  #next = 0

  private constructor(db: Level<Buffer, Buffer>) {
    this.#db = db
  }

  static async open(directory: string): Promise<Raw> {
    const db = new Level<Buffer, Buffer>(directory, {
      keyEncoding: 'buffer',
      valueEncoding: 'buffer',
      compression: false,
    })
    await db.open()
    return new Raw(db)
  }

  async accept(packets: number): Promise<number> {
    const startedMs = stampNow()
    for (let done = 0; done < packets; done += BATCH) {
      const batch = this.#db.batch()
      for (let i = 0; i < BATCH; i++) batch.put(this.#key(this.#next++), randomBytes(BYTES))
      await batch.write({ sync: true })
    }
    return packets / ((stampNow() - startedMs) / 1_000)
  }

  async lonePut(): Promise<number> {
    const times: number[] = []
    for (let i = 0; i < LONE; i++) {
      const startedMs = stampNow()
      await this.#db.put(this.#key(this.#next++), randomBytes(BYTES), { sync: true })
      times.push(stampNow() - startedMs)
    }
    return median(times)
  }

  /** So many packets for each of some readers. */
  async read(from: number, readers: number, packets: number): Promise<number> {
    const startedMs = stampNow()
    for (let reader = 0; reader < readers; reader++) {
      const found = await this.#db.iterator({ gte: this.#key(from + reader * packets), limit: packets }).all()
      if (found.length !== packets) throw new Error(`the database has ${found.length} of ${packets}`)
    }
    return (readers * packets) / ((stampNow() - startedMs) / 1_000)
  }

  async reopen(): Promise<void> {
    await this.#db.close()
    await this.#db.open()
  }

  close(): Promise<void> {
    return this.#db.close()
  }

  /** As long as the relay's. */
  #key(number: number): Buffer {
    const key = Buffer.alloc(73, 'p')
    key.writeUInt32BE(number, 69)
    return key
  }
}
