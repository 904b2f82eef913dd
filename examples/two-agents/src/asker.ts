import { randomUUID } from 'node:crypto'
import { connectAgent } from '@sealmesh/agent/client/connect-agents'

/** Asks another agent two things, and prints what it says. The token comes from SEALMESH_AGENT_TOKEN. */
const QUESTIONS = ['island', 'moon'] as const

const { agent, close } = await connectAgent({ profile: { role: 'traveller' } })
// Noted before any is sent: the first answer may be here before the second question has gone, and is not the last one.
const open = new Map<string, string>(QUESTIONS.map((question) => [randomUUID(), question]))
const questions = [...open]
const allAnswered = new Promise<void>((resolve) => {
  agent.onDelivery(({ message }) => {
    const question = open.get(message.correlation ?? '')
    if (message.type !== 'response' || question === undefined) return
    open.delete(message.correlation ?? '')
    console.log(`${message.from} on ${question}: ${String(message.payload)}`)
    if (open.size === 0) resolve()
  })
})
for (const [id, payload] of questions) {
  // Durable: on disk until bob has read it, so he may as well start later.
  await agent.send({ to: 'bob', type: 'question', id, payload, durable: true })
}
await allAnswered
await close()
