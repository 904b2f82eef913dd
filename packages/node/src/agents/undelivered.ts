import type { Roster } from './roster.ts'
import type { Trace } from './trace.ts'

export interface UndeliveredDeps {
  readonly trace: Trace
  readonly roster: Pick<Roster, 'agentNamed' | 'seat'>
  readonly nodeName: () => string
}

/** Tells a sender that is attached here which of its messages nobody will read, and why. */
export const tellUndelivered = ({ trace, roster, nodeName }: UndeliveredDeps): (() => void) =>
  trace.onEnd((event, { id, from }, { agent = null, to = null }) => {
    const [name = '', machine] = from.split('@')
    const sender = machine === nodeName() ? roster.agentNamed(name) : undefined
    const attachment = sender === undefined ? undefined : roster.seat(sender.id)?.attachment
    // A program that does not read loses these: `trace` has them.
    if (attachment?.client.stream?.hasRoom() !== true) return
    const news = { as: attachment.as, id, agent, machine: to, reason: event }
    attachment.client.stream.tellText('undelivered', JSON.stringify(news))
  })
