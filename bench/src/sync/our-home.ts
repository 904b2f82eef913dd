import { setTimeout as wait } from 'node:timers/promises'
import { startNode } from '@sealmesh/node/main'
import { serveProfiler } from './profiled.ts'
import { serveWriter } from './writer.ts'

/** node our-home.js HOME PREFIX: a process that hosts the home node and writes through it, as the rival's hosts its Y.Doc. */
const [home = '', prefix = '', how = ''] = process.argv.slice(2)
if (how === 'profiled') await serveProfiler()
const node = await startNode({ home })
const nobody = { notify: () => undefined, signal: new AbortController().signal }
while ((await node.handlers.status({}, nobody)).relays[0]?.state !== 'live') await wait(20)

serveWriter({
  write(_writer, entries) {
    const writes = entries.map(({ key, value }) => ({ umr: prefix + key, value: JSON.stringify(value) }))
    const [only] = writes
    const answered =
      writes.length === 1 && only !== undefined
        ? node.handlers.set({ ...only, tags: [] }, nobody)
        : node.handlers['set.many']({ writes, onlyChanged: false }, nobody)
    Promise.resolve(answered).catch(fail)
  },
  close: () => node.close(),
})

/** A write that was refused would make the rest of the figures meaningless. */
function fail(error: unknown): never {
  process.stderr.write(`a write failed: ${error instanceof Error ? error.message : String(error)}\n`)
  process.exit(1)
}
