import { connectAgents } from '@sealmesh/agent/client/connect-agents'
import { type Allowance, narrowed } from '@sealmesh/mcp/allowance'
import { serving } from '@sealmesh/mcp/server'
import { versionNumber } from '../version-number.ts'
import { Window } from './window.ts'

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
    const { allowed, allowance, compat, token, port, signal } = options
    // The memory server's face has no messages.
    const wantsMail = compat === undefined && (allowed === undefined || MAIL_TOOLS.some((tool) => allowed.has(tool)))
    const agent = await Window.open(connection, token, wantsMail)
    const shared = wantsMail && !agent.readsMail
    const served = serving({
      version: versionNumber(),
      agent: narrowed(agent, allowance(agent.name)),
      ...(allowed === undefined ? {} : { allowed }),
      ...(compat === undefined ? {} : { compat }),
    })
    if (port === undefined) {
      const { serveOnStdio } = await import('@sealmesh/mcp/stdio')
      options.ready({ name: agent.name, url: null, shared })
      await serveOnStdio(served.factory, signal)
      served.settle()
      await agent.leave()
    } else {
      const { serveHttp } = await import('@sealmesh/mcp/http')
      const http = await serveHttp(served, { port, token })
      options.ready({ name: agent.name, url: http.url, shared })
      await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }))
      await http.close()
      await agent.leave()
    }
  } finally {
    await connection.close()
  }
}

const MAIL_TOOLS = ['mesh_inbox', 'mesh_request']
