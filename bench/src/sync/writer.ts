import { untilIdle } from './idle.ts'
import { type Burst, type FromWriter, keyOf, monotonicMs, type ToWriter, valueOf } from './workload.ts'

/** What a system offers to write with. A writer is a connection, or whatever else the system gives to each agent. */
export interface Writers {
  write(writer: number, entries: readonly { key: string; value: string }[]): void
  close(): Promise<void>
}

/** The writing process of either system: takes orders from the bench, and never has more in flight than it says. */
export function serveWriter(writers: Writers): void {
  const seen = new Map<number, number>()
  let wake = () => {}

  const tell = (message: FromWriter) => process.send?.(message)
  process.on('message', (message: ToWriter) => {
    switch (message.type) {
      case 'burst':
        void burst(message.burst)
        break
      case 'paced':
        paced(message.run, message.writes, message.everyMs)
        break
      case 'seen':
        seen.set(message.writer, message.index)
        wake()
        break
      case 'rest':
        void untilIdle().then(() => tell({ type: 'rested' }))
        break
      case 'stop':
        void writers.close().then(() => process.exit(0))
        break
    }
  })
  tell({ type: 'ready' })

  async function burst(order: Burst): Promise<void> {
    seen.clear()
    const next = Array.from({ length: order.writers }, () => 0)
    const startedMs = monotonicMs()
    for (;;) {
      let sent = false
      for (let writer = 0; writer < order.writers; writer++) {
        const from = next[writer] ?? 0
        const to = Math.min(from + order.batch, order.writesPerWriter)
        if (to === from || to - ((seen.get(writer) ?? -1) + 1) > order.window) continue
        const entries = []
        for (let index = from; index < to; index++)
          entries.push({ key: keyOf(order.writers, writer, index), value: valueOf({ run: order.run, writer, index }) })
        writers.write(writer, entries)
        next[writer] = to
        sent = true
      }
      if (next.every((index) => index === order.writesPerWriter)) break
      // Let what was written leave the process before more is made.
      if (sent) await new Promise((resolve) => setImmediate(resolve))
      else
        await new Promise<void>((resolve) => {
          wake = resolve
        })
    }
    tell({ type: 'done', run: order.run, startedMs, sentMs: [] })
  }

  function paced(run: number, writes: number, everyMs: number): void {
    const startedMs = monotonicMs()
    const sentMs: number[] = []
    const tick = () => {
      while (sentMs.length < writes && monotonicMs() >= startedMs + sentMs.length * everyMs) {
        const index = sentMs.length
        const entry = { key: keyOf(1, 0, index), value: valueOf({ run, writer: 0, index }) }
        sentMs.push(monotonicMs())
        writers.write(0, [entry])
      }
      if (sentMs.length === writes) tell({ type: 'done', run, startedMs, sentMs })
      else setTimeout(tick, Math.max(0, startedMs + sentMs.length * everyMs - monotonicMs()))
    }
    tick()
  }
}
