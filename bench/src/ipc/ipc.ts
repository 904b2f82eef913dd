import { spawn } from 'node:child_process'
import { setTimeout as pause } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { until } from '@sealmesh/test/processes/wait'
import { ownBytes } from '../relay/process-figures.ts'
import { type Bench, type BenchOptions, median, quantile, type Row, row } from '../result.ts'
import { between } from './between.ts'
import { type Flood, flood, PAIRS } from './flood.ts'
import { framings } from './framing.ts'
import { bareLane, type Lane, ourLane, type Peer } from './lane.ts'

/**
 * Agent to node to agent over the agents' door, beside a bare forwarder of JSON lines over the same kind of socket.
 * One process is all agents, of both sides; servers are processes of their own.
 */

const AGENTS = 100
const PER_SECOND = 1_000
const RUN_MS = 3_000
const WARM_MS = 1_000
/** At a thousand a second a program is compiled whole only after seconds, on threads that share the cores with it. */
const COLD_MS = 8_000
const LATENCY_MS = 3
const PAYLOAD_BYTES = 256
const CROWDS = [1, 10, 100, 500] as const
const CROWD_PER_SECOND = 500
const WILD_AGENTS = 10

export const benchIpc: Bench = async (options) => {
  const rows: Row[] = []
  const wants = (part: string): boolean => options.only === undefined || options.only === part
  if (wants('latency')) rows.push(...(await latency(options)))
  if (wants('pipes')) rows.push(...(await pipes(options)))
  if (wants('crowd')) rows.push(...(await crowd(options)))
  if (wants('most')) rows.push(...(await most(options)))
  if (wants('between')) rows.push(...(await between(options)))
  if (wants('wild')) rows.push(await wild(options))
  if (wants('memory')) rows.push(await memory(options))
  if (wants('framing')) rows.push(...(await framings(options)))
  return {
    rows,
    notes: [
      `payloads of ${PAYLOAD_BYTES} characters, one connection an agent, framing in lines, medians of ${options.runs} runs; latency at 1,000/s after ${COLD_MS / 1_000} s of it, on both sides`,
      'the rival forwards JSON lines between the same connections, checks nothing and keeps nothing',
      'what goes through is limited by the agents as well, which share two cores with the server: a second of the server’s own CPU time says what it costs the server alone',
      'node to node: a request and its reply are two letters, each in one packet that is sealed and signed once and verified and opened once; hence two of each on top of 4 times a request and its reply of NATS, by its own client over TCP, in clear; 5,000 requests on both sides before the first that counts',
    ],
  }
}

/** How a peer comes to our side: by the agents' door, or by its text pipes. */
type As = 'agent' | 'script'

interface Latency {
  readonly cold: readonly number[]
  readonly runs: readonly (readonly number[])[]
}

/** Of a hundred agents beside the bare forwarder, in turns; each first for as long as it takes to be compiled. */
async function beside(as: As, { runs, progress }: BenchOptions): Promise<{ ours: Latency; bare: Latency }> {
  const lanes = { bare: await bareLane(), ours: await ourLane(AGENTS, { pipes: as === 'script' }) }
  try {
    const taken = async (side: 'bare' | 'ours') => {
      const peers = await attach(lanes[side], AGENTS, { as })
      progress(`${as}s, ${side}, cold`)
      return { peers, cold: await steady(peers, PER_SECOND, COLD_MS), runs: [] as number[][] }
    }
    const sides = { bare: await taken('bare'), ours: await taken('ours') }
    for (let run = 0; run < runs; run++) {
      progress(`${as}s, run ${run + 1}`)
      for (const side of [sides.bare, sides.ours]) side.runs.push(await steady(side.peers, PER_SECOND, RUN_MS))
    }
    return sides
  } finally {
    await lanes.ours.close()
    await lanes.bare.close()
  }
}

const of = (taken: readonly (readonly number[])[], part: number): number =>
  median(taken.map((each) => quantile(each, part)))

