import type { Delivery } from '@sealmesh/protocol/ipc/agent-methods'
import { expect, test } from 'vitest'
import { Inbox } from './inbox.ts'
import { deliveryOf, TestAgent } from './test-agent.ts'

const tick = (): Promise<unknown> => new Promise((resolve) => setImmediate(resolve))
const idsOf = (messages: readonly { id: string }[]): string[] => messages.map(({ id }) => id)

test('the most urgent is read first, and a message that came twice once', async () => {
  const agent = new TestAgent('claude')
  const inbox = new Inbox(agent).reader()
  const [low, high]: Delivery[] = [
    deliveryOf(1, { id: 'low', priority: 0 }),
    deliveryOf(2, { id: 'high', priority: 3 }),
  ]
  for (const each of [low, high, low]) if (each !== undefined) agent.deliver(each)
  expect(idsOf(await inbox.take({ limit: 10, waitMs: 0 }))).toEqual(['high', 'low'])
  expect(await inbox.take({ limit: 10, waitMs: 0 })).toEqual([])
})

test('a message is acknowledged with the call after the one that gave it', async () => {
  const agent = new TestAgent('claude')
  const inbox = new Inbox(agent).reader()
  agent.deliver(deliveryOf(1))
  await inbox.take({ limit: 10, waitMs: 0 })
  expect(agent.done).toEqual([])
  await inbox.take({ limit: 10, waitMs: 0 })
  expect(agent.done).toEqual(['m1'])
})

test('a message that came again before it was read is acknowledged when it was read, both times', async () => {
  const agent = new TestAgent('claude')
  const inbox = new Inbox(agent).reader()
  agent.deliver(deliveryOf(1, { id: 'one' }))
  agent.deliver(deliveryOf(7, { id: 'one' }))
  await Promise.resolve()
  expect(agent.done).toEqual([])
  expect(idsOf(await inbox.take({ limit: 10, waitMs: 0 }))).toEqual(['one'])
  agent.deliver(deliveryOf(8, { id: 'one' }))
  await Promise.resolve()
  expect(agent.done).toEqual([])
  expect(await inbox.take({ limit: 10, waitMs: 0 })).toEqual([])
  expect(agent.done).toEqual(['one', 'one', 'one'])
  agent.deliver(deliveryOf(9, { id: 'one' }))
  expect(await inbox.take({ limit: 10, waitMs: 0 })).toEqual([])
  expect(agent.done).toHaveLength(4)
})

test('what an answer has overtaken is not acknowledged with it', async () => {
  const agent = new TestAgent('claude')
  const inbox = new Inbox(agent).reader()
  agent.deliver(deliveryOf(1, { id: 'question' }))
  agent.deliver(deliveryOf(2, { id: 'answer', correlation: 'mine' }))
  const isMeant = ({ correlation }: { correlation: string | null }): boolean => correlation === 'mine'
  expect(idsOf(await inbox.take({ limit: 1, waitMs: 0, isMeant }))).toEqual(['answer'])
  expect(idsOf(await inbox.take({ limit: 10, waitMs: 0, isMeant }))).toEqual([])
  expect(agent.done).toEqual(['answer'])
  expect(idsOf(await inbox.take({ limit: 10, waitMs: 0 }))).toEqual(['question'])
  await inbox.take({ limit: 10, waitMs: 0 })
  expect(agent.done).toEqual(['answer', 'question'])
})

test('a reader that waits is woken by the message that is meant for it, and by its own end', async () => {
  const agent = new TestAgent('claude')
  const inbox = new Inbox(agent).reader()
  const isMeant = ({ correlation }: { correlation: string | null }): boolean => correlation === 'mine'
  const waiting = inbox.take({ limit: 1, waitMs: 20_000, isMeant })
  await Promise.resolve()
  agent.deliver(deliveryOf(1, { id: 'other' }))
  agent.deliver(deliveryOf(2, { id: 'answer', correlation: 'mine' }))
  expect(idsOf(await waiting)).toEqual(['answer'])
  const gone = new AbortController()
  const given = inbox.take({ limit: 1, waitMs: 20_000, isMeant, gone: gone.signal })
  await Promise.resolve()
  gone.abort()
  expect(await given).toEqual([])
})

test('an answer that is not wanted any more takes no message, before it is made and until it is read', async () => {
  const agent = new TestAgent('claude')
  const inbox = new Inbox(agent)
  const reader = inbox.reader()
  agent.deliver(deliveryOf(1, { id: 'one' }))
  agent.deliver(deliveryOf(2, { id: 'two' }))
  expect(await reader.take({ limit: 10, waitMs: 0, gone: AbortSignal.abort() })).toEqual([])
  const gone = new AbortController()
  expect(idsOf(await reader.take({ limit: 1, waitMs: 0, dropped: gone.signal }))).toEqual(['one'])
  gone.abort()
  expect(inbox.length).toBe(2)
  reader.settle()
  await tick()
  expect(agent.done).toEqual([])
  const done = new AbortController()
  expect(idsOf(await reader.take({ limit: 10, waitMs: 0, dropped: done.signal }))).toEqual(['one', 'two'])
  reader.settle()
  done.abort()
  expect(inbox.length).toBe(0)
  await tick()
  expect(agent.done).toEqual(['one', 'two'])
})

test('what one client was given, another one’s calls do not acknowledge; after ten minutes it may have it', async () => {
  let nowMs = 0
  const agent = new TestAgent('claude')
  const inbox = new Inbox(agent, () => nowMs)
  const [one, other] = [inbox.reader(), inbox.reader()]
  agent.deliver(deliveryOf(1, { id: 'a' }))
  expect(idsOf(await one.take({ limit: 10, waitMs: 0 }))).toEqual(['a'])
  other.settle()
  expect(await other.take({ limit: 10, waitMs: 0 })).toEqual([])
  await tick()
  expect(agent.done).toEqual([])
  nowMs = 600_000
  expect(idsOf(await other.take({ limit: 10, waitMs: 0 }))).toEqual(['a'])
  one.settle()
  await tick()
  expect(agent.done).toEqual([])
  other.settle()
  await tick()
  expect(agent.done).toEqual(['a'])
})

test('who ends right after an answer may not have seen it; who ends later has', async () => {
  let nowMs = 0
  const agent = new TestAgent('claude')
  const reader = new Inbox(agent, () => nowMs).reader()
  agent.deliver(deliveryOf(1, { id: 'early' }))
  await reader.take({ limit: 10, waitMs: 0 })
  reader.leave()
  await tick()
  expect(agent.done).toEqual([])
  nowMs = 5_000
  reader.leave()
  await tick()
  expect(agent.done).toEqual(['early'])
})
