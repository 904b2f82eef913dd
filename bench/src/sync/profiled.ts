import { Session } from 'node:inspector/promises'
import { type Spent, spentIn } from './cpu-profile.ts'

/** What a host of a node is told while it is profiled, and what it answers. */
export type ToProfiled = { readonly type: 'profile'; readonly on: boolean }
export type FromProfiled = { readonly type: 'profiling' } | { readonly type: 'profiled'; readonly spent: Spent }

const SAMPLE_US = 500

/** In a process that hosts a node: obeys beside whatever else the process is told. */
export async function serveProfiler(): Promise<void> {
  const session = new Session()
  session.connect()
  await session.post('Profiler.enable')
  await session.post('Profiler.setSamplingInterval', { interval: SAMPLE_US })
  const answer = async ({ on }: ToProfiled): Promise<FromProfiled> => {
    if (!on) return { type: 'profiled', spent: spentIn((await session.post('Profiler.stop')).profile) }
    await session.post('Profiler.start')
    return { type: 'profiling' }
  }
  process.on('message', (message: ToProfiled | { readonly type: 'other' }) => {
    if (message.type !== 'profile') return
    answer(message).then(
      (said) => process.send?.(said),
      (error: unknown) => {
        process.stderr.write(`the profiler failed: ${String(error)}\n`)
        process.exit(1)
      },
    )
  })
}
