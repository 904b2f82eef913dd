import { execFileSync } from 'node:child_process'
import { readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { agentMethods } from '@sealmesh/protocol/ipc/agent-methods'
import { methods } from '@sealmesh/protocol/ipc/methods'
import { describe, expect, test } from 'vitest'
import { request } from '../ipc/fake-node.ts'
import { until } from '../processes/wait.ts'
import { agentsNode } from './agents-node.ts'

describe('attaching', () => {
  test('a token makes a program an agent; a wrong one, an old one and one that was taken back do not', async () => {
    const node = await agentsNode(['alice', 'bob'])
    const alice = await node.attach('alice')
    expect([alice.name, alice.rights]).toEqual(['alice', ['read', 'write', 'send', 'receive', 'list']])
    const connection = await node.connect()
    const refused = { code: 'AGENT_TOKEN_INVALID' }
    for (const token of ['', 'x', `${node.tokens.get('bob')}x`, node.tokens.get('bob')?.toUpperCase() ?? ''])
      await expect(connection.attach({ token })).rejects.toMatchObject(refused)
    const old = node.tokens.get('bob') ?? ''
    await node.owner('agents.token', { name: 'bob', action: 'rotate' })
    await expect(connection.attach({ token: old })).rejects.toMatchObject(refused)
    const fresh = await node.token('bob', ['read'])
    expect((await connection.attach({ token: fresh })).rights).toEqual(['read'])
    await node.owner('agents.token', { name: 'bob', action: 'revoke' })
    await expect(connection.attach({ token: fresh })).rejects.toMatchObject(refused)
  })

  test('a second claim of a name is refused, and says since when and by which process the first is there', async () => {
    const node = await agentsNode(['alice'])
    await node.attach('alice')
    const failure: unknown = await node.attach('alice').catch((error: unknown) => error)
    expect(failure).toMatchObject({ code: 'AGENT_ATTACHED' })
    expect(String(failure)).toContain(`the process ${process.pid}`)
  })

  test('whoever hangs up has left at once, with all that its connection carried', async () => {
    const node = await agentsNode(['alice', 'bob', 'carol'])
    const seen: string[] = []
    const carol = await node.attach('carol')
    await carol.watchAgents(({ event, agent }) => void seen.push(`${agent.name} ${event}`))
    const raw = await node.raw()
    raw.send(request(1, 'hello', { version: 1 }))
    for (const [at, name] of ['alice', 'bob'].entries())
      raw.send(request(at + 2, 'attach', { token: node.tokens.get(name) }))
    await raw.take(3)
    raw.destroy()
    await until('all have left', () => seen.length === 4)
    expect(seen).toEqual(['alice arrived', 'bob arrived', 'alice left', 'bob left'])
    expect((await node.attach('alice')).name).toBe('alice')
  })

  test('a token that is taken back or made anew ends whoever is attached by it', async () => {
    const node = await agentsNode(['alice'])
    const alice = await node.attach('alice')
    await node.token('alice', ['send'])
    await expect(alice.agents()).rejects.toMatchObject({ code: 'NOT_ATTACHED' })
  })

  test('tokens outlive the node, and no token lies in its files', async () => {
    const node = await agentsNode(['alice'])
    const token = node.tokens.get('alice') ?? ''
    await node.restart()
    expect((await node.attach('alice')).name).toBe('alice')
    expect(token.length).toBeGreaterThan(43)
    await node.node.close()
    expect(() => execFileSync('grep', ['-rqaF', token, node.home])).toThrow()
    // The same search finds what does lie there.
    execFileSync('grep', ['-rqaF', 'madeAtMs', node.home])
  })
})

describe('rights', () => {
  test('a call needs its right, whatever its parameters', async () => {
    const node = await agentsNode(['alice'])
    const needs = {
      send: { to: 'alice', type: 'text' },
      'agents.ls': {},
      'agents.watch': {},
      'inbox.take': {},
      'topics.join': { topic: 'x' },
      'memory.get': { umr: 'alice.semantic.x' },
      'memory.ls': {},
      'memory.search': { words: 'x' },
      'memory.watch': { prefix: '' },
      'memory.set': { umr: 'alice.semantic.x', value: '1' },
      'memory.rm': { umr: 'alice.semantic.x' },
    } as const
    const token = await node.token('alice', [])
    const alice = await (await node.connect()).attach({ token, inbox: 'pull' })
    for (const [method, params] of Object.entries(needs))
      await expect(alice.call(method as 'send', params as never), method).rejects.toMatchObject({
        code: 'RIGHT_MISSING',
      })
    await expect(alice.call('agents.ls', {})).rejects.toMatchObject({ message: expect.stringContaining('list') })
  })

  test('a handle of another connection is worth nothing, and without one nothing is answered but a greeting', async () => {
    const node = await agentsNode(['alice'])
    const alice = await node.attach('alice')
    const raw = await node.raw()
    const calls = Object.keys(agentMethods).filter((method) => !['hello', 'attach'].includes(method))
    const params = {
      as: alice.handle,
      to: 'alice',
      type: 'text',
      umr: 'alice.a.b',
      value: '1',
      words: 'x',
      text: 'x',
      prefix: '',
    }
    for (const [at, method] of calls.entries())
      raw.send(request(at, method, { ...params, topic: 'x', place: 1, profile: {} }))
    const answers = await raw.take(calls.length)
    expect(answers.map(({ error }) => error?.data.code)).toEqual(calls.map(() => 'NOT_ATTACHED'))
  })

  test("none of the owner's methods is there", async () => {
    const node = await agentsNode(['alice'])
    const raw = await node.raw()
    const owners = Object.keys(methods).filter((method) => !(method in agentMethods))
    owners.forEach((method, at) => raw.send(request(at, method, {})))
    const answers = await raw.take(owners.length)
    expect(new Set(answers.map(({ error }) => error?.code))).toEqual(new Set([-32_601]))
  })
})

describe('what lies beside the door', () => {
  test('its folder is private, and the registry of the seed is kept in step', async () => {
    const node = await agentsNode(['alice', 'bob'])
    const folder = join(node.home, 'run', 'agents')
    expect((await stat(folder)).mode & 0o777).toBe(0o700)
    const read = async () => JSON.parse(await readFile(join(folder, 'agent_registry.json'), 'utf8'))
    const alice = await node.attach('alice', { profile: { role: 'writer' } })
    await until('the registry says so', async () => (await read()).agents.alice?.status === 'active')
    expect((await read()).agents).toMatchObject({
      alice: { status: 'active', pid: process.pid, role: 'writer', public_pipe: null, private_pipe: null },
      bob: { status: 'offline', pid: null },
    })
    await alice.describe({ status: 'busy' })
    await until('the registry says so', async () => (await read()).agents.alice?.status === 'busy')
    expect((await read()).agents.alice).toMatchObject({ role: 'writer' })
    await alice.detach()
    await until('the registry says so', async () => (await read()).agents.alice?.status === 'offline')
  })
})