async function latency(options: BenchOptions): Promise<Row[]> {
  const { ours, bare } = await beside('agent', options)
  return [
    ...latencyRows(`${AGENTS} agents, 1,000/s`, ours, bare, 'under 3 (aim 1)'),
    row({
      id: `p99, the first ${COLD_MS / 1_000} s of a node`,
      ours: quantile(ours.cold, 0.99),
      rival: quantile(bare.cold, 0.99),
      unit: 'ms',
      bar: null,
      ok: null,
    }),
  ]
}

/** Scripts: a message goes in by its sender's public pipe and comes out of its recipient's private one. */
async function pipes(options: BenchOptions): Promise<Row[]> {
  const { ours, bare } = await beside('script', options)
  return latencyRows(`${AGENTS} text pipes, 1,000/s`, ours, bare, 'under 3')
}

function latencyRows(what: string, ours: Latency, bare: Latency, bar: string): Row[] {
  const p99 = of(ours.runs, 0.99)
  const [id50, id99] = [`p50, ${what}`, `p99, ${what}`]
  return [
    row({ id: id50, ours: of(ours.runs, 0.5), rival: of(bare.runs, 0.5), unit: 'ms', bar: null, ok: null }),
    row({ id: id99, ours: p99, rival: of(bare.runs, 0.99), unit: 'ms', bar, ok: p99 < LATENCY_MS }),
  ]
}

async function crowd({ runs, progress }: BenchOptions): Promise<Row[]> {
  const lane = await ourLane(CROWDS[CROWDS.length - 1] ?? 1)
  try {
    const p50s: number[] = []
    let peers: Peer[] = []
    for (const size of CROWDS) {
      progress(`${size} agents`)
      peers = [...peers, ...(await attach(lane, size, { from: peers.length }))]
      const taken: number[] = []
      for (let run = 0; run < runs; run++) taken.push(quantile(await steady(peers, CROWD_PER_SECOND, RUN_MS), 0.5))
      p50s.push(median(taken))
    }
    const flat = Math.max(...p50s) / Math.min(...p50s)
    return CROWDS.map((size, at) =>
      row({
        id: `p50, ${size} agents, ${CROWD_PER_SECOND}/s`,
        ours: p50s[at] ?? null,
        rival: null,
        unit: 'ms',
        bar: at === 0 ? `flat within 2 times (${flat.toFixed(2)})` : null,
        ok: at === 0 ? flat <= 2 : null,
      }),
    )
  } finally {
    await lane.close()
  }
}

async function most({ runs, progress }: BenchOptions): Promise<Row[]> {
  const [ours, bare] = [await ourLane(2 * PAIRS), await bareLane()]
  try {
    const figures: { ours: Flood; bare: Flood }[] = []
    const [ourPeers, barePeers] = [await attach(ours, 2 * PAIRS), await attach(bare, 2 * PAIRS)]
    for (let run = 0; run < runs; run++) {
      progress(`the most, run ${run + 1}`)
      figures.push({ bare: await floodPeers(bare, barePeers), ours: await floodPeers(ours, ourPeers) })
    }
    const of = (side: 'ours' | 'bare', figure: keyof Flood) => median(figures.map((each) => each[side][figure]))
    const ratio = of('ours', 'perSecond') / of('bare', 'perSecond')
    return [
      row({
        id: 'messages',
        ours: of('ours', 'perSecond'),
        rival: of('bare', 'perSecond'),
        unit: 'a second',
        bar: 'at least 0.3',
        ok: ratio >= 0.3,
      }),
      row({
        id: 'messages',
        ours: of('ours', 'perCpuSecond'),
        rival: of('bare', 'perCpuSecond'),
        unit: 'a CPU-second',
        bar: null,
        ok: null,
      }),
    ]
  } finally {
    await ours.close()
    await bare.close()
  }
}

