import { type McpServer, ResourceTemplate } from '@modelcontextprotocol/server'
import type { AgentCalls } from './agent-calls.ts'
import type { Inbox } from './inbox.ts'
import { withOrigin } from './untrusted.ts'

/**
 * What a client may read without a tool: the mesh's state, how many messages wait, any item of memory by its UMR. Each is
 * there as long as the tool is that shows the same: a list of tools would otherwise forbid nothing.
 */

export const INBOX_URI = 'sealmesh://inbox'
const JSON_TYPE = 'application/json'

interface Shown {
  readonly agent: AgentCalls
  readonly inbox: Inbox
  readonly isAllowed: (tool: string) => boolean
}

export function addResources(server: McpServer, { agent, inbox, isAllowed }: Shown): void {
  const answer = (uri: URL, said: unknown) => ({
    contents: [{ uri: uri.href, mimeType: JSON_TYPE, text: JSON.stringify(said, null, 2) }],
  })
  if (isAllowed('mesh_status'))
    server.registerResource(
      'status',
      'sealmesh://status',
      { title: 'Mesh status', description: 'Machines, sync and warnings', mimeType: JSON_TYPE },
      async (uri) => answer(uri, { agent: agent.name, ...(await agent.call('status', {})) }),
    )
  if (isAllowed('mesh_inbox'))
    server.registerResource(
      'inbox',
      INBOX_URI,
      // Reading it reads no message: a client that looks at all resources would otherwise have them marked as read.
      { title: 'Inbox', description: 'How many messages wait; mesh_inbox reads them', mimeType: JSON_TYPE },
      (uri) => answer(uri, { unread: inbox.length }),
    )
  if (isAllowed('memory_get'))
    server.registerResource(
      'memory',
      new ResourceTemplate('sealmesh://memory/{+umr}', { list: undefined }),
      { title: 'Memory', description: 'One item by its reference, agent.layer.id', mimeType: JSON_TYPE },
      async (uri, { umr }) => {
        const { item } = await agent.call('memory.get', { umr: decodeURIComponent(String(umr)) })
        return answer(uri, { item: item === null ? null : withOrigin(item, agent.name) })
      },
    )
}
