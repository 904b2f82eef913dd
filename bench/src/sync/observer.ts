import { untilIdle } from './idle.ts'
import { type FromObserver, monotonicMs, readValue, type ToObserver } from './workload.ts'

/** The watching process of either system, at the other machine. Returns what the system calls for each value seen. */
export function serveObserver(close: () => Promise<void>): (key: string, value: string) => void {
  let run = -1
  let newest = new Map<number, number>()
  let moved = new Set<number>()
  let seenMs: number[] = []
  let last = new Map<string, [writer: number, index: number]>()
  let visibleMs = 0

  const tell = (message: FromObserver) => process.send?.(message)
  process.on('message', (message: ToObserver) => {
    switch (message.type) {
      case 'expect':
        run = message.run
        newest = new Map()
        moved = new Set()
        seenMs = []
        last = new Map()
        tell({ type: 'expecting', run })
        break
      case 'report':
        tell({ type: 'report', seenMs, last: [...last].map(([key, [writer, index]]) => [key, writer, index]) })
        break
      case 'rest':
        void untilIdle().then(() => tell({ type: 'rested' }))
        break
      case 'stop':
        void close().then(() => process.exit(0))
        break
    }
  })
  tell({ type: 'ready' })

  return (key, value) => {
    const seen = readValue(value)
    if (seen === undefined || seen.run !== run) return
    visibleMs = monotonicMs()
    if (seen.writer === 0) seenMs[seen.index] = visibleMs
    if (seen.index > (last.get(key)?.[1] ?? -1)) last.set(key, [seen.writer, seen.index])
    if (seen.index <= (newest.get(seen.writer) ?? -1)) return
    newest.set(seen.writer, seen.index)
    // One message for each turn of the loop, in both systems, so that telling costs both the same.
    if (moved.size === 0)
      setImmediate(() => {
        const changes = [...moved].map((writer): [number, number] => [writer, newest.get(writer) ?? -1])
        moved.clear()
        tell({ type: 'seen', run, newest: changes, atMs: visibleMs })
      })
    moved.add(seen.writer)
  }
}