/** Beside a program without rights that makes ten thousand calls; the control makes them to the bare forwarder. */
async function wild({ runs, progress }: BenchOptions): Promise<Row> {
  const [ours, bare] = [await ourLane(WILD_AGENTS), await bareLane()]
  try {
    const peers = await attach(ours, WILD_AGENTS)
    const besideCaller = async (lane: Lane, side: 'node' | 'sink'): Promise<number> => {
      const caller = wildCaller(lane, side)
      const taken = await steady(peers, CROWD_PER_SECOND, RUN_MS)
      await caller
      return quantile(taken, 0.5)
    }
    const figures: { wild: number; control: number }[] = []
    for (let run = 0; run < runs; run++) {
      progress(`wild calls, run ${run + 1}`)
      figures.push({ control: await besideCaller(bare, 'sink'), wild: await besideCaller(ours, 'node') })
    }
    const [figure, control] = [median(figures.map((each) => each.wild)), median(figures.map((each) => each.control))]
    const ok = figure <= 1.5 * control
    return row({
      id: 'p50 beside 10,000 wild calls',
      ours: figure,
      rival: control,
      unit: 'ms',
      bar: 'at most 1.5 times the control',
      ok,
    })
  } finally {
    await ours.close()
    await bare.close()
  }
}

function wildCaller({ socketPath, powerless }: Lane, side: 'node' | 'sink'): Promise<void> {
  const program = fileURLToPath(new URL('wild-caller.js', import.meta.url))
  const child = spawn(process.execPath, [program, socketPath, powerless, String(WARM_MS + RUN_MS), side], {
    stdio: ['ignore', 'ignore', 'inherit'],
  })
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (code) => (code === 0 ? resolve() : reject(new Error(`the wild caller ended with ${code}`))))
  })
}

/** Of agents that have talked for a while: what a connection has grown to is part of what it costs. */
async function memory({ progress }: BenchOptions): Promise<Row> {
  const lane = await ourLane(AGENTS)
  try {
    await pause(RUN_MS)
    const idle = ownBytes(lane.pid)
    progress(`memory: ${Math.round(idle / 1e6)} MB idle`)
    const peers = await attach(lane, AGENTS)
    await steady(peers, PER_SECOND, RUN_MS)
    const grown = (ownBytes(lane.pid) - idle) / 1_048_576
    return row({
      id: '100 attached agents',
      ours: grown,
      rival: null,
      unit: 'MB over idle',
      bar: 'at most 60',
      ok: grown <= 60,
    })
  } finally {
    await lane.close()
  }
}

/** A node lets 256 in at a time that are nobody yet, and hangs up on the oldest of more. */
const AT_ONCE = 100

async function attach(
  lane: Lane,
  upTo: number,
  { from = 0, as = 'agent' }: { from?: number; as?: As } = {},
): Promise<Peer[]> {
  const peers: Peer[] = []
  for (let at = from; at < upTo; at += AT_ONCE) {
    const together = Array.from({ length: Math.min(AT_ONCE, upTo - at) }, (_, i) => lane[as](`a${at + i}`))
    peers.push(...(await Promise.all(together)))
  }
  return peers
}

/** At that rate from agent to agent in turn; how long each message was under way, in ms. */
async function steady(peers: readonly Peer[], perSecond: number, forMs: number): Promise<number[]> {
  const taken: number[] = []
  const filler = 'x'.repeat(PAYLOAD_BYTES - 24)
  const startedAtMs = performance.now()
  const counted = startedAtMs + WARM_MS
  let got = 0
  for (const peer of peers)
    peer.onMessage = (payload) => {
      got += 1
      const sentAtMs = Number(payload.slice(0, payload.indexOf(' ')))
      if (sentAtMs >= counted) taken.push(performance.now() - sentAtMs)
    }
  let sent = 0
  const answers: Promise<void>[] = []
  while (performance.now() - startedAtMs < WARM_MS + forMs) {
    const due = ((performance.now() - startedAtMs) * perSecond) / 1_000
    for (; sent < due; sent++) {
      const to = (sent + 1) % peers.length
      const sender = peers[sent % peers.length]
      if (sender !== undefined) answers.push(sender.send(`a${to}`, `${performance.now()} ${filler}`))
    }
    await pause(1)
  }
  await Promise.all(answers)
  await until('all have come', () => got >= sent)
  return taken
}

function floodPeers(lane: Lane, peers: readonly Peer[]): Promise<Flood> {
  const payload = 'x'.repeat(PAYLOAD_BYTES)
  let got = 0
  for (const peer of peers) peer.onMessage = () => (got += 1)
  const send = async (pair: number): Promise<unknown> => peers[pair]?.send(`a${pair + PAIRS}`, payload)
  return flood(lane.pid, send, () => got)
}
