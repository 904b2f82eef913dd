import type { AgentId } from '@sealmesh/protocol/ids'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { type Mark, Taken } from './taken.ts'

const mark = (sender: string, id: string, rest: Partial<Mark> = {}): Mark => ({
  sender: sender as AgentId,
  recipient: 'bob' as AgentId,
  id,
  endsAtMs: 1_000,
  durable: true,
  ...rest,
})
const has = (taken: Taken, { sender, recipient, id }: Mark): boolean => taken.has(sender, recipient, id)

describe('Taken', () => {
  test('knows what was marked until that is over, whatever the order', () => {
    const marks = fc.array(
      fc.record({
        sender: fc.constantFrom('alice', 'carol').map((name) => name as AgentId),
        recipient: fc.constantFrom('bob', 'dave').map((name) => name as AgentId),
        id: fc.stringMatching(/^[\w-]{1,4}$/),
        endsAtMs: fc.integer({ min: 1, max: 5 }),
        durable: fc.boolean(),
      }),
    )
    fc.assert(
      fc.property(marks, fc.integer({ min: 0, max: 6 }), (all, nowMs) => {
        const taken = new Taken()
        const latest = new Map<string, Mark>()
        for (const each of all) {
          expect(taken.add(each)).toBeUndefined()
          latest.set(`${each.sender} ${each.recipient} ${each.id} ${each.durable}`, each)
        }
        const over = [...latest.values()].filter(({ endsAtMs }) => endsAtMs <= nowMs)
        const there = [...latest.values()].filter(({ endsAtMs }) => endsAtMs > nowMs)
        expect(new Set(taken.expire(nowMs).map((each) => JSON.stringify(each, KEYS)))).toEqual(
          new Set(over.map((each) => JSON.stringify(each, KEYS))),
        )
        expect(there.every((each) => has(taken, each))).toBe(true)
        expect(taken.size).toBe(there.length)
      }),
    )
  })

  test('the oldest of a sender make room for its next ones, what is not on disk first', () => {
    const taken = new Taken()
    taken.add(mark('alice', 'kept'))
    taken.add(mark('alice', 'passing', { durable: false }))
    for (let at = 2; at < 8_192; at++) expect(taken.add(mark('alice', `m${at}`))).toBeUndefined()
    expect(taken.add(mark('alice', 'one'))).toEqual(mark('alice', 'passing', { durable: false }))
    expect(taken.add(mark('alice', 'two'))).toEqual(mark('alice', 'kept'))
    expect(taken.size).toBe(8_192)
  })

  test('of all together whoever has the most makes room, and those with few keep theirs', () => {
    const taken = new Taken()
    taken.add(mark('few', 'm'))
    for (let sender = 0; sender < 8; sender++)
      for (let at = 0; at < 8_192 && taken.size < 65_536; at++) taken.add(mark(`many${sender}`, `m${at}`))
    expect(taken.add(mark('new', 'first'))?.sender).toBe('many0' as AgentId)
    expect([has(taken, mark('few', 'm')), has(taken, mark('new', 'first')), taken.size]).toEqual([true, true, 65_536])
  })
})

const KEYS = ['sender', 'recipient', 'id', 'endsAtMs', 'durable']
