import { entriesOf } from '@sealmesh/mcp/install/entry'
import { readClientFile } from './client-file.ts'
import type { Install } from './install-book.ts'

const TOML = { format: 'toml', table: 'mcp_servers' } as const
const JSON_PLACE = { format: 'json', table: 'mcpServers' } as const

/** Whether the server still stands in the configuration that `mcp install` wrote it to. */
export async function isInstalled({ client, file, name }: Install): Promise<boolean> {
  const { format, table } = client === 'codex' ? TOML : JSON_PLACE
  return name in (entriesOf((await readClientFile(file)) ?? '', { format, table }) ?? {})
}
