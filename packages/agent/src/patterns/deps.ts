import { randomUUID } from 'node:crypto'
import type { AgentPort } from '../agent-port.ts'
import { Offers } from './offers.ts'
import { Trace } from './trace.ts'

/** What the drivers of the patterns use of the world. */
export interface PatternDeps {
  readonly port: AgentPort
  readonly nowMs: () => number
  /** Runs once, after so many milliseconds, unless what it gives is called before. */
  readonly after: (ms: number, run: () => void) => () => void
  /** 1 to 40 letters, digits, `-` and `_`; never the same twice. */
  readonly newId: () => string
  readonly trace: Trace
  readonly offers: Offers
}

/** With this machine's clock, timers and randomness. A timer keeps no process alive that has nothing else to do. */
export const systemDeps = (port: AgentPort): PatternDeps => ({
  port,
  nowMs: () => Date.now(),
  after: (ms, run) => {
    const timer = setTimeout(run, ms)
    timer.unref()
    return () => clearTimeout(timer)
  },
  newId: () => randomUUID(),
  trace: new Trace(),
  offers: new Offers(port),
})
