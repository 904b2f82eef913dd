import type { AgentId } from '@sealmesh/protocol/ids'
import type { MessageHead } from '@sealmesh/protocol/ipc/compact'
import { describe, expect, test } from 'vitest'
import { letterOf } from './core/letter.ts'
import { Trace } from './trace.ts'

const head = (id: string, durable: boolean): MessageHead => ({
  version: 1,
  id,
  from: 'alice@home',
  to: 'bob',
  type: 'text',
  priority: 2,
  correlation: null,
  sentAt: '2026-11-20T00:00:00.000Z',
  expiresAt: null,
  hops: 0,
  parents: [],
  durable,
})

describe('Trace', () => {
  const sent = (trace: Trace, id: string, sender: string, durable: boolean, nowMs: number): number => {
    const letter = letterOf(head(id, durable), '1', trace.takes(durable, sender as AgentId, nowMs))
    trace.open('sent', letter)
    trace.note('taken', letter, { agent: 'bob' })
    return trace.find(id).flatMap(({ entries }) => entries).length
  }

  test('of what is not durable, fifty of each sender are traced in a second; what is durable always', () => {
    const trace = new Trace({ nodeName: () => 'home', now: () => 0 })
    for (let at = 0; at < 50; at++) expect(sent(trace, `m${at}-`, 'alice', false, 10)).toBe(2)
    expect(sent(trace, 'past-', 'alice', false, 10)).toBe(0)
    expect(sent(trace, 'durable-', 'alice', true, 10)).toBe(2)
    expect(sent(trace, 'other-', 'carol', false, 999)).toBe(2)
    expect(sent(trace, 'later-', 'alice', false, 1_000)).toBe(2)
  })

  test('whoever waits for what becomes of a message hears it though it is not traced, and ends are always told', () => {
    const trace = new Trace({ nodeName: () => 'home', now: () => 0 })
    const letter = letterOf(head('m-', false), '1', false)
    expect([trace.isHeard('taken', letter), trace.isHeard('expired', letter)]).toEqual([false, true])
    const heard: string[] = []
    trace.onEnd((event) => heard.push(`end ${event}`))
    const stop = trace.onNote((event) => heard.push(event))
    expect(trace.isHeard('taken', letter)).toBe(true)
    trace.note('taken', letter)
    trace.note('expired', letter)
    stop()
    trace.note('taken', letter)
    expect(heard).toEqual(['taken', 'expired', 'end expired'])
    expect(trace.find('m-')).toEqual([])
  })
})
