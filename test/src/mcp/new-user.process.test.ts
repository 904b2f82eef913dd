import { existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { entriesOf } from '@sealmesh/mcp/install/entry'
import { expect, test } from 'vitest'
import { endHousehold, startHousehold } from '../processes/household.ts'
import { BIN, runProgram } from '../processes/program.ts'
import { until } from '../processes/wait.ts'
import { type Command, newClient, oldClient } from './servers.ts'

/**
 * What docs/mcp.md tells a new user: Claude Code at home and Codex at the office, each with the command that its own
 * configuration names.
 */

/** How to start the server, as the assistant reads it there. */
function commandIn(file: string, format: 'json' | 'toml', table: string): Command {
  const entry = entriesOf(readFileSync(file, 'utf8'), { format, table })?.['sealmesh']
  if (entry === undefined) throw new Error(`${file} names no server`)
  return entry as Command
}

test('a memory put through one coding assistant is found through the other at the other machine, and they talk', async () => {
  const household = await startHousehold('new-user')
  const { directory } = household
  const users = { home: join(directory, 'user-home'), office: join(directory, 'user-office') }
  const at = async (machine: 'home' | 'office', ...words: string[]): Promise<string> => {
    const env = { HOME: users[machine], SEALMESH_HOME: household[machine].home }
    const { program, exit } = await runProgram(BIN.node, words, { name: words.join(' '), env })
    expect(exit.code, program.describe()).toBe(0)
    return program.stdout.toString()
  }
  try {
    for (const user of Object.values(users)) mkdirSync(user)
    await at('home', 'agents', 'add', 'claude')
    await at('office', 'agents', 'add', 'codex')
    await at('home', 'share', 'set', 'claude', 'semantic=codex', 'inbox=codex:write', '--yes')
    await at('office', 'share', 'set', 'codex', 'inbox=claude:write', '--yes')
    await at('home', 'mcp', 'install', 'claude-code', '--agent', 'claude', '--yes')
    await at('office', 'mcp', 'install', 'codex', '--agent', 'codex', '--yes')

    const files = { home: join(users.home, '.claude.json'), office: join(users.office, '.codex', 'config.toml') }
    const claude = await newClient(commandIn(files.home, 'json', 'mcpServers'))
    const codex = await oldClient(commandIn(files.office, 'toml', 'mcp_servers'))
    try {
      const umr = 'claude.semantic.deploy-day'
      const put = await claude.call('memory_put', { umr, value: 'Deploys are on Tuesday, after lunch' })
      expect(put.isError, put.text).toBe(false)
      await until('it is found at the office', async () => {
        const { structured } = await codex.call('memory_search', { words: 'deploys lunch' })
        return (structured as { hits: { umr: string }[] }).hits.some((hit) => hit.umr === umr)
      })
      expect((await codex.call('memory_put', { umr, value: 'x' })).text).toContain('NOT_A_WRITER')

      const asked = claude.call('mesh_request', { to: 'codex', question: 'Is Tuesday fine?', waitSeconds: 45 })
      const got = await codex.call('mesh_inbox', { waitSeconds: 45 })
      expect(got.text).toContain('question from claude@home')
      const [message] = (got.structured as { messages: { id: string }[] }).messages
      const answer = { to: 'claude', type: 'response', message: 'It is.', replyTo: message?.id ?? '' }
      const sent = await codex.call('mesh_send', answer)
      expect(sent.isError, sent.text).toBe(false)
      expect((await asked).structured).toMatchObject({ answer: { from: 'codex@office', payload: 'It is.' } })
    } finally {
      await claude.close()
      await codex.close()
    }
    await at('home', 'mcp', 'uninstall', 'claude-code')
    await at('office', 'mcp', 'uninstall', 'codex')
    for (const file of Object.values(files)) expect(existsSync(file)).toBe(false)
  } finally {
    await endHousehold(household)
    rmSync(directory, { recursive: true, force: true })
  }
})
