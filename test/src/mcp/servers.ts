import { createRequire } from 'node:module'
import { Client as NewClient, StreamableHTTPClientTransport as NewHttp } from '@modelcontextprotocol/client'
import { StdioClientTransport as NewStdio } from '@modelcontextprotocol/client/stdio'
import { Client as OldClient } from '@modelcontextprotocol/sdk/client/index.js'
import { StdioClientTransport as OldStdio } from '@modelcontextprotocol/sdk/client/stdio.js'
import { StreamableHTTPClientTransport as OldHttp } from '@modelcontextprotocol/sdk/client/streamableHttp.js'
import { ResourceUpdatedNotificationSchema } from '@modelcontextprotocol/sdk/types.js'
import { BIN } from '../processes/program.ts'

/** MCP servers as clients reach them: by a command, on stdin and stdout, or at an address with a token. */

export interface Command {
  readonly command: string
  readonly args: string[]
  readonly env?: Record<string, string>
}

export interface Address {
  readonly url: string
  readonly token: string
}

export interface Called {
  readonly text: string
  readonly structured: unknown
  readonly isError: boolean
}

export interface McpSession {
  tools(): Promise<string[]>
  call(name: string, params?: Record<string, unknown>): Promise<Called>
  resource(uri: string): Promise<unknown>
  /** The URIs of all resources, and the templates of those that have a parameter. */
  resources(): Promise<string[]>
  /** Subscribes; what it gives back is called with every change that is told. */
  onUpdate(uri: string, listener: () => void): Promise<void>
  /** What the client says when it goes, not just the end of its connection. */
  leave(): Promise<void>
  close(): Promise<void>
}

export const ourServer = (home: string, agent: string, ...flags: string[]): Command => ({
  command: process.execPath,
  args: [BIN.node, 'mcp', '--home', home, '--agent', agent, ...flags],
})

/** The published memory server, over a file of its own. */
export const publishedServer = (file: string): Command => ({
  command: process.execPath,
  args: [createRequire(import.meta.url).resolve('@modelcontextprotocol/server-memory/dist/index.js')],
  env: { MEMORY_FILE_PATH: file },
})

/** Of the published packages: the first generation, the second as it is, and the second where it asks for the newest. */
export const DIALS = {
  'the client of the first generation': oldClient,
  'the client of the second generation': (to: Command | Address) => newClient(to),
  'the client of the second generation in the 2026 revision': (to: Command | Address) => newClient(to, NEWEST),
} as const
const NEWEST = '2026-07-28'

export async function newClient(to: Command | Address, revision?: string): Promise<McpSession> {
  const negotiation = revision === undefined ? {} : { versionNegotiation: { mode: { pin: revision } } }
  const client = new NewClient({ name: 'test', version: '2' }, negotiation)
  const http = 'url' in to ? new NewHttp(new URL(to.url), { requestInit: { headers: bearer(to) } }) : undefined
  await client.connect('url' in to ? http! : new NewStdio({ ...to, stderr: 'pipe' }))
  return {
    ...session(client),
    onUpdate: async (uri, listener) => {
      client.setNotificationHandler('notifications/resources/updated', ({ params }) => {
        if (params.uri === uri) listener()
      })
      if (revision === undefined) await client.subscribeResource({ uri })
      else await client.listen({ resourceSubscriptions: [uri] })
    },
    leave: async () => {
      await http?.terminateSession()
      await client.close()
    },
  }
}

export async function oldClient(to: Command | Address): Promise<McpSession> {
  const client = new OldClient({ name: 'test', version: '1' })
  const http = 'url' in to ? new OldHttp(new URL(to.url), { requestInit: { headers: bearer(to) } }) : undefined
  await client.connect('url' in to ? (http as unknown as OldStdio) : new OldStdio({ ...to, stderr: 'pipe' }))
  return {
    ...session(client as unknown as ClientOfEither),
    onUpdate: async (uri, listener) => {
      client.setNotificationHandler(ResourceUpdatedNotificationSchema, ({ params }) => {
        if (params.uri === uri) listener()
      })
      await client.subscribeResource({ uri })
    },
    leave: async () => {
      await http?.terminateSession()
      await client.close()
    },
  }
}

const bearer = ({ token }: Address): Record<string, string> => ({ authorization: `Bearer ${token}` })

/** What both generations of the official client have. */
interface ClientOfEither {
  listTools(): Promise<{ tools: { name: string }[] }>
  callTool(params: { name: string; arguments: Record<string, unknown> }): Promise<unknown>
  readResource(params: { uri: string }): Promise<{ contents: readonly unknown[] }>
  listResources(): Promise<{ resources: readonly { uri: string }[] }>
  listResourceTemplates(): Promise<{ resourceTemplates: readonly { uriTemplate: string }[] }>
  close(): Promise<void>
}

const session = (client: ClientOfEither): Omit<McpSession, 'onUpdate' | 'leave'> => ({
  tools: async () => (await client.listTools()).tools.map(({ name }) => name),
  call: async (name, params = {}) => {
    const result = (await client.callTool({ name, arguments: params })) as {
      content: { text: string }[]
      structuredContent?: unknown
      isError?: boolean
    }
    return {
      text: result.content.map(({ text }) => text).join('\n'),
      structured: result.structuredContent,
      isError: result.isError === true,
    }
  },
  resource: async (uri) => {
    const [content] = (await client.readResource({ uri })).contents as { text: string }[]
    return JSON.parse(content?.text ?? 'null')
  },
  resources: async () => [
    ...(await client.listResources()).resources.map(({ uri }) => uri),
    ...(await client.listResourceTemplates()).resourceTemplates.map(({ uriTemplate }) => uriTemplate),
  ],
  close: () => client.close(),
})
