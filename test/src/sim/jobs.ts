import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import type { Line, Share } from './worker.ts'
import type { SeedResult } from './world.ts'

const WORKER = fileURLToPath(new URL('worker.js', import.meta.url))
/** The machine that compiles and cleans up beside the one that runs costs a fifth more than it saves. */
const FLAGS = ['--single-threaded', '--always-sparkplug', '--max-semi-space-size=64']

export interface Ran {
  /** In the order of the seeds, up to where it was stopped. */
  readonly results: readonly SeedResult[]
  readonly cpuMs: number
  /** What ended a process before it was through. */
  readonly broken: readonly string[]
}

/** Divides the seeds between so many processes. `each` is told as they come, and says whether to go on. */
export async function runSeeds(share: Share, jobs: number, each: (result: SeedResult) => boolean): Promise<Ran> {
  const results: SeedResult[] = []
  const broken: string[] = []
  let cpuMs = 0
  let isStopped = false
  const perJob = Math.ceil(share.count / jobs)
  const children = Array.from({ length: Math.ceil(share.count / perJob) }, (_, job) => {
    const from = share.from + job * perJob
    const own: Share = { ...share, from, count: Math.min(perJob, share.from + share.count - from) }
    return {
      own,
      child: spawn(process.execPath, [...FLAGS, WORKER, JSON.stringify(own)], { stdio: ['ignore', 'pipe', 'inherit'] }),
    }
  })
  const ended = children.map(async ({ own, child }) => {
    let next = own.from
    for await (const text of createInterface({ input: child.stdout })) {
      const line = JSON.parse(text) as Line
      if (line.type === 'end') {
        cpuMs += line.cpuMs
        continue
      }
      next = line.seed + 1
      results.push(line)
      if (isStopped || each(line)) continue
      isStopped = true
      for (const other of children) other.child.kill()
    }
    if (next < own.from + own.count && !isStopped) broken.push(`seed ${next}: its process has ended`)
  })
  await Promise.all(ended)
  return { results: results.toSorted((a, b) => a.seed - b.seed), cpuMs, broken }
}
