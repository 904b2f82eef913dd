import { McpServer, type McpServerFactory } from '@modelcontextprotocol/server'
import type { AgentCalls } from './agent-calls.ts'
import { KnowledgeGraph } from './graph/knowledge-graph.ts'
import { graphRowsOf } from './graph/rows.ts'
import { Inbox } from './inbox.ts'
import { addResources, INBOX_URI } from './resources.ts'
import { addGraphResource, addGraphTools } from './tools/graph-tools.ts'
import { addMeshTools, MESH_TOOLS, type MeshTool } from './tools/mesh-tools.ts'

export interface ServerOptions {
  /** Of this product. */
  readonly version: string
  readonly agent: AgentCalls
  /** Tools that the client gets; all of them by default. */
  readonly allowed?: ReadonlySet<MeshTool>
  /** The nine tools of the published memory server in place of our own. */
  readonly compat?: 'server-memory'
}

export interface Serving {
  /** Makes a server for each connection of a client: all speak for one agent and share its inbox. */
  readonly factory: McpServerFactory
  /** The client has gone as it should: what it was given it has read. */
  readonly settle: () => void
}

export function serving({ version, agent, allowed = new Set(MESH_TOOLS), compat }: ServerOptions): Serving {
  const inbox = compat === undefined ? new Inbox(agent) : null
  const graph = new KnowledgeGraph(graphRowsOf(agent))
  const factory = (): McpServer => {
    const server = new McpServer(
      { name: compat === undefined ? 'sealmesh' : 'memory-server', version },
      { capabilities: { tools: {}, resources: { subscribe: inbox !== null } } },
    )
    if (inbox === null) {
      addGraphTools(server, graph)
      addGraphResource(server, graph)
      return server
    }
    addMeshTools(server, { agent, inbox, allowed })
    addResources(server, agent, inbox)
    tellArrivals(server, inbox)
    return server
  }
  return { factory, settle: () => inbox?.settle() }
}

/** Clients that subscribe to the inbox are told when something comes; what it is they read with a tool. */
function tellArrivals(server: McpServer, inbox: Inbox): void {
  let stop: (() => void) | null = null
  server.server.setRequestHandler('resources/subscribe', ({ params }) => {
    if (params.uri === INBOX_URI)
      stop ??= inbox.onArrival(() => void server.server.sendResourceUpdated({ uri: INBOX_URI }).catch(() => undefined))
    return {}
  })
  server.server.setRequestHandler('resources/unsubscribe', ({ params }) => {
    if (params.uri === INBOX_URI) {
      stop?.()
      stop = null
    }
    return {}
  })
  const { onclose } = server.server
  server.server.onclose = () => {
    stop?.()
    onclose?.()
  }
}
