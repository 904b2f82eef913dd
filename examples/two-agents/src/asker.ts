import { connectAgent } from '@sealmesh/agent/client/connect-agents'

/** Asks another agent two things, and prints what it says. The token comes from SEALMESH_AGENT_TOKEN. */
const QUESTIONS = ['island', 'moon'] as const

const { agent, close } = await connectAgent({ profile: { role: 'traveller' } })
const open = new Map<string, string>()
const allAnswered = new Promise<void>((resolve) => {
  agent.onDelivery(({ message }) => {
    const question = open.get(message.correlation ?? '')
    if (message.type !== 'response' || question === undefined) return
    open.delete(message.correlation ?? '')
    console.log(`${message.from} on ${question}: ${String(message.payload)}`)
    if (open.size === 0) resolve()
  })
})
for (const [at, question] of QUESTIONS.entries()) {
  // Noted before it is sent: the answer may be here first.
  const id = `${process.pid}-${at}`
  open.set(id, question)
  // Durable: on disk until bob has read it, so he may as well start later.
  await agent.send({ to: 'bob', type: 'question', id, payload: question, durable: true })
}
await allAnswered
await close()
