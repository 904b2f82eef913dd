import { describe, expect, test } from 'vitest'
import { isReached, settledOf } from './settled.ts'
import { TraceBook, type TraceEvent, type TraceHead, tracesOf } from './trace-book.ts'

const KIB = 1_024
const entry = (id: string, event: TraceEvent, atMs: number, more: { agent?: string; to?: string } = {}) => ({
  id,
  event,
  atMs,
  machine: 'home',
  agent: more.agent ?? null,
  to: more.to ?? null,
})
const head = (id: string, more: Partial<TraceHead> = {}): TraceHead => ({
  id,
  from: 'alice@home',
  to: 'bob',
  type: 'text',
  correlation: null,
  parents: [],
  ...more,
})
const open = (book: TraceBook, atMs: number, said: TraceHead) =>
  book.open({ atMs, event: 'sent', machine: 'home' }, said)

describe('a book of traces', () => {
  test('gives a message with what caused it and what answers it, in two books, and nothing of others', () => {
    const [durable, others] = [new TraceBook(256 * KIB), new TraceBook(256 * KIB)]
    open(durable, 1, head('task', { type: 'task-request' }))
    durable.add(entry('task', 'packet', 2, { agent: 'bob', to: 'office' }))
    open(others, 3, head('other'))
    open(others, 5, head('reply', { from: 'bob@office', to: 'alice', correlation: 'task', parents: ['task'] }))
    open(others, 7, head('thanks', { parents: ['reply'] }))
    others.add(entry('reply', 'handed', 6, { agent: 'alice' }))
    for (const id of ['task', 'reply', 'thanks']) {
      const found = tracesOf(id, [durable, others])
      expect(found.map((each) => each.id)).toEqual(['task', 'reply', 'thanks'])
      expect(found[0]?.entries[1]).toEqual(entry('task', 'packet', 2, { agent: 'bob', to: 'office' }))
      expect(found[1]).toMatchObject({ head: { correlation: 'task', parents: ['task'], from: 'bob@office' } })
    }
    expect(tracesOf('other', [durable, others]).map((each) => each.id)).toEqual(['other'])
    expect(tracesOf('unknown', [durable, others])).toEqual([])
  })

  test('keeps the latest within its bytes, whatever is noted', () => {
    const book = new TraceBook(256 * KIB)
    for (let at = 0; at < 50_000; at++) book.add(entry(`m${at}`, 'handed', at))
    expect(book.bytes).toBeLessThanOrEqual(256 * KIB)
    expect(tracesOf('m0', [book])).toEqual([])
    const [last] = tracesOf('m49999', [book])
    expect(last?.entries).toEqual([entry('m49999', 'handed', 49_999)])
    // No line is torn by the end of a chunk.
    const lines = book.texts().flatMap((text) => text.split('\n').filter((line) => line !== ''))
    expect(lines.length).toBeGreaterThan(4_000)
    expect(lines.every((line) => /^\d+ handed m\d+ home - -$/.test(line))).toBe(true)
    // No part of another id is taken for this one.
    expect(tracesOf('m4999', [book])).toEqual([])
    expect(tracesOf('m', [book])).toEqual([])
  })

  test('ends what it finds, where all messages hang together', () => {
    const book = new TraceBook(4_096 * KIB)
    for (let at = 0; at < 2_000; at++) open(book, at, head(`m${at}`, at === 0 ? {} : { parents: [`m${at - 1}`] }))
    expect(tracesOf('m0', [book])).toHaveLength(64)
  })
})

test('how far a message has come, in whatever order it is told', () => {
  const of = (...events: TraceEvent[]) => settledOf(events.map((event) => ({ event })))
  expect(of('sent', 'kept', 'packet')).toBe('waiting')
  expect(of('sent', 'full')).toBe('waiting')
  expect(of('handed', 'sent')).toBe('taken')
  expect(of('acknowledged', 'taken', 'expired')).toBe('acknowledged')
  expect(of('sent', 'refused')).toBe('refused')
  expect(isReached('taken', 'taken')).toBe(true)
  expect(isReached('taken', 'acknowledged')).toBe(false)
  expect(isReached('dropped', 'acknowledged')).toBe(true)
})
