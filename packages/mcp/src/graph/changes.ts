import { GRAPH_LAYER } from '@sealmesh/protocol/memory/graph-layout'
import type { AgentCalls } from '../agent-calls.ts'

/** One call writes several registers, and another machine's come in one packet: they are told as one change. */
const TOGETHER_MS = 50

/** Tells when the graph changes, whoever changes it: this assistant, another one, or another machine. */
export function graphChanges(agent: AgentCalls): (listener: () => void) => () => void {
  const listeners = new Set<() => void>()
  let isWatched = false
  let soon: NodeJS.Timeout | undefined
  const changed = (): void => {
    soon ??= setTimeout(() => {
      soon = undefined
      for (const tell of listeners) tell()
    }, TOGETHER_MS).unref()
  }
  return (listener) => {
    listeners.add(listener)
    if (!isWatched) {
      isWatched = true
      // Without it the client is told of nothing, and can still read.
      agent.watchMemory(`${agent.name}.${GRAPH_LAYER}.`, changed).catch(() => (isWatched = false))
    }
    return () => listeners.delete(listener)
  }
}
