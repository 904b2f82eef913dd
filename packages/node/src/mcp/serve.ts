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
  /** How long the node may be away before what waits for it fails; a minute by default. */
  readonly patienceMs?: number
  readonly signal: AbortSignal
  /** `shared`: another program is the agent already and reads its messages. */
  readonly ready: (how: { readonly name: string; readonly url: string | null; readonly shared: boolean }) => void
}

/** Speaks MCP for one agent until the client or the owner ends it. */
export async function serveMcp(options: ServeOptions): Promise<void> {
  const { allowed, allowance, compat, home, token, port, signal, patienceMs } = options
  // The memory server's face has no messages.
  const wantsMail = compat === undefined && (allowed === undefined || MAIL_TOOLS.some((tool) => allowed.has(tool)))
  const agent = await Window.open({ home, token, wantsMail, ...(patienceMs === undefined ? {} : { patienceMs }) })
  const ready = (url: string | null): void => options.ready({ name: agent.name, url, shared: agent.isBeside })
  try {
    const served = serving({
      version: versionNumber(),
      agent: narrowed(agent, allowance(agent.name)),
      ...(allowed === undefined ? {} : { allowed }),
      ...(compat === undefined ? {} : { compat }),
    })
    if (port === undefined) {
      const { serveOnStdio } = await import('@sealmesh/mcp/stdio')
      ready(null)
      await serveOnStdio(served.factory, signal)
      served.leave()
    } else {
      const { serveHttp } = await import('@sealmesh/mcp/http')
      const http = await serveHttp(served, { port, token })
      ready(http.url)
      await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }))
      await http.close()
    }
  } finally {
    await agent.close()
  }
}

const MAIL_TOOLS = ['mesh_inbox', 'mesh_request']
