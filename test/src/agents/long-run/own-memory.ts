import { readFile } from 'node:fs/promises'

export interface Sample {
  readonly atMs: number
  readonly bytes: number
}

/** Memory that is a process's own, in bytes (Linux); pages of files that a database has mapped are the kernel's. */
export async function ownBytes(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8')
  return 1_024 * Number(/^RssAnon:\s+(\d+) kB$/m.exec(status)?.[1])
}

export interface Flatness {
  readonly warmMegabytes: number
  readonly endMegabytes: number
  readonly ratio: number
}

/**
 * The last fifth of what one process lived in the run against the fifth after its first two, in which its rings of
 * history fill: medians, since a heap breathes.
 */
export function flatness(samples: readonly Sample[]): Flatness {
  const from = samples[0]?.atMs ?? 0
  const length = (samples.at(-1)?.atMs ?? 0) - from
  const part = (start: number, end: number): number =>
    medianOf(samples.filter(({ atMs }) => atMs >= from + start * length && atMs <= from + end * length))
  const [warm, end] = [part(0.4, 0.6), part(0.8, 1)]
  return { warmMegabytes: inMegabytes(warm), endMegabytes: inMegabytes(end), ratio: Number((end / warm).toFixed(3)) }
}

function medianOf(samples: readonly Sample[]): number {
  const sorted = samples.map(({ bytes }) => bytes).sort((a, b) => a - b)
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN
}

const inMegabytes = (bytes: number): number => Number((bytes / 1_048_576).toFixed(1))
