import { readFileSync } from 'node:fs'

/** What Linux says of a process, from outside: nothing has to be asked of whoever is measured. */

/** Clock ticks of /proc, 100 a second on every Linux that Node runs on. */
const TICK_MS = 10
const USER_TICKS_AT = 11

/** CPU time of all its threads since it began, in the kernel too. */
export function cpuMs(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
  // The name in brackets may hold blanks: what is counted begins behind it.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return TICK_MS * (Number(fields[USER_TICKS_AT]) + Number(fields[USER_TICKS_AT + 1]))
}

/** Memory that is its own, and that only it can give back: pages of files that a database has mapped are the kernel's. */
export function ownBytes(pid: number): number {
  const kilobytes = /^RssAnon:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]
  return 1_024 * Number(kilobytes)
}
