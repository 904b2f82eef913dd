import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { AgentCommands, type AgentCommandsDeps } from './agent-commands.ts'

const logger = { info: () => {}, warn: () => {} } as unknown as AgentCommandsDeps['logger']
let directory: string
let commands: AgentCommands
const file = (name: string): string => join(directory, name)
const opened = (lines: ReturnType<AgentCommandsDeps['of']>): AgentCommands =>
  (commands = new AgentCommands({ of: () => lines, env: process.env, logger }))

async function until(look: () => boolean): Promise<void> {
  for (let tries = 0; !look(); tries++) {
    if (tries > 400) throw new Error('waited in vain')
    await pause(50)
  }
}

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'sealmesh-commands-'))
})
afterEach(async () => {
  await commands.close()
  rmSync(directory, { recursive: true, force: true })
})

test('what the leader of the group started is killed with it, also when it ignores the first signal', async () => {
  const inner = `trap '' TERM; while :; do date +%s%N > ${file('alive')}; sleep 0.05; done`
  opened({ on_active: ['/bin/sh', '-c', `sh -c "${inner}" & wait`] }).gained('claude', 1, 'token')
  await until(() => existsSync(file('alive')))
  commands.lost('claude', 1)
  await commands.stopped()
  await pause(200)
  const last = readFileSync(file('alive'), 'utf8')
  await pause(500)
  expect(readFileSync(file('alive'), 'utf8')).toBe(last)
})

test('what hangs when the right is lost keeps neither the next start nor the end waiting', async () => {
  const lines = {
    on_standby: ['/bin/sh', '-c', `touch ${file('standby')}; exec sleep 60`],
    on_active: ['/bin/sh', '-c', `touch ${file('active')}; exec sleep 60`],
  }
  opened(lines).lost('claude', 1)
  await until(() => existsSync(file('standby')))
  commands.gained('claude', 2, 'token')
  await until(() => existsSync(file('active')))
  await commands.close()
})

test('a program that cannot be started keeps nothing else from being tried', async () => {
  opened({ on_active: ['/bin/sh\0', '-c', 'true'], on_standby: ['/bin/touch', file('standby')] }).gained(
    'claude',
    1,
    't',
  )
  commands.lost('claude', 1)
  await until(() => existsSync(file('standby')))
})
