import { type ChildProcess, fork } from 'node:child_process'
import { setTimeout as pause } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { cpuMs } from './process-figures.ts'
import type { Server } from './servers.ts'

/** What one process of the load is told, as JSON. */
export interface GeneratorOrder {
  readonly server: Pick<Server, 'system' | 'url' | 'relay'>
  readonly claim?: string
  /** Its lanes have these numbers. */
  readonly first: number
  readonly count: number
  /** Of a message. */
  readonly bytes: number
  /** `full`: as many messages of each lane on their way. `paced`: so many a second of the whole process. */
  readonly load:
    | { readonly type: 'full'; readonly window: number }
    | { readonly type: 'paced'; readonly perSecond: number }
}

export interface GeneratorReport {
  readonly delivered: number
  /** Milliseconds, of those delivered since the last report; paced ones only. */
  readonly latencies: readonly number[]
}

export interface Measurement {
  readonly messages: number
  readonly seconds: number
  /** Of the server alone. */
  readonly cpuSeconds: number
  readonly latencies: readonly number[]
}

const PROCESSES = 2
/** Of the load's own processes. Paced ones have little to do, and their compiler as little to go by. */
const WARM_UP_MS = { full: 1_500, paced: 8_000 } as const
/** Of the server since it began, whatever else the machine does: its compiler is done by then. */
const WARM_UP_CPU_MS = 2_000
const WARM_UP_MS_MAX = 12_000
const LOOK_MS = 100
const READY_WAIT_MS = 60_000
const END_WAIT_MS = 2_000

export interface Load {
  readonly lanes: number
  readonly bytes: number
  readonly load: GeneratorOrder['load']
}

/** Puts a server under load from two processes, and measures it once it is warm. */
export async function measureUnderLoad(
  server: Server,
  { measureMs, ...load }: Load & { readonly measureMs: number },
): Promise<Measurement> {
  const [measured] = await measureWhile(server, load, [() => pause(measureMs)])
  if (measured === undefined) throw new Error('nothing was measured')
  return measured
}

/** The same load while one thing after the other happens: what was measured during each. */
export async function measureWhile(
  server: Server,
  { lanes, bytes, load }: Load,
  happenings: readonly (() => Promise<unknown>)[],
): Promise<Measurement[]> {
  const count = lanes / PROCESSES
  const children: Generator[] = []
  try {
    for (let i = 0; i < PROCESSES; i++) {
      const [claim] = server.claims
      const { system, url, relay } = server
      const share = load.type === 'paced' ? { ...load, perSecond: load.perSecond / PROCESSES } : load
      const order = { server: { system, url, relay }, first: i * count, count, bytes, load: share }
      children.push(new Generator({ ...order, ...(claim === undefined ? {} : { claim }) }))
      // One after the other: the first to log in brings the mesh's claim.
      await children.at(-1)?.hear()
    }
    for (const child of children) child.say('go')
    await warmUp(server, WARM_UP_MS[load.type])
    const measured: Measurement[] = []
    for (const happen of happenings) {
      const before = await sample(children)
      const [cpuBefore, startedMs] = [cpuMs(server.pid), performance.now()]
      await happen()
      const [cpuAfter, endedMs] = [cpuMs(server.pid), performance.now()]
      const after = await sample(children)
      measured.push({
        messages: after.delivered - before.delivered,
        seconds: (endedMs - startedMs) / 1_000,
        cpuSeconds: (cpuAfter - cpuBefore) / 1_000,
        latencies: after.latencies,
      })
    }
    return measured
  } finally {
    await Promise.all(children.map((child) => child.end()))
  }
}

async function warmUp(server: Server, leastMs: number): Promise<void> {
  const startedMs = performance.now()
  await pause(leastMs)
  while (cpuMs(server.pid) < WARM_UP_CPU_MS && performance.now() - startedMs < WARM_UP_MS_MAX) await pause(LOOK_MS)
}

async function sample(children: readonly Generator[]): Promise<GeneratorReport> {
  const reports = await Promise.all(
    children.map((child) => {
      child.say('sample')
      return child.hear() as Promise<GeneratorReport>
    }),
  )
  return {
    delivered: reports.reduce((sum, { delivered }) => sum + delivered, 0),
    latencies: reports.flatMap(({ latencies }) => latencies),
  }
}

class Generator {
  readonly #child: ChildProcess

  constructor(order: GeneratorOrder) {
    this.#child = fork(fileURLToPath(new URL('./generator.js', import.meta.url)), [JSON.stringify(order)], {
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    })
  }

  say(word: 'go' | 'sample' | 'stop'): void {
    this.#child.send(word)
  }

  /** The next thing that it says. */
  hear(): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const late = setTimeout(() => reject(new Error('a process of the load says nothing')), READY_WAIT_MS)
      const fail = (code: number | null): void => reject(new Error(`a process of the load ended with ${code}`))
      this.#child.once('exit', fail)
      this.#child.once('message', (said) => {
        clearTimeout(late)
        this.#child.off('exit', fail)
        resolve(said)
      })
    })
  }

  async end(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return
    const gone = new Promise((resolve) => this.#child.once('exit', resolve))
    this.say('stop')
    const late = setTimeout(() => this.#child.kill('SIGKILL'), END_WAIT_MS)
    await gone
    clearTimeout(late)
  }
}
