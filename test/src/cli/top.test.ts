import { PassThrough } from 'node:stream'
import { stripVTControlCharacters } from 'node:util'
import { runCli } from '@sealmesh/node/cli/run'
import { expect, test } from 'vitest'
import { agentsNode, collect } from '../agents/agents-node.ts'
import { until } from '../processes/wait.ts'
import { runVerb } from './run-verb.ts'

test('top shows agents and messages once without a terminal, and on one until q', async () => {
  const node = await agentsNode(['alice', 'bob'])
  const alice = await node.attach('alice')
  const bob = collect(await node.attach('bob', { profile: { status: 'busy', load: 1, capacity: 4 } }))
  for (let n = 0; n < 20; n++) await alice.send({ to: 'bob', type: 'text', payload: n })
  await bob.count(20)
  const json = async () => JSON.parse((await runVerb(['top', '--json', '--home', node.home])).out)
  await until('the second is over', async () => (await json()).deliveredPerSecond === 2)
  expect(await json()).toMatchObject({
    node: 'home',
    state: 'alone',
    sentPerSecond: 2,
    agents: expect.arrayContaining([expect.objectContaining({ name: 'bob', deliveredPerSecond: 2, waiting: 0 })]),
  })
  expect((await json()).handedMs.p99).toBeGreaterThan(0)
  const once = await runVerb(['top', '--home', node.home])
  expect([once.exit, once.err]).toEqual([0, ''])
  expect(once.out).toMatch(/^sealmesh home {2}up .*\nrelay none\nmessages 2\.0\/s sent, 2\.0\/s delivered\n/)
  expect(once.out).toMatch(/\nbob +attached +busy +1\/4 +0\.0 +2\.0 +0 +0 /)
  expect(once.out).not.toContain('\u001b')
  expect(once.out).not.toContain('q ends')

  const { exit, modes, out } = await topAt(node.home, { columns: 30, rows: 12 })
  expect([exit, modes]).toEqual([0, [true, false]])
  expect(out.startsWith('\u001b[?1049h')).toBe(true)
  expect(out.endsWith('\u001b[?1049l')).toBe(true)
  const [, , second = ''] = out.split('\u001b[H')
  const lines = second.split('\u001b[K').map((line) => line.replace(/^\n/, ''))
  expect(lines.length).toBeLessThanOrEqual(12)
  for (const line of lines) expect(Array.from(stripVTControlCharacters(line)).length).toBeLessThanOrEqual(30)

  const unsized = await topAt(node.home, { columns: 0, rows: 0 })
  expect(unsized.out).toMatch(/sealmesh home .* q ends/)
  expect(unsized.out).toContain('messages ')
})

/** A terminal of this size, on which q is pressed once the page was drawn twice. */
async function topAt(home: string, size: { columns: number; rows: number }) {
  let out = ''
  const modes: boolean[] = []
  const stdin = Object.assign(new PassThrough(), { isTTY: true, setRawMode: (on: boolean) => modes.push(on) })
  const stdout = Object.assign(new PassThrough(), { isTTY: true, ...size })
  stdout.on('data', (text: Buffer) => {
    out += text.toString()
    if (out.split('\u001b[H').length > 2) stdin.write('q')
  })
  const terminal = { stdin, stdout, stderr: new PassThrough(), env: { NO_COLOR: '1' } }
  const exit = await runCli(['top', '--home', home], { terminal, signal: new AbortController().signal })
  return { exit, modes, out }
}
