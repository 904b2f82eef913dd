import { connectAgent } from '@sealmesh/agent/client/connect-agents'

/** Knows when the ferries leave, and tells whoever asks. The token comes from SEALMESH_AGENT_TOKEN. */
const FERRIES: Readonly<Record<string, string>> = { island: '08:15, 12:40, 18:05', harbour: '07:30, 16:10' }

const { agent } = await connectAgent({ profile: { role: 'timetable', capabilities: ['ferries'] } })
agent.onDelivery(async ({ message }) => {
  if (message.type !== 'question') return
  const payload = FERRIES[String(message.payload)] ?? 'no ferry goes there'
  // `causedBy` makes it an answer: its correlation, its parents and the count of hops follow from it.
  await agent.send({ to: message.from, type: 'response', causedBy: message, correlation: message.id, payload })
})
console.log(`${agent.name} is there`)
