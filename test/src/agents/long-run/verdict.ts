import type { RunFigures } from './run.ts'

/**
 * V8 grows a heap in steps and gives back late, and bounded tables (marks of letters, answers by id, the ring of events)
 * fill for longer than a run of ten minutes. What leaks at the rates of this run doubles within minutes.
 */
export const MEMORY_RATIO_MAX = 1.3

/** Where the run fell short of what is promised; empty where it did not. */
export function shortcomings({ durable, tasks, votes, memory, traces }: RunFigures): string[] {
  const short: string[] = []
  if (durable.accepted === 0) short.push('no durable message was accepted')
  if (durable.lost.length > 0) short.push(`${durable.lost.length} durable messages were accepted and never handled`)
  if (tasks.opened === 0 || tasks.done !== tasks.opened) short.push(`${tasks.done} of ${tasks.opened} tasks are done`)
  if (tasks.wrong.length > 0) short.push(`tasks: ${tasks.wrong.slice(0, 5).join(', ')}`)
  if (votes.wrong.length > 0) short.push(`votes: ${votes.wrong.slice(0, 5).join(', ')}`)
  for (const machine of ['home', 'office'] as const)
    if (!(memory[machine].ratio <= MEMORY_RATIO_MAX)) short.push(`memory of ${machine}: ${memory[machine].ratio}`)
  for (const what of ['task', 'vote'] as const)
    if (traces[what].length < 4) short.push(`the trace of a ${what} has ${traces[what].length} lines`)
  return short
}
