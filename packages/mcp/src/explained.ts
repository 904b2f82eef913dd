import { Failure } from '@sealmesh/protocol/errors'
import type { AgentCalls } from './agent-calls.ts'

/** The same agent, whose failures say all that they know: a client shows an error's message and nothing else of it. */
export function explained(agent: AgentCalls): AgentCalls {
  return {
    name: agent.name,
    claimMail: () => agent.claimMail().catch(explain),
    call: (method, params) => agent.call(method, params).catch(explain),
    onDelivery: (listener) => agent.onDelivery(listener),
    watchMemory: (prefix, listener) => agent.watchMemory(prefix, listener),
  }
}

function explain(error: unknown): never {
  if (!(error instanceof Failure)) throw error
  throw new Error(`${error.code}: ${error.message}\nnext: ${error.next}`, { cause: error })
}
