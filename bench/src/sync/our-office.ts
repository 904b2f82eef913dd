import { startNode } from '@sealmesh/node/main'
import { serveProfiler } from './profiled.ts'
import { serveObserver } from './observer.ts'

/** node our-office.js HOME PREFIX: a process that hosts the office node and sees what is durable there. */
const [home = '', prefix = '', how = ''] = process.argv.slice(2)
if (how === 'profiled') await serveProfiler()
const node = await startNode({ home })
const saw = serveObserver(() => node.close())
await node.handlers.watch(
  { prefix },
  {
    signal: new AbortController().signal,
    notify: ({ umr, type, value }) => {
      if (type !== 'set' || value === null) return
      const text: unknown = JSON.parse(value)
      if (typeof text === 'string') saw(umr.slice(prefix.length), text)
    },
  },
)
