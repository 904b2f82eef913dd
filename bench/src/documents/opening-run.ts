import { setTimeout as wait } from 'node:timers/promises'
import { startNode } from '@sealmesh/node/main'
import { monotonicMs } from '../sync/workload.ts'
import { heapBytes, report } from './child.ts'

/** node opening-run.js HOME DOCUMENTS */

export interface OpeningFigures {
  readonly openMs: number
  readonly idleBytes: number
  readonly afterReadingBytes: number
  readonly heapBytes: number
}

const SETTLE_MS = 2_000
const [home = '', documents = '0'] = process.argv.slice(2)
const nobody = { notify: () => undefined, signal: new AbortController().signal }

const startedMs = monotonicMs()
const node = await startNode({ home })
const openMs = monotonicMs() - startedMs
await heapBytes()
const idleBytes = process.memoryUsage.rss()
// Every document is read once, one after the other: what they leave behind is what idle documents cost.
for (let i = 0; i < Number(documents); i++) await node.handlers.get({ umr: `home.layer-${i}.fact-0` }, nobody)
await wait(SETTLE_MS)
const heap = await heapBytes()
const afterReadingBytes = process.memoryUsage.rss()
await node.close()
report<OpeningFigures>({ openMs, idleBytes, afterReadingBytes, heapBytes: heap })
