import * as path from 'node:path'
import { startNode } from '@sealmesh/node/main'
import { Level } from 'level'
import { median } from '../result.ts'
import { monotonicMs } from '../sync/workload.ts'
import { report } from './child.ts'

/** node commits-run.js DIRECTORY */

export interface CommitFigures {
  readonly rawPerSecond: number
  readonly putMs: number
  readonly oneDocumentPerSecond: number
  readonly documentEachPerSecond: number
  readonly commitMs: number
}

const WRITERS = 64
const COMMITS_EACH = 1_000
const LONE_COMMITS = 1_000
const TURNS = 20
const KEYS = 10
const VALUE = JSON.stringify('x'.repeat(98))
const nobody = { notify: () => undefined, signal: new AbortController().signal }

const [directory = ''] = process.argv.slice(2)

const level = new Level<string, string>(path.join(directory, 'raw'))
await level.open()
const node = await startNode({ home: path.join(directory, 'home'), name: 'bench', relay: 'none' })
const set = async (umr: string) => await node.handlers.set({ umr, value: VALUE, tags: [], newLayer: true }, nobody)

// Compilers and caches: what the fourth round reaches is what every later one does.
for (let round = 0; round < 3; round++)
  await together(COMMITS_EACH, (writer, i) => set(`bench.warm.${writer}-${i % KEYS}`))
await raw(100)

// Turn by turn: what an fsync costs changes from one second to the next, and a ratio wants both sides of one second.
const ofRaw: number[] = []
const ofOne: number[] = []
const ofEach: number[] = []
for (let turn = 0; turn < TURNS; turn++) {
  ofRaw.push(await raw(COMMITS_EACH / TURNS))
  ofOne.push(await together(COMMITS_EACH / TURNS, (writer, i) => set(`bench.facts.${writer}-${i % KEYS}`)))
  ofEach.push(await together(COMMITS_EACH / TURNS, (writer, i) => set(`bench.own-${writer}.${i % KEYS}`)))
}
const puts: number[] = []
const commits: number[] = []
for (let turn = 0; turn < TURNS; turn++) {
  puts.push(...(await alone((i) => level.put(`fact-${i % KEYS}`, VALUE, { sync: true }))))
  commits.push(...(await alone((i) => set(`bench.alone.fact-${i % KEYS}`))))
}

await level.close()
await node.close()
report<CommitFigures>({
  rawPerSecond: median(ofRaw),
  putMs: median(puts),
  oneDocumentPerSecond: median(ofOne),
  documentEachPerSecond: median(ofEach),
  commitMs: median(commits),
})

/** Synced chained batches of 64 puts, the next when the last is durable. */
async function raw(batches: number): Promise<number> {
  const startedMs = monotonicMs()
  for (let i = 0; i < batches; i++) {
    const batch = level.batch()
    for (let writer = 0; writer < WRITERS; writer++) batch.put(`fact-${writer}-${i % KEYS}`, VALUE)
    await batch.write({ sync: true })
  }
  return (batches * WRITERS) / ((monotonicMs() - startedMs) / 1_000)
}

async function together(commits: number, commit: (writer: number, i: number) => Promise<unknown>): Promise<number> {
  const startedMs = monotonicMs()
  await Promise.all(
    Array.from({ length: WRITERS }, async (_, writer) => {
      for (let i = 0; i < commits; i++) await commit(writer, i)
    }),
  )
  return (commits * WRITERS) / ((monotonicMs() - startedMs) / 1_000)
}

/** How long each took, in ms. */
async function alone(commit: (i: number) => Promise<unknown>): Promise<number[]> {
  const times: number[] = []
  for (let i = 0; i < LONE_COMMITS / TURNS; i++) {
    const startedMs = monotonicMs()
    await commit(i)
    times.push(monotonicMs() - startedMs)
  }
  return times
}
