import { describe, expect, test } from 'vitest'
import { type RawClient, request } from '../ipc/fake-node.ts'
import { until } from '../processes/wait.ts'
import { agentsNode, collect } from './agents-node.ts'
import { RawFrames } from './raw-frames.ts'

/** Local programs that hold what others need: connections, handles, room for answers. */

const CONNECTIONS_MAX = 1_024
const STRANGERS_MAX = 256

describe('connections', () => {
  test('of those that show no token the oldest make room, and who has one comes in and stays', async () => {
    const node = await agentsNode(['alice', 'bob'])
    const alice = collect(await node.attach('alice'))
    const silent: RawClient[] = []
    // More than the door carries, in all states that need no token.
    for (let at = 0; at < CONNECTIONS_MAX + 50; at++) {
      const raw = await node.raw()
      if (at % 3 === 1) raw.send(request(1, 'hello', { version: 1 }))
      if (at % 3 === 2) raw.send('{"jsonrpc":"2.0","id":1,"meth')
      silent.push(raw)
    }
    await until('the first have ended', () => silent.filter(({ socket }) => !socket.destroyed).length <= STRANGERS_MAX)
    expect(silent.slice(0, 100).every(({ socket }) => socket.destroyed)).toBe(true)
    const bob = await node.attach('bob')
    await bob.send({ to: 'alice', type: 'text' })
    await alice.count(1)
    // Who has left is a stranger again.
    const [last] = silent.slice(-1)
    expect(last?.socket.destroyed).toBe(false)
  })

  test('one agent with a token cannot take them all', async () => {
    const node = await agentsNode(['mallory'])
    const token = node.tokens.get('mallory') ?? ''
    const beside = await node.connect()
    const attach = () => beside.attach({ token, inbox: 'none' })
    const held = []
    for (let at = 0; at < 32; at++) held.push(await attach())
    await expect(attach()).rejects.toMatchObject({ code: 'AGENT_LIMIT' })
    await held[0]?.detach()
    await attach()
    // Attached for a moment on each of many connections: none of them stays for that.
    const left: RawClient[] = []
    for (let at = 0; at < STRANGERS_MAX + 20; at++) {
      const raw = await node.raw()
      raw.send(request(1, 'attach', { token, inbox: 'push' }))
      const answer = (await raw.take(1))[0] as { result: { as: number } }
      raw.send(request(2, 'detach', { as: answer.result.as }))
      await raw.take(2)
      left.push(raw)
    }
    await until('the first have ended', () => left.filter(({ socket }) => !socket.destroyed).length <= STRANGERS_MAX)
    expect(left[0]?.socket.destroyed).toBe(true)
  })

  test('who guesses tokens is cut off after a few, and the right one is none too late', async () => {
    const node = await agentsNode(['alice'])
    const raw = await node.raw()
    for (let at = 0; at < 500; at++) raw.send(request(at, 'attach', { token: `smagent_${'x'.repeat(42)}${at % 10}` }))
    // Behind so many wrong ones the right one is not even looked at.
    raw.send(request('right', 'attach', { token: node.tokens.get('alice') ?? '' }))
    await raw.closed
    expect(raw.lines.every(({ error }) => error?.data.code === 'AGENT_TOKEN_INVALID')).toBe(true)
    expect((await node.attach('alice')).name).toBe('alice')
  })
})

describe('room', () => {
  for (const framing of ['lines', 'compact'] as const)
    test(`who reads nothing gets nothing more, and holds up nobody (${framing})`, async () => {
      const node = await agentsNode(['slow', 'alice', 'bob'])
      const [alice, bob] = [await node.attach('alice'), collect(await node.attach('bob'))]
      const token = node.tokens.get('slow') ?? ''
      const attach = request('a', 'attach', { token })
      const raw = framing === 'lines' ? await node.raw() : await RawFrames.open(node.socketPath)
      if ('answer' in raw) {
        raw.say(attach)
        await raw.answer('a')
      } else {
        raw.send(attach)
        await raw.take(1)
      }
      raw.socket.pause()
      const before = process.memoryUsage().rss
      const payload = 'x'.repeat(100_000)
      let full = 0
      for (let at = 0; at < 120; at++) {
        const sending = alice.send({ to: 'slow', type: 'text', payload })
        await sending.catch((error: { code?: string }) => void (full += error.code === 'INBOX_FULL' ? 1 : 0))
        await alice.send({ to: 'bob', type: 'text' })
      }
      await bob.count(120)
      expect(full).toBeGreaterThan(0)
      // 8 MiB of an inbox, what is handed out, and whatever the engine has not collected.
      expect(process.memoryUsage().rss - before).toBeLessThan(256 * 1_048_576)
      raw.socket.destroy()
      await until('its place is free', async () =>
        (await alice.agents()).some(({ name, state }) => name === 'slow' && state === 'away'),
      )
    })

  test('a connection carries 256 handles, and each is worth nothing on another one', async () => {
    const names = Array.from({ length: 9 }, (_, at) => `agent-${at}`)
    const node = await agentsNode(names)
    const raw = await node.raw()
    // Of each agent one that reads, and as many beside it as may be.
    const inboxes = ['pull', ...Array.from({ length: 32 }, () => 'none')]
    const tokens = names.flatMap((name) => inboxes.map((inbox) => ({ token: node.tokens.get(name) ?? '', inbox })))
    for (const [at, params] of tokens.entries()) raw.send(request(at, 'attach', params))
    const answers = await raw.take(tokens.length)
    const handles = answers.flatMap(({ result }) => (result === undefined ? [] : [(result as { as: number }).as]))
    expect(handles).toHaveLength(256)
    expect(new Set(answers.map(({ error }) => error?.data.code))).toEqual(new Set([undefined, 'AGENT_LIMIT']))
    const other = await RawFrames.open(node.socketPath)
    other.say(request('x', 'send', { as: handles[0], to: 'agent-1', type: 'text' }))
    expect((await other.answer('x')).error?.data.code).toBe('NOT_ATTACHED')
  })
})
