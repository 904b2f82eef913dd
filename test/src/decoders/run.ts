import { once } from 'node:events'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads'
import { loadSodium } from '@sealmesh/sodium/load'
import { allDecoders } from './decoders.ts'
import { Mutations } from './mutations.ts'

/**
 * `node test/dist/decoders/run.js [--count N] [--seed TEXT] [--only NAME]` hands every decoder so many inputs, each in a thread of
 * its own that has little memory. What throws, stands still or grows is printed with its input; any of these is exit 1.
 */
const HEAP_MB = 96
const BUFFERS_MB = 192
/** One input takes microseconds; a thread may have to wait for a core. */
const STILL_MS = 30_000
const LOOK_EVERY = 4_096
const TURN_EVERY = 256

const buffersMb = (): number => process.memoryUsage().arrayBuffers / 1_048_576
setFlagsFromString('--expose-gc')
const collect = runInNewContext('gc') as () => void

interface Job {
  readonly name: string
  readonly count: number
  readonly seed: string
  /** How many inputs it has begun. */
  readonly begun: Int32Array
}
type Outcome = { readonly accepted: number } | { readonly at: number; readonly input: string; readonly why: string }

async function work({ name, count, seed, begun }: Job): Promise<Outcome> {
  const decoder = allDecoders(await loadSodium()).find((each) => each.name === name)
  if (decoder === undefined) throw new Error(`There is no decoder ${name}`)
  const inputs = new Mutations(`${seed} ${name}`, decoder.samples)
  let accepted = 0
  for (let at = 0; at < count; at++) {
    begun[0] = at + 1
    const bytes = inputs.next()
    const failed = (why: string): Outcome => ({ at, input: Buffer.from(bytes).toString('hex'), why })
    try {
      if (decoder.takes(bytes)) accepted += 1
    } catch (error) {
      return failed(error instanceof Error ? (error.stack ?? error.message) : String(error))
    }
    // zlib lets go of what it made in the next turn, as between two packets; what nobody holds any more is no growth.
    if (at % TURN_EVERY === 0) await nextTurn()
    if (at % LOOK_EVERY !== 0 || buffersMb() <= BUFFERS_MB) continue
    collect()
    if (buffersMb() > BUFFERS_MB) return failed('its buffers have grown out of bounds')
  }
  return { accepted }
}

async function run(name: string, count: number, seed: string): Promise<boolean> {
  const begun = new Int32Array(new SharedArrayBuffer(4))
  const worker = new Worker(new URL(import.meta.url), {
    workerData: { name, count, seed, begun } satisfies Job,
    resourceLimits: { maxOldGenerationSizeMb: HEAP_MB },
  })
  let before = -1
  const stillness = new Promise<Outcome>((resolve) => {
    const timer = setInterval(() => {
      if (begun[0] === before) resolve({ at: before - 1, input: 'run again with its seed', why: 'it stands still' })
      before = begun[0] ?? 0
    }, STILL_MS)
    worker.once('exit', () => clearInterval(timer))
  })
  const fell = (error: unknown): Outcome => ({ at: (begun[0] ?? 0) - 1, input: 'run again', why: String(error) })
  const ended = once(worker, 'message').then(([outcome]) => outcome as Outcome, fell)
  const outcome = await Promise.race([ended, stillness])
  await worker.terminate()
  if ('accepted' in outcome) {
    process.stdout.write(`${name}: ${count} inputs, ${outcome.accepted} read, none thrown at\n`)
    return true
  }
  process.stdout.write(`${name}: FAILED at input ${outcome.at} of seed "${seed}": ${outcome.why}\n  ${outcome.input}\n`)
  return false
}

if (isMainThread) {
  const { values } = parseArgs({
    options: { count: { type: 'string' }, seed: { type: 'string' }, only: { type: 'string' } },
  })
  const names = allDecoders(await loadSodium()).map(({ name }) => name)
  const chosen = values.only === undefined ? names : names.filter((name) => name === values.only)
  let failures = chosen.length === 0 ? 1 : 0
  for (const name of chosen)
    if (!(await run(name, Number(values.count ?? 1_000_000), values.seed ?? 'decoders'))) failures += 1
  process.stdout.write(`${chosen.length} decoders, ${failures} failed\n`)
  process.exitCode = failures === 0 ? 0 : 1
} else parentPort?.postMessage(await work(workerData as Job))
