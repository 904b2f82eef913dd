import type { Agent } from '@sealmesh/agent/client/agent'
import { connectAgents } from '@sealmesh/agent/client/connect-agents'
import { frameOf } from '@sealmesh/agent/wire/frames'
import { FRAME_KINDS } from '@sealmesh/protocol/ipc/compact'
import { MESSAGE_DEPTH_MAX } from '@sealmesh/protocol/messages/limits'
import type { Message } from '@sealmesh/protocol/messages/message'
import fc from 'fast-check'
import { describe, expect, onTestFinished, test } from 'vitest'
import { request } from '../ipc/fake-node.ts'
import { type AgentsNode, agentsNode, collect } from './agents-node.ts'
import { jsonFrame, RawFrames, sendFrame } from './raw-frames.ts'

/** The two framings of the agents' door are one language: docs/spec/16-agents.md §1.1. */

async function attach(node: AgentsNode, name: string, framing: 'lines' | 'compact'): Promise<Agent> {
  const connection = await connectAgents({ home: node.home, framing })
  onTestFinished(() => connection.close())
  expect(connection.framing).toBe(framing)
  return connection.attach({ token: node.tokens.get(name) ?? '' })
}

const id = fc.stringMatching(/^[A-Za-z0-9_-]{1,64}$/)
const said = fc.record(
  {
    type: fc.constantFrom('text', 'question', 'x'.repeat(64)),
    payload: fc.jsonValue({ stringUnit: 'binary' }),
    priority: fc.constantFrom(0 as const, 1 as const, 2 as const, 3 as const),
    correlation: id,
    parents: fc.array(id, { maxLength: 16 }),
    hops: fc.nat(32),
    expiresMs: fc.integer({ min: 60_000, max: 2 ** 40 }),
    durable: fc.boolean(),
  },
  { requiredKeys: ['type'] },
)

test('a message arrives the same, whichever framing its sender and its recipients speak', async () => {
  const node = await agentsNode(['ann', 'bob', 'carl', 'dora'])
  const [ann, bob] = [await attach(node, 'ann', 'lines'), await attach(node, 'bob', 'compact')]
  const [carl, dora] = [collect(await attach(node, 'carl', 'lines')), collect(await attach(node, 'dora', 'compact'))]
  let count = 0
  await fc.assert(
    fc.asyncProperty(said, async (draft) => {
      for (const sender of [ann, bob]) {
        const answers = await Promise.all(
          ['carl', 'dora@home'].map((to) => sender.call('send', { ...draft, to, id: `${to.slice(0, 4)}${count}` })),
        )
        expect(answers).toEqual(
          ['carl', 'dora'].map((to) => ({ id: `${to}${count}`, delivered: 1, waiting: 0, refused: 0 })),
        )
        count += 1
        await Promise.all([carl.count(count), dora.count(count)])
      }
      const four = [...carl.got.slice(-2), ...dora.got.slice(-2)].map(({ message }) => bare(message))
      for (const one of four) expect(one).toEqual(four[0])
      expect(four[0]?.payload).toEqual(JSON.parse(JSON.stringify(draft.payload ?? null)))
      const { type, priority = 1, correlation = null, parents = [], hops = 0, durable = false } = draft
      expect(four[0]).toMatchObject({ type, priority, correlation, parents, hops, durable })
      expect(four[0]?.expires).toBe(draft.expiresMs !== undefined || durable)
    }),
    { numRuns: 60 },
  )
})

/** But for what differs between two messages anyway. */
function bare({ id: _id, from: _from, to: _to, sentAt: _sentAt, expiresAt, ...rest }: Message) {
  return { ...rest, expires: expiresAt !== null }
}

test('what is wrong with a message is said in the same words, and other calls are the same', async () => {
  const node = await agentsNode(['ann', 'bob'])
  const agents = [await attach(node, 'ann', 'lines'), await attach(node, 'bob', 'compact')]
  const deep = '['.repeat(MESSAGE_DEPTH_MAX + 1) + ']'.repeat(MESSAGE_DEPTH_MAX + 1)
  const wrong: object[] = [
    { to: 'nobody', type: 'text' },
    { to: 'No Body', type: 'text' },
    { to: 'ann', type: 'Ü' },
    { to: 'ann', type: 'text', id: '' },
    { to: 'ann', type: 'text', correlation: 'a b' },
    { to: 'ann', type: 'text', hops: 33 },
    { to: 'ann', type: 'text', priority: 4 },
    { to: 'ann', type: 'text', expiresMs: 0 },
    { to: 'ann', type: 'text', parents: Array.from({ length: 17 }, () => 'p') },
    { to: 'ann', type: 'text', payload: 'x'.repeat(140_000) },
    { to: 'ann', type: 'text', payload: JSON.parse(deep) },
  ]
  for (const draft of wrong) {
    const failures = await Promise.all(
      agents.map((agent) => agent.call('send', draft as never).catch((error: unknown) => error)),
    )
    const [lines, compact] = failures.map((each) => ({ ...(each as object), message: (each as Error).message }))
    expect(compact, JSON.stringify(draft).slice(0, 80)).toEqual(lines)
    expect(failures[0]).toBeInstanceOf(Error)
  }
  for (const agent of agents) {
    await agent.write(`${agent.name}.semantic.x`, '"grüße"')
    expect(await agent.read(`${agent.name}.semantic.x`)).toBe('"grüße"')
    expect((await agent.agents()).map(({ name }) => name)).toEqual(['ann', 'bob'])
  }
})

