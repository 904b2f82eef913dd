import { connectAgent } from '@sealmesh/agent/client/connect-agents'
import { systemDeps } from '@sealmesh/agent/patterns/deps'
import { Patterns } from '@sealmesh/agent/patterns/patterns'
import { FarWorkers } from './far-workers.ts'

/** Gives each number on its command line to a worker, and prints each result. The token comes from SEALMESH_AGENT_TOKEN. */
const numbers = process.argv.slice(2).map(Number)

const far = new FarWorkers()
const { agent, close } = await connectAgent({ profile: { role: 'boss' } })
agent.onDelivery(({ message }) => far.hear(message))
const { tasks } = await Patterns.start(agent, {
  deps: (port) => systemDeps(far.portOf(port)),
  // Much quicker than the usual ones: what is lost here is lost within one machine.
  heartbeats: {
    everyMs: 500,
    suspectMs: 1_500,
    lostMs: 3_000,
    onChange: (name, health) => console.log(`${name} is ${health}`),
  },
})
const all = numbers.map(async (number) => {
  const task = await tasks.open({ title: `square ${number}`, capability: 'square', payload: number })
  const { state, result, doneBy, attempt } = await task.settled
  const value = result?.ok === true ? result.value : state
  console.log(`${number} -> ${String(value)} by ${doneBy ?? 'nobody'}, attempt ${attempt}`)
})
await Promise.all(all)
await close()
