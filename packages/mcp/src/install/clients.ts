import * as path from 'node:path'

/** Programs whose MCP servers we can write down, and where each keeps them. */

export const CLIENTS = ['claude-code', 'codex', 'cursor'] as const
export type ClientName = (typeof CLIENTS)[number]

export interface ConfigPlace {
  readonly file: string
  readonly format: 'json' | 'toml'
  /** The table that has one entry for each server. */
  readonly table: string
}

export interface Machine {
  /** Of the user. */
  readonly home: string
  readonly env: Readonly<Record<string, string | undefined>>
}

/** `project`: a folder whose own configuration is meant, instead of the user's. Codex has none for projects. */
export function configPlace(client: ClientName, { home, env }: Machine, project?: string): ConfigPlace | undefined {
  const json = { format: 'json', table: 'mcpServers' } as const
  switch (client) {
    case 'claude-code': {
      if (project !== undefined) return { ...json, file: path.join(project, '.mcp.json') }
      const moved = env['CLAUDE_CONFIG_DIR']
      return { ...json, file: path.join(moved ?? home, '.claude.json') }
    }
    case 'cursor':
      return { ...json, file: path.join(project ?? home, '.cursor', 'mcp.json') }
    case 'codex':
      if (project !== undefined) return undefined
      return {
        format: 'toml',
        table: 'mcp_servers',
        file: path.join(env['CODEX_HOME'] ?? path.join(home, '.codex'), 'config.toml'),
      }
  }
}
