import { setTimeout as pause } from 'node:timers/promises'
import type { Agent } from '@sealmesh/agent/client/agent'
import { connectAgents } from '@sealmesh/agent/client/connect-agents'
import { until } from '@sealmesh/test/processes/wait'
import { type BenchOptions, median, quantile, type Row, row } from '../result.ts'
import { type Flood, flood, PAIRS } from './flood.ts'
import { type Lane, ourLane } from './lane.ts'

/** The real client in both of its framings against one node, in turns: what `compact` brings. */

const FRAMINGS = ['lines', 'compact'] as const
type Framing = (typeof FRAMINGS)[number]
const PER_SECOND = 1_000
const RUN_MS = 3_000
const PAYLOAD = 'x'.repeat(256)

interface Figures {
  readonly perCpuSecond: number
  readonly perSecond: number
  readonly p50: number
  readonly p99: number
}

export async function framings({ runs, progress }: BenchOptions): Promise<Row[]> {
  const lane = await ourLane(FRAMINGS.length * 2 * PAIRS)
  try {
    const agents = { lines: await attach(lane, 'lines', 0), compact: await attach(lane, 'compact', 2 * PAIRS) }
    const taken: Record<Framing, Figures[]> = { lines: [], compact: [] }
    for (let run = 0; run < runs; run++)
      for (const framing of FRAMINGS) {
        progress(`${framing}, run ${run + 1}`)
        const most = await floodAgents(lane, agents[framing])
        const times = await steady(agents[framing])
        taken[framing].push({ ...most, p50: quantile(times, 0.5), p99: quantile(times, 0.99) })
      }
    const of = (framing: Framing, figure: keyof Figures) => median(taken[framing].map((each) => each[figure]))
    const both = (id: string, figure: keyof Figures, unit: string): Row =>
      row({ id, ours: of('compact', figure), rival: of('lines', figure), unit, bar: null, ok: null })
    return [
      both('compact beside lines: messages', 'perCpuSecond', 'a CPU-second'),
      both('compact beside lines: messages', 'perSecond', 'a second'),
      both('compact beside lines: p50, 1,000/s', 'p50', 'ms'),
      both('compact beside lines: p99, 1,000/s', 'p99', 'ms'),
    ]
  } finally {
    await lane.close()
  }
}

/** The first half sends, the second gets. */
async function attach(lane: Lane, framing: Framing, from: number): Promise<Agent[]> {
  const names = Array.from({ length: 2 * PAIRS }, (_, at) => `a${from + at}`)
  return Promise.all(
    names.map(async (name) => {
      const connection = await connectAgents({ socketPath: lane.socketPath, framing })
      return connection.attach({ token: lane.tokens.get(name) ?? '' })
    }),
  )
}

async function floodAgents(lane: Lane, agents: readonly Agent[]): Promise<Flood> {
  let got = 0
  const stops = agents.map((agent) => agent.onDelivery(() => void (got += 1)))
  const send = async (pair: number): Promise<unknown> =>
    agents[pair]?.send({ to: agents[pair + PAIRS]?.name ?? '', type: 'text', payload: PAYLOAD })
  const flooded = await flood(lane.pid, send, () => got)
  for (const stop of stops) stop()
  return flooded
}

async function steady(agents: readonly Agent[]): Promise<number[]> {
  const times: number[] = []
  const stops = agents.map((agent) =>
    agent.onDelivery(
      ({ message }) => void times.push(performance.now() - Number(String(message.payload).split(' ')[0])),
    ),
  )
  const startedAtMs = performance.now()
  const answers: Promise<unknown>[] = []
  while (performance.now() - startedAtMs < RUN_MS) {
    const due = ((performance.now() - startedAtMs) * PER_SECOND) / 1_000
    while (answers.length < due) {
      const at = answers.length % PAIRS
      const to = agents[at + PAIRS]?.name ?? ''
      answers.push(agents[at]?.send({ to, type: 'text', payload: `${performance.now()} ${PAYLOAD}` }) ?? pause(0))
    }
    await pause(1)
  }
  await Promise.all(answers)
  await until('all have come', () => times.length >= answers.length)
  for (const stop of stops) stop()
  return times
}
