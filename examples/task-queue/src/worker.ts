import { setTimeout as pause } from 'node:timers/promises'
import { connectAgent } from '@sealmesh/agent/client/connect-agents'
import { Patterns } from '@sealmesh/agent/patterns/patterns'
import { I_AM_HERE } from './far-workers.ts'

/** Squares numbers for whoever gives it a task. The token comes from SEALMESH_AGENT_TOKEN. */
const WORK_MS = 1_000
const HERE_EVERY_MS = 500
const ability = { capabilities: ['square'], capacity: 2 }

const { agent } = await connectAgent({ profile: { role: 'worker' } })
await Patterns.start(agent, {
  worker: {
    ...ability,
    handle: async ({ title, payload }, signal) => {
      console.log(`${agent.name} works on: ${title}`)
      await pause(WORK_MS, undefined, { signal })
      return Number(payload) ** 2
    },
  },
})
console.log(`${agent.name} is there`)
for (;;) {
  // What is not durable and cannot be sent now is worth nothing later: the next one says the same.
  await agent.send({ to: 'boss', type: I_AM_HERE, payload: ability }).catch(() => undefined)
  await pause(HERE_EVERY_MS)
}
