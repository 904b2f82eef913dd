import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import type { TrialCluster } from './trials.ts'

const TICKS_PER_SECOND = Number(execFileSync('getconf', ['CLK_TCK']).toString())

/** Processor time of all relays together, and of all NATS servers, in the kernel's ticks. */
export interface Ticks {
  readonly relays: number
  readonly nats: number
}

export function ticksNow({ relays, servers }: TrialCluster): Ticks {
  let nats = 0
  for (let at = 0; at < servers.count; at++) nats += ticksOf(servers.pid(at))
  return { relays: relays.all.reduce((sum, { pid }) => sum + ticksOf(pid), 0), nats }
}

/** µs for each of so many messages. */
export function timeEach(from: Ticks, to: Ticks, messages: number): { relays: number; nats: number } {
  const each = (ticks: number): number => Math.round((ticks / TICKS_PER_SECOND / messages) * 1e7) / 10
  return { relays: each(to.relays - from.relays), nats: each(to.nats - from.nats) }
}

/** User and system time of a process. */
function ticksOf(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1)?.split(' ') ?? []
  return Number(fields[11]) + Number(fields[12])
}
