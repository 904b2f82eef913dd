import { McpServer, type McpRequestContext, type McpServerFactory } from '@modelcontextprotocol/server'
import type { AgentCalls } from './agent-calls.ts'
import { explained } from './explained.ts'
import { graphChanges } from './graph/changes.ts'
import { KnowledgeGraph } from './graph/knowledge-graph.ts'
import { graphRowsOf } from './graph/rows.ts'
import { Inbox, type Reader } from './inbox.ts'
import { addResources, INBOX_URI } from './resources.ts'
import { type Told, tellSubscribers } from './subscriptions.ts'
import { addGraphResource, addGraphTools, GRAPH_URI } from './tools/graph-tools.ts'
import { addMeshTools } from './tools/mesh-tools.ts'

export interface ServerOptions {
  /** Of this product. */
  readonly version: string
  readonly agent: AgentCalls
  /** Names of tools that the client gets, and with them the resources that show the same; all of them by default. */
  readonly allowed?: ReadonlySet<string>
  /** The nine tools of the published memory server in place of our own. */
  readonly compat?: 'server-memory'
}

export interface Serving {
  /**
   * Makes a server for the client at the other end of stdio, or for one request over HTTP without a session: what comes
   * without a session counts as one client.
   */
  readonly factory: McpServerFactory
  /** For a client with a session of its own. All speak for one agent and share its inbox. */
  readonly session: (context: McpRequestContext) => Session
  /** What a client that subscribes is told of; null where it may not read that. */
  readonly told: Told | null
  /** The client of stdio is gone. */
  readonly leave: () => void
}

export interface Session {
  readonly server: McpServer
  /** The client has said goodbye: what it was given it has read. */
  readonly goodbye: () => void
}

interface Face {
  readonly name: string
  readonly told: Told | null
  readonly reader: () => Reader
  readonly add: (server: McpServer, reader: Reader) => void
}

export function serving({ version, agent, allowed, compat }: ServerOptions): Serving {
  const isAllowed = (tool: string): boolean => allowed === undefined || allowed.has(tool)
  const face = compat === undefined ? meshFace : graphFace
  const { name, told, add, reader } = face(explained(agent), isAllowed)
  const serverFor = (context: McpRequestContext, own: Reader): McpServer => {
    const server = new McpServer(
      { name, version },
      { capabilities: { tools: {}, resources: { subscribe: told !== null } } },
    )
    add(server, own)
    if (told !== null) tellSubscribers(server, told, context)
    return server
  }
  const shared = reader()
  return {
    factory: (context) => serverFor(context, shared),
    session: (context) => {
      const own = reader()
      return { server: serverFor(context, own), goodbye: () => own.settle() }
    },
    told,
    leave: () => shared.leave(),
  }
}

function meshFace(given: AgentCalls, isAllowed: (tool: string) => boolean): Face {
  const inbox = new Inbox(given)
  const calling = (reader: Reader): AgentCalls => ({
    ...given,
    call: (method, params) => {
      // Whatever it asks for next, it has read what it was given: an answer that was sent must not be asked for again.
      reader.settle()
      return given.call(method, params)
    },
  })
  return {
    name: 'sealmesh',
    told: isAllowed('mesh_inbox') ? { uri: INBOX_URI, onChange: (listener) => inbox.onArrival(listener) } : null,
    reader: () => inbox.reader(),
    add: (server, reader) => {
      const agent = calling(reader)
      addMeshTools(server, { agent, inbox, reader, isAllowed })
      addResources(server, { agent, inbox, isAllowed })
    },
  }
}

function graphFace(agent: AgentCalls, isAllowed: (tool: string) => boolean): Face {
  const graph = new KnowledgeGraph(graphRowsOf(agent))
  return {
    name: 'memory-server',
    told: isAllowed('read_graph') ? { uri: GRAPH_URI, onChange: graphChanges(agent) } : null,
    add: (server) => {
      addGraphTools(server, graph, isAllowed)
      if (isAllowed('read_graph')) addGraphResource(server, graph)
    },
    reader: () => NO_MESSAGES,
  }
}

const NO_MESSAGES: Reader = { take: async () => [], settle: () => undefined, leave: () => undefined }
