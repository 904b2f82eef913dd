import type { ChildProcess } from 'node:child_process'
import { fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { type Burst, type FromObserver, type FromWriter, keyOf, type ToObserver, type ToWriter } from './workload.ts'

const STUCK_MS = 120_000

/** Starts one of the bench's own processes beside this file. */
export function startPart(file: string, args: readonly string[]): ChildProcess {
  return fork(fileURLToPath(new URL(file, import.meta.url)), args, {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    execArgv: [],
  })
}

/** Resolves with what `pick` first returns; rejects when the process ends first, or says nothing for two minutes. */
export function awaitMessage<M, T>(child: ChildProcess, pick: (message: M) => T | undefined): Promise<T> {
  return new Promise((resolve, reject) => {
    const onMessage = (message: unknown) => {
      const picked = pick(message as M)
      if (picked !== undefined) finish(() => resolve(picked))
    }
    const onExit = (code: number | null) => finish(() => reject(new Error(`a part of the bench ended with ${code}`)))
    const stuck = setTimeout(() => finish(() => reject(new Error('the bench is stuck'))), STUCK_MS)
    const finish = (settle: () => void) => {
      child.off('message', onMessage)
      child.off('exit', onExit)
      clearTimeout(stuck)
      settle()
    }
    child.on('message', onMessage)
    child.on('exit', onExit)
  })
}

/** A writer on one machine and an observer on the other, of either system. */
export interface Pair {
  readonly writer: ChildProcess
  readonly observer: ChildProcess
}

export async function openPair(writer: ChildProcess, observer: ChildProcess): Promise<Pair> {
  const ready = (message: { type: string }) => (message.type === 'ready' ? true : undefined)
  await Promise.all([awaitMessage(writer, ready), awaitMessage(observer, ready)])
  return { writer, observer }
}

export async function closePair(pair: Pair): Promise<void> {
  const children = [pair.writer, pair.observer]
  const gone = children.map((child) => new Promise((resolve) => child.once('exit', resolve)))
  for (const child of children) child.send({ type: 'stop' })
  await Promise.all(gone)
}

/** When both have done what they had put off. */
export async function restPair(pair: Pair): Promise<void> {
  const rested = (message: { type: string }) => (message.type === 'rested' ? true : undefined)
  const both = Promise.all([awaitMessage(pair.writer, rested), awaitMessage(pair.observer, rested)])
  toWriter(pair, { type: 'rest' })
  toObserver(pair, { type: 'rest' })
  await both
}

const toWriter = (pair: Pair, message: ToWriter) => pair.writer.send(message)
const toObserver = (pair: Pair, message: ToObserver) => pair.observer.send(message)

/** Writes per second, from the first write until the last is visible on the other side. */
export async function runBurst(pair: Pair, burst: Burst): Promise<number> {
  await expectRun(pair, burst.run)
  const newest = new Map<number, number>()
  const allSeen = awaitMessage(pair.observer, (message: FromObserver) => {
    if (message.type !== 'seen' || message.run !== burst.run) return undefined
    for (const [writer, index] of message.newest) {
      newest.set(writer, index)
      toWriter(pair, { type: 'seen', writer, index })
    }
    const complete = [...newest.values()].filter((index) => index === burst.writesPerWriter - 1).length
    return complete === burst.writers ? message.atMs : undefined
  })
  const sent = awaitMessage(pair.writer, (message: FromWriter) => (message.type === 'done' ? message : undefined))
  toWriter(pair, { type: 'burst', burst })
  const [endedMs, { startedMs }] = await Promise.all([allSeen, sent])
  checkEnd(burst, await report(pair))
  return (burst.writers * burst.writesPerWriter) / ((endedMs - startedMs) / 1_000)
}

/** Milliseconds from each `set` until it was visible on the other side. */
export async function runPaced(pair: Pair, run: number, writes: number, everyMs: number): Promise<number[]> {
  await expectRun(pair, run)
  const allSeen = awaitMessage(pair.observer, (message: FromObserver) =>
    message.type === 'seen' && message.newest.some(([, index]) => index === writes - 1) ? true : undefined,
  )
  const sent = awaitMessage(pair.writer, (message: FromWriter) => (message.type === 'done' ? message : undefined))
  toWriter(pair, { type: 'paced', run, writes, everyMs })
  const [{ sentMs }] = await Promise.all([sent, allSeen])
  const { seenMs } = await report(pair)
  return sentMs.map((atMs, index) => {
    const visible = seenMs[index]
    if (visible === undefined || visible === null) throw new Error(`write ${index} was never visible by itself`)
    return visible - atMs
  })
}

/** Before the first write leaves, the observer must know what it is looking for. */
async function expectRun(pair: Pair, run: number): Promise<void> {
  const expecting = awaitMessage(pair.observer, (message: FromObserver) =>
    message.type === 'expecting' && message.run === run ? true : undefined,
  )
  toObserver(pair, { type: 'expect', run })
  await expecting
}

async function report(pair: Pair): Promise<Extract<FromObserver, { type: 'report' }>> {
  const answer = awaitMessage(pair.observer, (message: FromObserver) =>
    message.type === 'report' ? message : undefined,
  )
  toObserver(pair, { type: 'report' })
  return await answer
}

/** A system that is fast because it lost a write is not fast. */
function checkEnd(burst: Burst, { last }: Extract<FromObserver, { type: 'report' }>): void {
  const held = new Map(last.map(([key, writer, index]) => [key, `${writer}:${index}`]))
  for (let writer = 0; writer < burst.writers; writer++) {
    const expected = new Map<string, number>()
    for (let index = Math.max(0, burst.writesPerWriter - 1_000); index < burst.writesPerWriter; index++)
      expected.set(keyOf(burst.writers, writer, index), index)
    for (const [key, index] of expected)
      if (held.get(key) !== `${writer}:${index}`)
        throw new Error(`${key} ended as ${held.get(key) ?? 'nothing'}, not as ${writer}:${index}`)
  }
}