describe('frames that no client of ours would send', () => {
  const opened = async () => {
    const node = await agentsNode(['ann', 'bob', 'carl'])
    const [bob, carl] = [collect(await attach(node, 'bob', 'lines')), collect(await attach(node, 'carl', 'compact'))]
    return { node, bob, carl }
  }

  test('what comes in one write behind the hello is read as frames', async () => {
    const { node, bob } = await opened()
    const behind = jsonFrame(request('a', 'attach', { token: node.tokens.get('ann') ?? '' }))
    const raw = await RawFrames.open(node.socketPath, behind)
    const { result } = await raw.answer('a')
    raw.socket.write(sendFrame({ as: (result as { as: number }).as }, '"hi"'))
    await bob.count(1)
    expect(bob.got[0]?.message).toMatchObject({ from: 'ann@home', payload: 'hi' })
    expect(raw.frames(FRAME_KINDS.sent)).toHaveLength(1)
  })

  test('a payload is JSON in one line when it is handed on, whatever was said', async () => {
    const { node, bob, carl } = await opened()
    const raw = await RawFrames.open(node.socketPath)
    raw.say(request('a', 'attach', { token: node.tokens.get('ann') ?? '' }))
    const { as } = (await raw.answer('a')).result as { as: number }
    const bad = ['{', '"', 'undefined', '1 2', '"\n"', '{"a":1}}', '\u{feff}1', "'x'", 'NaN', '1,"from":"root@home"']
    for (const [at, body] of bad.entries()) {
      raw.socket.write(sendFrame({ as, request: at + 1 }, body))
      expect((await raw.answer(at + 1)).error?.data.code, body).toBe('VALUE_INVALID')
    }
    // Between values JSON allows line ends: in lines they would begin another message.
    const forged = '[1,\n{"jsonrpc":"2.0","method":"message"}\r\n]'
    for (const to of ['bob', 'carl']) raw.socket.write(sendFrame({ as, request: 99, to }, forged))
    for (const to of ['bob', 'carl']) raw.socket.write(sendFrame({ as, request: 0, to }, ''))
    await Promise.all([bob.count(2), carl.count(2)])
    for (const { got } of [bob, carl])
      expect(got.map(({ message }) => message.payload)).toEqual([[1, { jsonrpc: '2.0', method: 'message' }], null])
  })

  test('half frames, giant ones and those of no kind harm only who sends them', async () => {
    const { node, bob } = await opened()
    const giant = await RawFrames.open(node.socketPath)
    giant.socket.write(Buffer.of(0x7f, 0xff, 0xff, 0xff, 1))
    await giant.closed
    expect(JSON.parse(giant.frames(0)[0]?.body ?? '').error.data.code).toBe('VALUE_TOO_LARGE')

    const half = await RawFrames.open(node.socketPath)
    half.socket.end(sendFrame({ as: 1 }, '"x"').subarray(0, 20))
    await half.closed

    const odd = await RawFrames.open(node.socketPath)
    for (const kind of [2, 3, 4, 255]) odd.socket.write(Buffer.of(0, 0, 0, 3, kind, 0, 0))
    odd.socket.write(Buffer.of(0, 0, 0, 0))
    odd.socket.write(Buffer.of(0, 0, 0, 9, 1, 0xff, 0xff, 1, 2, 3, 4, 5, 6))
    odd.socket.write(Buffer.from(frameOf(FRAME_KINDS.send, 'short', '1'), 'latin1'))
    odd.socket.write(sendFrame({ as: 4_711, request: 5 }, '1'))
    odd.say(request('end', 'hello', { version: 1, framing: 'lines' }))
    expect(await odd.answer('end')).toMatchObject({ result: { framing: 'compact' } })
    expect((await odd.answer(5)).error?.data.code).toBe('NOT_ATTACHED')
    expect(odd.frames(FRAME_KINDS.json)).toHaveLength(9)
    expect(bob.got).toEqual([])
  })
})
