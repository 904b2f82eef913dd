import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import * as path from 'node:path'
import { fileURLToPath } from 'node:url'
import { until } from '@sealmesh/test/processes/wait'
import { type BenchOptions, type Measured, row } from '../result.ts'
import { MESH_LANES_MAX } from './our-lane.ts'
import { startRelay } from './servers.ts'

/** Thousands of nodes whose relay is restarted, or killed: how long until all of them are back. */

export interface StormOrder {
  readonly address: string
  readonly claims: readonly string[]
  readonly first: number
  readonly count: number
}

const CLIENTS = 5_000
const PROCESSES = 2
const BAR_S = 30
const GIVE_UP_MS = 90_000

export async function restartStorm(directory: string, { progress }: BenchOptions): Promise<Measured> {
  const data = path.join(directory, 'relay')
  let relay = await startRelay({ data, claims: Math.ceil(CLIENTS / MESH_LANES_MAX) })
  const port = Number(new URL(relay.url).port)
  const address = `${relay.url}#relay=${relay.relay}`
  const clients: ChildProcess[] = []
  const live = async (): Promise<number> => {
    let sum = 0
    for (const child of clients) {
      child.send('live?')
      const [count] = (await once(child, 'message')) as [number]
      sum += count
    }
    return sum
  }
  const figures: number[] = []
  try {
    for (let i = 0; i < PROCESSES; i++) {
      const order: StormOrder = {
        address,
        claims: relay.claims,
        first: (i * CLIENTS) / PROCESSES,
        count: CLIENTS / PROCESSES,
      }
      const file = fileURLToPath(new URL('./storm-clients.js', import.meta.url))
      clients.push(fork(file, [JSON.stringify(order)], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] }))
      await once(clients.at(-1)!, 'message')
    }
    await until('all have come', async () => (await live()) === CLIENTS, GIVE_UP_MS)
    for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
      progress(`restart-storm: ${CLIENTS} clients are here; ${signal}`)
      const startedMs = performance.now()
      await relay.stop(signal)
      relay = await startRelay({ data, port, claims: 0 })
      await until('all are back', async () => (await live()) === CLIENTS, GIVE_UP_MS)
      figures.push((performance.now() - startedMs) / 1_000)
      progress(`restart-storm: all back after ${(figures.at(-1) ?? 0).toFixed(1)} s`)
    }
  } finally {
    for (const child of clients) child.kill('SIGKILL')
    await relay.stop()
  }
  const bar = `<= ${BAR_S}`
  const [restart, kill] = figures
  const one = (id: string, ours = Number.NaN) => row({ id, ours, rival: null, unit: 's', bar, ok: ours <= BAR_S })
  return {
    rows: [one('restart-storm', restart), one('restart-storm-kill', kill)],
    notes: [`restart-storm: ${CLIENTS} links of nodes, from the signal until every one is logged in again.`],
  }
}
