import { setTimeout as pause } from 'node:timers/promises'
import { Failure } from '@sealmesh/protocol/errors'
import type { Member } from './member.ts'

export interface Errands {
  readonly tasks: { opened: number; done: number; wrong: string[]; open: Set<string>; redone: number }
  readonly questions: { asked: number; answered: number }
  readonly votes: { called: number; decided: number; wrong: string[] }
  /** Tasks and votes in the order in which they ended. */
  readonly ended: { readonly by: string; readonly id: string; readonly pattern: 'task' | 'vote' }[]
}

export const noErrands = (): Errands => ({
  tasks: { opened: 0, done: 0, wrong: [], open: new Set(), redone: 0 },
  questions: { asked: 0, answered: 0 },
  votes: { called: 0, decided: 0, wrong: [] },
  ended: [],
})

const VOTE_WITHIN_MS = 10_000
/** A vote of the other machine's partner and of a neighbour is called with every such question. */
const VOTE_EVERY = 8

/** One agent gives tasks, asks, and calls votes, until the signal. Resolves when all of its tasks and votes have ended. */
export async function runErrands(
  member: Member,
  electorate: readonly string[],
  errands: Errands,
  everyMs: number,
  signal: AbortSignal,
): Promise<void> {
  const open: Promise<void>[] = []
  for (let at = 0; !signal.aborted; at++) {
    open.push(giveTask(member, at, errands), askOne(member, errands))
    if (at % VOTE_EVERY === 0) open.push(callVote(member, at, electorate, errands))
    await pause(everyMs)
  }
  await Promise.all(open)
}

async function giveTask({ name, patterns }: Member, at: number, { tasks, ended }: Errands): Promise<void> {
  const id = `${name}-${at}`
  const task = await again(() => patterns.tasks.open({ id, title: `square ${at}`, capability: 'square', payload: at }))
  tasks.opened += 1
  tasks.open.add(id)
  const { state, result } = await task.settled
  if (!tasks.open.delete(id)) tasks.wrong.push(`${id} ended twice`)
  if (state === 'done' && result?.ok === true && result.value === at ** 2) tasks.done += 1
  else tasks.wrong.push(`${id} ${state}`)
  ended.push({ by: name, id, pattern: 'task' })
}

/** Questions are promised nothing: those of a node that dies end without an answer. */
async function askOne({ patterns }: Member, { questions }: Errands): Promise<void> {
  questions.asked += 1
  const end = await patterns.asker.ask('length', 'mesh', { withinMs: 10_000, tryMs: 2_000 }).catch(() => undefined)
  if (end?.state === 'answered' && end.value === 4) questions.answered += 1
}

async function callVote(
  { name, patterns }: Member,
  at: number,
  electorate: readonly string[],
  { votes, ended }: Errands,
): Promise<void> {
  const id = `${name}-vote-${at}`
  const wanted = { id, question: 'Go on?', options: ['yes', 'no'], electorate, withinMs: VOTE_WITHIN_MS }
  const vote = await again(() => patterns.votes.call(wanted))
  votes.called += 1
  const { decision, counts, abstained, missing } = await vote.outcome
  const counted = counts.reduce((sum, each) => sum + each.votes, 0)
  if (counted + abstained + missing !== electorate.length) votes.wrong.push(`${id} counted ${counted}`)
  if (decision === 'yes') votes.decided += 1
  ended.push({ by: name, id, pattern: 'vote' })
}

/** A call that broke off with its node is made again, under the same id. */
async function again<T>(call: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await call()
    } catch (error) {
      if (!(error instanceof Failure) || error.code !== 'NODE_NOT_RUNNING') throw error
      await pause(100)
    }
  }
}
