import type { Agent } from '@sealmesh/agent/client/agent'
import { type AgentsConnection, connectAgents } from '@sealmesh/agent/client/connect-agents'
import type { AgentCalls } from '@sealmesh/mcp/agent-calls'
import { type Allowance, narrowed } from '@sealmesh/mcp/allowance'
import { serving } from '@sealmesh/mcp/server'
import { Failure } from '@sealmesh/protocol/errors'
import { versionNumber } from '../version-number.ts'

export interface ServeOptions {
  readonly home: string
  readonly token: string
  /** Names of tools; all of them by default. */
  readonly allowed?: ReadonlySet<string>
  /** What else the agent of that name may use here. */
  readonly allowance: (agent: string) => Allowance
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
    const { allowed, allowance, compat, token, port, signal } = options
    const served = serving({
      version: versionNumber(),
      agent: narrowed(shared ? withoutMail(agent) : agent, allowance(agent.name)),
      ...(allowed === undefined ? {} : { allowed }),
      ...(compat === undefined ? {} : { compat }),
    })
    if (port === undefined) {
      const { serveOnStdio } = await import('@sealmesh/mcp/stdio')
      options.ready({ name: agent.name, url: null, shared })
      await serveOnStdio(served.factory, signal)
      served.settle()
      await agent.detach()
    } else {
      const { serveHttp } = await import('@sealmesh/mcp/http')
      const http = await serveHttp(served, { port, token })
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
  { token, compat, allowed }: ServeOptions,
): Promise<{ agent: Agent; shared: boolean }> {
  const profile = { kind: 'llm' as const }
  // What nobody can read here is not taken from whoever else is the agent, and does not fill an inbox.
  const readsMail = compat === undefined && (allowed === undefined || MAIL_TOOLS.some((tool) => allowed.has(tool)))
  if (!readsMail) return { agent: await connection.attach({ token, profile, inbox: 'none' }), shared: false }
  try {
    return { agent: await connection.attach({ token, profile }), shared: false }
  } catch (error) {
    if (!(error instanceof Failure) || error.code !== 'AGENT_ATTACHED') throw error
    return { agent: await connection.attach({ token, profile, inbox: 'none' }), shared: true }
  }
}

const MAIL_TOOLS = ['mesh_inbox', 'mesh_request']

const withoutMail = (agent: Agent): AgentCalls => ({
  name: agent.name,
  call: (method, params) => agent.call(method, params),
  readsMail: false,
  onDelivery: () => () => undefined,
  watchMemory: (prefix, listener) => agent.watchMemory(prefix, listener),
})
