import { EventFeed, type Happened } from '@sealmesh/node/events/feed'
import { eventHandlers } from '@sealmesh/node/service/events'
import type { NodeEvent } from '@sealmesh/protocol/ipc/methods'
import { expect, test } from 'vitest'
import { until } from '../processes/wait.ts'
import { fakeNode, request } from './fake-node.ts'

const happened = (number: number): Happened => ({
  type: number % 2 === 0 ? 'write' : 'peer',
  agent: 'claude',
  layer: 'semantic',
  count: 1,
  bytes: 400,
  make: () => ({
    at: '2026-11-20T12:00:00.000Z',
    umr: 'claude.semantic.x',
    nodeName: 'home',
    local: true,
    detail: { number, value: 'x'.repeat(300) },
  }),
})

const world = async () => {
  const feed = new EventFeed('aa')
  return { feed, node: await fakeNode({ ...eventHandlers({ feed, now: Date.now }) }) }
}
const numbersOf = (events: readonly NodeEvent[]) => events.map(({ detail }) => detail['number'])

test('a stream begins now, gives only what is wanted, and ends with its connection', async () => {
  const { feed, node } = await world()
  const client = await node.client()
  const events: NodeEvent[] = []
  client.on('event', (event) => events.push(event))
  feed.publish(happened(0))
  await client.call('events', { types: ['write'] })
  for (let n = 1; n < 7; n++) feed.publish(happened(n))
  await until('the last wanted event has come', () => events.length === 3)
  expect(numbersOf(events)).toEqual([2, 4, 6])
})

test('a reader that takes nothing is held back, not cut, and is told what it missed; another gets all meanwhile', async () => {
  const { feed, node } = await world()
  const [sleeper, reader] = [await node.raw(), await node.client()]
  const events: NodeEvent[] = []
  reader.on('event', (event) => events.push(event))
  await reader.call('events', {})
  sleeper.send(request(1, 'events', {}))
  await sleeper.take(1)
  sleeper.socket.pause()
  const COUNT = 40_000
  for (let n = 0; n < COUNT; n++) {
    feed.publish(happened(n))
    // The reader is as fast as it can be: it gets its turns.
    if (n % 2_000 === 0) await until('the reader keeps up', () => events.length >= n)
  }
  await until('the reader has all', () => events.length === COUNT)
  expect(node.logged).toEqual([])
  sleeper.socket.resume()
  const last = (): NodeEvent => (sleeper.lines.at(-1) as { params: NodeEvent }).params
  await until('the sleeper has come to the end', () => last()?.detail?.['number'] === COUNT - 1)
  const got = sleeper.lines.slice(1).map((line) => (line as unknown as { params: NodeEvent }).params)
  const missed = got.filter(({ type }) => type === 'gap').reduce((sum, { detail }) => sum + Number(detail['lost']), 0)
  expect(missed).toBeGreaterThan(0)
  expect(got.filter(({ type }) => type !== 'gap').length + missed).toBe(COUNT)
})
