import { spawn } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { delimiter, join } from 'node:path'
import { expect, test } from 'vitest'
import { REPOSITORY } from '../processes/program.ts'
import { within } from '../processes/wait.ts'

const RUN_MS = 120_000

/** What `pnpm NAME` runs, with the programs that pnpm puts on the path. */
async function script(name: string): Promise<{ code: number | null; said: string }> {
  const { scripts } = JSON.parse(await readFile(join(REPOSITORY, 'package.json'), 'utf8')) as {
    scripts: Record<string, string>
  }
  const env = {
    ...process.env,
    PATH: `${join(REPOSITORY, 'node_modules/.bin')}${delimiter}${process.env['PATH'] ?? ''}`,
  }
  const child = spawn(scripts[name] ?? 'false', {
    cwd: REPOSITORY,
    env,
    shell: true,
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let said = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (said += String(chunk)))
  const ended = new Promise<number | null>((resolve, reject) => {
    child.once('error', reject)
    child.once('close', resolve)
  })
  return { code: await within(ended, RUN_MS, () => `${name} did not end: ${said}`), said }
}

test('two agents: the answers are printed with who gave them', async () => {
  const { code, said } = await script('example:two-agents')
  expect(code, said).toBe(0)
  expect(said).toContain('bob@home on island: 08:15, 12:40, 18:05')
  expect(said).toContain('bob@home on moon: no ferry goes there')
})

test('task queue: a worker is killed, and every task has its one result', async () => {
  const { code, said } = await script('example:task-queue')
  expect(code, said).toBe(0)
  const results = said.match(/^ +\d+ -> \d+ by \w+, attempt \d+$/gm) ?? []
  expect(new Set(results.map((line) => line.trim().split(' ')[0])).size).toBe(16)
  expect(results).toHaveLength(16)
  // It died with tasks that it had taken on: they were done by others.
  expect(said).toContain('cyd is lost')
  expect(said).toMatch(/by (ann|ben|dan), attempt [2-9]/)
})

test('bash agent: it answers a question and its vote is counted', async () => {
  const { code, said } = await script('example:bash-agent')
  expect(code, said).toBe(0)
  expect(said).toMatch(/^\d\d:\d\d$/m)
  expect(said).toContain('yes (decided): yes 1, no 0')
})
