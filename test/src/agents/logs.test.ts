import { readFile, stat } from 'node:fs/promises'
import { connect } from 'node:net'
import { join } from 'node:path'
import { textForm } from '@sealmesh/protocol/messages/text-form'
import { expect, test } from 'vitest'
import { until } from '../processes/wait.ts'
import { agentsNode, collect, type AgentsNode } from './agents-node.ts'

type Line = Record<string, unknown>

async function linesOf(node: AgentsNode, name: string): Promise<Line[]> {
  const text = await readFile(join(node.home, 'logs', `mesh_${name}.log`), 'utf8').catch(() => '')
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Line)
}

async function talk(node: AgentsNode): Promise<void> {
  const alice = await node.attach('alice')
  const bob = collect(await node.attach('bob'))
  await alice.send({ to: 'bob', type: 'question', payload: { secret: 'a,"payload":b' }, correlation: 'c1' })
  await bob.count(1)
  await expect(alice.send({ to: 'nobody', type: 'text', payload: 'x' })).rejects.toThrow()
}

test('what agents say is logged without what it says: who, to whom, how long it took, and what failed', async () => {
  const node = await agentsNode(['alice', 'bob'], { config: '[agents.bob]\npipes = true\n' })
  await talk(node)
  const pipe = connect(join(node.home, 'run', 'pipes', 'bob_public.sock'))
  pipe.write(textForm({ from: 'mallory', to: 'bob', priority: 1, type: 'text', id: undefined, body: 'x' }))
  pipe.end(textForm({ from: 'bob', to: 'alice', priority: 2, type: 'status', id: 'p1', body: 'by pipe' }))
  await until('the pipe has spoken', async () => (await linesOf(node, 'communication')).length === 2)
  const [said, piped] = await linesOf(node, 'communication')
  expect(said).toMatchObject({
    from: 'alice@home',
    to: 'bob',
    type: 'question',
    correlation: 'c1',
    delivered: 1,
    waiting: 0,
    refused: 0,
    bytes: Buffer.byteLength('{"secret":"a,\\"payload\\":b"}'),
  })
  expect(piped).toMatchObject({ id: 'p1', from: 'bob@home', to: 'alice', type: 'status', priority: 2 })
  expect(said).not.toHaveProperty('payload')
  await until(
    'both logs are written',
    async () => (await linesOf(node, 'latency')).length > 0 && (await linesOf(node, 'errors')).length > 1,
  )
  const [took] = await linesOf(node, 'latency')
  expect(took).toMatchObject({ id: said?.['id'], from: 'alice@home', to: 'bob', handedMs: expect.any(Number) })
  expect(took?.['doneMs']).toBeGreaterThanOrEqual(Number(took?.['handedMs']))
  const errors = await linesOf(node, 'errors')
  expect(errors).toContainEqual({
    at: expect.any(String),
    code: 'AGENT_UNKNOWN',
    from: 'alice',
    to: 'nobody',
    type: 'text',
    id: expect.any(String),
  })
  expect(errors).toContainEqual({ at: expect.any(String), code: 'AGENT_UNKNOWN', from: 'bob_public' })
  for (const name of ['communication', 'latency', 'errors']) {
    const text = await readFile(join(node.home, 'logs', `mesh_${name}.log`), 'utf8')
    expect(text).not.toMatch(/secret|by pipe|mallory/)
  }
  expect((await stat(join(node.home, 'logs'))).mode & 0o777).toBe(0o700)
})

test('the config asks for what messages say, or for no log at all', async () => {
  const loud = await agentsNode(['alice', 'bob'], { config: '[messages]\nlog = "bodies"\n' })
  await talk(loud)
  await until('it is written', async () => (await linesOf(loud, 'communication')).length > 0)
  expect((await linesOf(loud, 'communication'))[0]).toMatchObject({
    payload: { secret: 'a,"payload":b' },
    delivered: 1,
  })
  const mute = await agentsNode(['alice', 'bob'], { config: '[messages]\nlog = "off"\n' })
  await talk(mute)
  await mute.node.close()
  for (const name of ['communication', 'latency', 'errors']) expect(await linesOf(mute, name)).toEqual([])
})
