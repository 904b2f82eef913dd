import { heapBytes, report } from './child.ts'
import { monotonicMs } from '../sync/workload.ts'

/** node --expose-gc engine-run.js SYSTEM KEYS WRITERS WRITES */

export type EngineName = 'ours' | 'y-map' | 'y-key-value' | 'automerge' | 'loro'

export interface EngineFigures {
  readonly opsPerSecond: number
  readonly encodedBytes: number
  readonly proofBytes: number
  readonly liveBytes: number
  readonly heapBytes: number
}

/** One system with as many replicas as there are writers, each of which has what the others wrote. */
export interface Engine {
  write(writer: number, key: string, value: string): void
  read(replica: number, key: string): string | undefined
  encode(): { readonly state: number; readonly proof: number }
}

const VALUE_BYTES = 84
const [system = '', keyCount = '10', writerCount = '1', writeCount = '1000'] = process.argv.slice(2)
const [keys, writers, writes] = [Number(keyCount), Number(writerCount), Number(writeCount)]
const names = Array.from({ length: keys }, (_, i) => `fact-${i}`)
const valueOf = (i: number): string => `${i}.`.padEnd(VALUE_BYTES, 'x')

const make = await engineOf(system as EngineName)
run(make(writers), Math.min(writes, 20_000)) // Compilers.
const before = await heapBytes()
const engine = make(writers)
const seconds = run(engine, writes)
const heap = (await heapBytes()) - before

const liveBytes = names.reduce((bytes, name) => bytes + name.length + VALUE_BYTES, 0)
for (let replica = 0; replica < writers; replica++)
  for (let i = Math.max(0, writes - keys); i < writes; i++)
    if (engine.read(replica, names[i % keys] ?? '') !== valueOf(i))
      throw new Error(`replica ${replica} lost write ${i}`)
const { state, proof } = engine.encode()
report<EngineFigures>({
  opsPerSecond: writes / seconds,
  encodedBytes: state,
  proofBytes: proof,
  liveBytes,
  heapBytes: heap,
})

function run(on: Engine, count: number): number {
  const startedMs = monotonicMs()
  for (let i = 0; i < count; i++) on.write(i % writers, names[i % keys] ?? '', valueOf(i))
  return (monotonicMs() - startedMs) / 1_000
}

/** Loads only what is measured: the others' modules are heap too. */
async function engineOf(name: EngineName): Promise<(writers: number) => Engine> {
  switch (name) {
    case 'ours':
      return (await import('./engine-ours.ts')).ours
    case 'y-map':
      return (await import('./engine-yjs.ts')).yMap
    case 'y-key-value':
      return (await import('./engine-yjs.ts')).yKeyValue
    case 'automerge':
      return (await import('./engine-automerge.ts')).automerge
    case 'loro':
      return (await import('./engine-loro.ts')).loro
  }
}
