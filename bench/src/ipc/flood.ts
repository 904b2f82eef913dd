import { setTimeout as pause } from 'node:timers/promises'
import { until } from '@sealmesh/test/processes/wait'
import { cpuMs } from '../relay/process-figures.ts'

/** As many messages as a server passes on: each of some pairs has so many on their way. */

export const PAIRS = 8
const UNDER_WAY = 64
const WARM_MS = 1_000
const RUN_MS = 3_000

export interface Flood {
  readonly perSecond: number
  /** Of the server alone. */
  readonly perCpuSecond: number
}

/** `send`: of the pair with this number; resolves when it has been answered. `got`: how many have come, of all pairs. */
export async function flood(pid: number, send: (pair: number) => Promise<unknown>, got: () => number): Promise<Flood> {
  let [sent, running] = [0, true]
  const stream = async (pair: number): Promise<void> => {
    while (running) {
      sent += 1
      await send(pair)
    }
  }
  const streams = Array.from({ length: PAIRS * UNDER_WAY }, (_, at) => stream(at % PAIRS))
  await pause(WARM_MS)
  const before = { got: got(), cpu: cpuMs(pid), atMs: performance.now() }
  await pause(RUN_MS)
  const passed = got() - before.got
  const cpuSeconds = (cpuMs(pid) - before.cpu) / 1_000
  const seconds = (performance.now() - before.atMs) / 1_000
  running = false
  await Promise.all(streams)
  await until('all have come', () => got() >= sent)
  return { perSecond: passed / seconds, perCpuSecond: passed / cpuSeconds }
}
