import type { Agent } from '@sealmesh/agent/client/agent'
import { type AgentsConnection, connectAgents } from '@sealmesh/agent/client/connect-agents'
import type { AgentCalls } from '@sealmesh/mcp/agent-calls'
import { serving } from '@sealmesh/mcp/server'
import type { MeshTool } from '@sealmesh/mcp/tools/mesh-tools'
import { Failure } from '@sealmesh/protocol/errors'
import { versionNumber } from '../version-number.ts'

export interface ServeOptions {
  readonly home: string
  readonly token: string
  readonly tools?: ReadonlySet<MeshTool>
  readonly compat?: 'server-memory'
  /** Loopback HTTP in place of stdin and stdout. */
  readonly port?: number
  readonly signal: AbortSignal
  /** `shared`: another program is the agent already and reads its messages. */
  readonly ready: (how: { readonly name: string; readonly url: string | null; readonly shared: boolean }) => void
}

/** Speaks MCP for one agent until the client or the owner ends it. */
export async function serveMcp(options: ServeOptions): Promise<void> {
  const connection = await connectAgents({ home: options.home })
  try {
    const { agent, shared } = await attach(connection, options)
    const { tools, compat, token, port, signal } = options
    const { factory, settle } = serving({
      version: versionNumber(),
      agent: shared ? withoutMail(agent) : agent,
      ...(tools === undefined ? {} : { allowed: tools }),
      ...(compat === undefined ? {} : { compat }),
    })
    if (port === undefined) {
      const { serveOnStdio } = await import('@sealmesh/mcp/stdio')
      options.ready({ name: agent.name, url: null, shared })
      await serveOnStdio(factory, signal)
      settle()
      await agent.detach()
    } else {
      const { serveHttp } = await import('@sealmesh/mcp/http')
      const http = await serveHttp(factory, { port, token })
      options.ready({ name: agent.name, url: http.url, shared })
      await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }))
      await http.close()
    }
  } finally {
    await connection.close()
  }
}

/** A second window of the same assistant shares the memory; messages go to the one that came first. */
async function attach(
  connection: AgentsConnection,
  { token, compat }: ServeOptions,
): Promise<{ agent: Agent; shared: boolean }> {
  const profile = { kind: 'llm' as const }
  // The memory server's face has no messages.
  if (compat !== undefined) return { agent: await connection.attach({ token, profile, inbox: 'none' }), shared: false }
  try {
    return { agent: await connection.attach({ token, profile }), shared: false }
  } catch (error) {
    if (!(error instanceof Failure) || error.code !== 'AGENT_ATTACHED') throw error
    return { agent: await connection.attach({ token, profile, inbox: 'none' }), shared: true }
  }
}

const withoutMail = (agent: Agent): AgentCalls => ({
  name: agent.name,
  call: (method, params) => agent.call(method, params),
  readsMail: false,
  onDelivery: () => () => undefined,
})
