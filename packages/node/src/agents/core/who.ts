import type { AgentId } from '@sealmesh/protocol/ids'
import type { MeshAgent } from '@sealmesh/protocol/membership/mesh'
import { EVERYBODY } from '@sealmesh/protocol/messages/addresses'

/** Between agents of one machine: `open`, or only where the recipient's inbox is granted to the sender by name. */
export type Talk = 'open' | 'granted'

/** An agent that may get messages here. */
export interface Reachable {
  readonly agent: MeshAgent
  readonly attached: boolean
  readonly topics: ReadonlySet<string>
}

/** The layer whose grants say who may write to an agent. Nothing is stored there by messages themselves. */
export const INBOX_LAYER = 'inbox'

export const mayAddress = (sender: AgentId, to: MeshAgent, talk: Talk): boolean =>
  talk === 'open' ||
  sender === to.id ||
  to.grants.some(
    (grant) =>
      grant.layer === INBOX_LAYER &&
      grant.access === 'write' &&
      grant.ended === null &&
      grant.to.type === 'agent' &&
      grant.to.agent === sender,
  )

/** Whoever may get messages here. */
export interface Population<R extends Reachable> {
  named(name: string): R | undefined
  all(): Iterable<R>
}

/**
 * Whom a message goes to. Undefined for one agent that is not there or may not be addressed: both look alike. What is
 * for everybody or a topic goes to those that are attached; what is durable, to those that are away as well.
 */
export function recipientsOf<R extends Reachable>(
  to: string,
  sender: AgentId,
  durable: boolean,
  population: Population<R>,
  rules: { readonly talk: Talk; readonly nodeName: string },
): readonly R[] | undefined {
  if (to === EVERYBODY || to.startsWith('#')) {
    const topic = to === EVERYBODY ? undefined : to.slice(1)
    return [...population.all()].filter(
      (each) =>
        each.agent.id !== sender &&
        (topic === undefined ? each.attached || durable : each.topics.has(topic)) &&
        mayAddress(sender, each.agent, rules.talk),
    )
  }
  const [name = '', node] = to.split('@')
  const one = node === undefined || node === rules.nodeName ? population.named(name) : undefined
  return one !== undefined && mayAddress(sender, one.agent, rules.talk) ? [one] : undefined
}
