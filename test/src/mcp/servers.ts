import { createRequire } from 'node:module'
import { Client as NewClient } from '@modelcontextprotocol/client'
import { StdioClientTransport as NewTransport } from '@modelcontextprotocol/client/stdio'
import { Client as OldClient } from '@modelcontextprotocol/sdk/client/index.js'
import { StdioClientTransport as OldTransport } from '@modelcontextprotocol/sdk/client/stdio.js'
import { BIN } from '../processes/program.ts'

/** MCP servers as clients start them: by a command, on stdin and stdout. */

export interface Command {
  readonly command: string
  readonly args: string[]
  readonly env?: Record<string, string>
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

export async function newClient({ command, args, env }: Command): Promise<McpSession> {
  const client = new NewClient({ name: 'test', version: '2' })
  await client.connect(new NewTransport({ command, args, stderr: 'pipe', ...(env === undefined ? {} : { env }) }))
  return session(client)
}

export async function oldClient({ command, args, env }: Command): Promise<McpSession> {
  const client = new OldClient({ name: 'test', version: '1' })
  await client.connect(new OldTransport({ command, args, stderr: 'pipe', ...(env === undefined ? {} : { env }) }))
  return session(client as unknown as ClientOfEither)
}

/** What both generations of the official client have. */
interface ClientOfEither {
  listTools(): Promise<{ tools: { name: string }[] }>
  callTool(params: { name: string; arguments: Record<string, unknown> }): Promise<unknown>
  readResource(params: { uri: string }): Promise<{ contents: readonly unknown[] }>
  close(): Promise<void>
}

const session = (client: ClientOfEither): McpSession => ({
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
  close: () => client.close(),
})
