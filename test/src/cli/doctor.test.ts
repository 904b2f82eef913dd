import { chmod, mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { agentsNode } from '../agents/agents-node.ts'
import { temporaryFolder } from '../keys/temporary-home.ts'
import { runVerb } from './run-verb.ts'

interface Said {
  readonly name: string
  readonly state: string
  readonly found: string
}
const checksOf = (out: string): Said[] => JSON.parse(out).checks

test('of a node that runs all is well but for what a mesh of one machine has not got; and without it that is said', async () => {
  const node = await agentsNode(['alice'])
  const cli = (...words: string[]) => runVerb(['doctor', ...words, '--home', node.home])
  const well = await cli('--json')
  expect([well.exit, well.err]).toEqual([0, ''])
  // The first of a name: what the node warns of stands behind it.
  const states = new Map(
    checksOf(well.out)
      .toReversed()
      .map(({ name, state }) => [name, state]),
  )
  for (const name of ['program', 'home', 'config', 'socket', 'clock', 'node']) expect(states.get(name), name).toBe('ok')
  expect(states.get('relay')).toBe('warn')
  const words = await cli()
  expect(words.out).toMatch(/^ok {4}program +sealmesh /m)
  expect(words.out).toContain('next: sealmesh up --relay ADDRESS --claim CODE')

  await chmod(join(node.home, 'db'), 0o755)
  await writeFile(join(node.home, 'config.toml'), '[nodes]\n')
  await node.node.close()
  const ill = await cli('--json')
  expect([ill.exit, JSON.parse(ill.err).error.code]).toEqual([6, 'CHECKS_FAILED'])
  const bad = checksOf(ill.out).filter(({ state }) => state === 'fail')
  expect(bad.map(({ name }) => name)).toEqual(['home', 'config', 'node'])
  expect(bad[0]?.found).toContain('db (mode 0755)')
})

test('of a home that is none the first step is said', async () => {
  const home = join(await temporaryFolder(), 'home')
  const cli = () => runVerb(['doctor', '--home', home])
  expect(await cli()).toMatchObject({ exit: 6, out: expect.stringContaining('belongs to no mesh yet') })
  await mkdir(home, { mode: 0o700 })
  expect((await cli()).err).toContain('Not well: home.')
})
