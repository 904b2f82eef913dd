import { connectAgent } from '@sealmesh/agent/client/connect-agents'
import { Patterns } from '@sealmesh/agent/patterns/patterns'

/** Calls a vote of the agents on its command line, and prints how it ended. The token comes from SEALMESH_AGENT_TOKEN. */
const electorate = process.argv.slice(2)
const { agent, close } = await connectAgent()
const patterns = await Patterns.start(agent)
const vote = await patterns.votes.call({
  question: 'Deploy today?',
  options: ['yes', 'no'],
  electorate,
  withinMs: 20_000,
})
const { decision, reason, counts } = await vote.outcome
console.log(
  `${decision ?? 'no decision'} (${reason}): ${counts.map(({ option, votes }) => `${option} ${votes}`).join(', ')}`,
)
await patterns.close()
await close()
