import { setTimeout as pause } from 'node:timers/promises'
import { connectAgents } from '@sealmesh/agent/client/connect-agents'
import { Failure } from '@sealmesh/protocol/errors'
import { onTestFinished } from 'vitest'
import type { AgentsNode } from './agents-node.ts'

/**
 * Starts the node again, again and again, until another program was quicker to attach as that agent than the one that was
 * it before. Gives what makes that program leave.
 */
export async function stealAtRestart(node: AgentsNode, name: string): Promise<() => Promise<void>> {
  for (;;) {
    const restarted = new AbortController()
    const taking = take(node, name, restarted.signal)
    await node.restart()
    restarted.abort()
    const leave = await taking
    if (leave !== undefined) return leave
  }
}

/** Attaches the moment that the node lets it; undefined where the one of before was first. */
async function take(
  node: AgentsNode,
  name: string,
  restarted: AbortSignal,
): Promise<(() => Promise<void>) | undefined> {
  for (;;) {
    try {
      const connection = await connectAgents({ home: node.home, patienceMs: 0 })
      onTestFinished(() => connection.close())
      const thief = await connection.attach({ token: node.tokens.get(name) ?? '', inbox: 'pull' })
      while (!restarted.aborted) await pause(1)
      // Of the node that there is now, not of the one before.
      await thief.agents()
      return () => connection.close()
    } catch (error) {
      if (restarted.aborted && error instanceof Failure && error.code === 'AGENT_ATTACHED') return undefined
      await pause(1)
    }
  }
}
