import { startNode } from '@sealmesh/node/main'
import { report } from './child.ts'

/** node opening-build.js HOME DOCUMENTS REGISTERS: fills a home with documents of the agent that lives there. */
const [home = '', documents = '0', registers = '0'] = process.argv.slice(2)
const nobody = { notify: () => undefined, signal: new AbortController().signal }
const node = await startNode({ home })
const AT_ONCE = 64
for (let from = 0; from < Number(documents); from += AT_ONCE) {
  const count = Math.min(AT_ONCE, Number(documents) - from)
  await Promise.all(Array.from({ length: count }, async (_, i) => await fill(`home.layer-${from + i}`)))
}
await node.close()
report({})

async function fill(start: string): Promise<void> {
  const writes = Array.from({ length: Number(registers) }, (_, i) => ({
    umr: `${start}.fact-${i}`,
    value: JSON.stringify(`what is known of ${i}`),
  }))
  await node.handlers['set.many']({ writes, onlyChanged: false, newLayer: true }, nobody)
}
