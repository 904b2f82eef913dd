import { once } from 'node:events'
import { connect } from 'node:net'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { expect, onTestFinished, test } from 'vitest'
import { request } from '../ipc/fake-node.ts'
import { until } from '../processes/wait.ts'
import { type AgentsNode, agentsNode } from './agents-node.ts'

/** A local program that has a token, or a text pipe, and means harm. */

const FLOOD = 500

async function attached(node: AgentsNode, name: string) {
  const raw = await node.raw()
  raw.send(request('attach', 'attach', { token: node.tokens.get(name) ?? '', inbox: 'pull' }))
  const [answer] = await raw.take(1)
  return { raw, as: (answer?.result as { as: number } | undefined)?.as ?? 0 }
}

/** How many of these calls, said at once, were answered when somebody else got an answer that was asked for after the first. */
async function answeredBefore(node: AgentsNode, name: string, method: string, params: object): Promise<number> {
  const { raw, as } = await attached(node, name)
  const other = await node.raw()
  const calls = Array.from({ length: FLOOD }, (_, at) => JSON.stringify(request(at, method, { as, ...params })))
  raw.send(`${calls.join('\n')}\n`)
  await raw.take(2)
  other.send(request('hello', 'hello', { version: 1 }))
  await other.take(1)
  const answered = raw.lines.length - 1
  await raw.take(1 + FLOOD)
  expect(raw.lines.filter(({ error }) => error !== undefined)).toEqual([])
  return answered
}

test('calls that answer at once hold up nobody else, however many come in one piece', async () => {
  const node = await agentsNode(['alice', 'mallory'])
  const mallory = await node.attach('mallory')
  for (let i = 0; i < 16; i++) await mallory.send({ to: 'mallory', type: 'text', payload: 'x'.repeat(30_000) })
  await mallory.detach()
  expect(await answeredBefore(node, 'mallory', 'history', { type: 'never' })).toBeLessThan(FLOOD)
})

test('listings of one agent are made one after another', async () => {
  const node = await agentsNode(['alice', 'mallory'])
  const mallory = await node.attach('mallory')
  await Promise.all(Array.from({ length: 400 }, (_, at) => mallory.write(`mallory.semantic.item-${at}`, `${at}`)))
  await mallory.detach()
  expect(await answeredBefore(node, 'mallory', 'memory.ls', { limit: 1 })).toBeLessThan(FLOOD)
})

test('an old token lets nobody attach while its owner makes another', async () => {
  const node = await agentsNode(['mallory'])
  const old = node.tokens.get('mallory')
  const { raw } = await attached(node, 'mallory')
  const rotated = node.token('mallory', ['list'])
  raw.send(request('again', 'attach', { token: old, inbox: 'pull' }))
  await rotated
  const again = (await raw.take(2)).find(({ id }) => id === 'again')
  const as = (again?.result as { as?: number } | undefined)?.as ?? 1
  raw.send(request('use', 'inbox.take', { as }))
  expect((await raw.take(3)).find(({ id }) => id === 'use')).toMatchObject({
    error: { data: { code: 'NOT_ATTACHED' } },
  })
  expect((await node.owner('agents.tokens', {})).tokens).toMatchObject([{ name: 'mallory', attached: false }])
})

test('nobody answers a question of the owner before it was asked', async () => {
  const node = await agentsNode(['alice', 'bob', 'mallory'])
  const mallory = await node.attach('mallory')
  const { raw, as } = await attached(node, 'bob')
  raw.send(request('first', 'send', { as, to: 'bob', type: 'text' }))
  const [, sent] = await raw.take(2)
  const id = (sent?.result as { id: string } | undefined)?.id ?? ''
  const [run, made] = [id.slice(0, 16), id.slice(16)]
  for (let next = 1; next <= 8; next++) {
    const correlation = `${run}${(Number.parseInt(made, 36) + next).toString(36)}`
    await mallory.send({ to: 'alice', type: 'response', id: `forged-${next}`, correlation, payload: 'forged' })
  }
  // What the door itself would fill in.
  const draft = { payload: null, priority: 1 as const, durable: false, correlation: null, parents: [], hops: 0 }
  const asked = await node.owner('messages.send', { as: 'alice', to: 'bob', type: 'question', ...draft })
  expect(await node.owner('messages.answer', { as: 'alice', to: asked.id, waitMs: 0 })).toEqual({ message: null })

  // Nor in place of the one who was asked, even where he has told her the id.
  const answer = { to: 'alice', type: 'response', correlation: asked.id }
  await mallory.send({ ...answer, payload: 'forged' })
  const wanted = { as: 'alice', to: asked.id, asked: 'bob', waitMs: 0 }
  expect(await node.owner('messages.answer', wanted)).toEqual({ message: null })
  raw.send(request('answer', 'send', { as, ...answer, payload: 'mine' }))
  expect(await node.owner('messages.answer', { ...wanted, waitMs: 5_000 })).toMatchObject({
    message: { from: 'bob@home', payload: 'mine' },
  })
})

test('who got a message of an agent does not know the id of its next one', async () => {
  const alice = await (await agentsNode(['alice'])).attach('alice')
  const [one, two] = [await alice.send({ to: 'alice', type: 'text' }), await alice.send({ to: 'alice', type: 'text' })]
  expect(two.id.slice(0, 8)).not.toBe(one.id.slice(0, 8))
})

test('a token that allows no messages shows none that others sent before it was made', async () => {
  const node = await agentsNode(['alice', 'bob'])
  const before = await node.attach('alice')
  await before.send({ to: 'bob', type: 'text', payload: 'mine' })
  await (await node.attach('bob')).send({ to: 'alice', type: 'text', payload: 'secret' })
  expect(await before.history()).toHaveLength(2)
  await node.token('alice', ['read'])
  const reader = await node.attach('alice')
  expect(await reader.history()).toMatchObject([{ payload: 'mine' }])
  expect(await reader.history({ from: 'alice' })).toHaveLength(1)
  expect(await reader.history({ from: 'bob' })).toEqual([])
})

test('a script that does not read its answers is not read', async () => {
  const node = await agentsNode(['script'], { config: '[agents.script]\npipes = true\n' })
  const messages = 100_000
  const socket = connect(join(node.home, 'run', 'pipes', 'script_public.sock'))
  onTestFinished(() => void socket.destroy())
  await once(socket, 'connect')
  socket.pause()
  let taken = 0
  const piece = '[FROM:nobody]\n===END_MESSAGE===\n'.repeat(messages / 100)
  const say = (): void => {
    if (taken === 100) return
    socket.write(piece, () => {
      taken += 1
      setImmediate(say)
    })
  }
  say()
  await until('nothing more is taken', async () => {
    const before = taken
    await pause(300)
    return taken === before
  })
  expect(taken).toBeLessThan(100)
  let answers = 0
  socket.on('data', (chunk: Buffer) => (answers += chunk.toString('latin1').split('\n').length - 1))
  socket.resume()
  await until('all is answered', () => answers === messages)
})
