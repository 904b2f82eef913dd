import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { type Held, Inbox } from './inbox.ts'
import { Lanes, PASSED_MAX } from './lanes.ts'
import { type Letter, letterOf } from './letter.ts'

const priority = fc.constantFrom(0, 1, 2, 3) as fc.Arbitrary<0 | 1 | 2 | 3>

const letter = (id: string, of: { priority?: 0 | 1 | 2 | 3; expiresAt?: string } = {}): Letter =>
  letterOf(
    {
      version: 1,
      id,
      from: 'alice@home',
      to: 'bob',
      type: 'text',
      priority: of.priority ?? 1,
      correlation: null,
      sentAt: '2026-11-20T00:00:00.000Z',
      expiresAt: of.expiresAt ?? null,
      hops: 0,
      parents: [],
      durable: false,
    },
    '1',
  )

describe('lanes', () => {
  test('nothing is lost, made up or reordered within its lane', () => {
    fc.assert(
      fc.property(fc.array(fc.option(priority, { freq: 2 })), (steps) => {
        const lanes = new Lanes<number>()
        const put: number[][] = [[], [], [], []]
        const taken: number[][] = [[], [], [], []]
        const laneOf = new Map<number, number>()
        const take = (): boolean => {
          const item = lanes.next()
          if (item !== undefined) taken[laneOf.get(item) ?? -1]?.push(item)
          return item !== undefined
        }
        steps.forEach((lane, at) => {
          if (lane === null) return void take()
          put[lane]?.push(at)
          laneOf.set(at, lane)
          lanes.push(lane, at)
        })
        while (take()) continue
        expect(taken).toEqual(put)
      }),
    )
  })

  test('what waits is handed out within a bound, however much of more urgent kinds keeps coming', () => {
    fc.assert(
      fc.property(priority, fc.nat(20), fc.array(priority, { minLength: 1 }), (lane, before, flood) => {
        const lanes = new Lanes<string>()
        for (let at = 0; at < before; at++) lanes.push(lane, 'before')
        lanes.push(lane, 'it')
        // Each turn of its lane comes after at most so many of others.
        const bound = (before + 1) * 3 * (PASSED_MAX + 1)
        for (let turn = 0; turn <= bound; turn++) {
          lanes.push(flood[turn % flood.length] ?? 3, 'flood')
          lanes.push(3, 'flood')
          if (lanes.next() === 'it') return
        }
        expect.unreachable(`not within ${bound}`)
      }),
    )
  })
})

describe('an inbox', () => {
  test('every letter is handed out until it is acknowledged, at rising places, and its bytes are counted to the end', () => {
    const step = fc.oneof(
      fc.record({ type: fc.constant('add' as const), priority }),
      fc.record({ type: fc.constant('next' as const) }),
      fc.record({ type: fc.constant('ack' as const), upTo: fc.nat(30) }),
      fc.record({ type: fc.constant('recall' as const) }),
    )
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
        const inbox = new Inbox()
        const open = new Map<string, Letter>()
        const out = new Map<number, string>()
        let last = 0
        steps.forEach((each, at) => {
          if (each.type === 'add') {
            const added = letter(`m${at}`, { priority: each.priority })
            open.set(added.id, added)
            inbox.add({ letter: added, stored: null, sinceMs: null })
          } else if (each.type === 'next') {
            const handed = inbox.next(0, [])
            if (handed === undefined) return
            expect(handed.place).toBeGreaterThan(last)
            last = handed.place
            expect([...out.values()]).not.toContain(handed.letter.id)
            out.set(handed.place, handed.letter.id)
          } else if (each.type === 'ack') {
            const place = last - each.upTo
            const done = inbox.acknowledge(place).map(({ letter: { id } }) => id)
            expect(done).toEqual([...out].filter(([of]) => of <= place).map(([, id]) => id))
            for (const id of done) open.delete(id)
            for (const of of [...out.keys()]) if (of <= place) out.delete(of)
          } else {
            inbox.recall()
            out.clear()
          }
          expect(inbox.letters).toBe(open.size)
          expect(inbox.bytes).toBe([...open.values()].reduce((sum, { bytes }) => sum + bytes, 0))
        })
        inbox.recall()
        const rest: string[] = []
        for (let handed = inbox.next(0, []); handed !== undefined; handed = inbox.next(0, []))
          rest.push(handed.letter.id)
        expect(rest.toSorted()).toEqual([...open.keys()].toSorted())
      }),
    )
  })

  test('no more than a window is handed out unacknowledged', () => {
    const inbox = new Inbox()
    for (let at = 0; at < 300; at++) inbox.add({ letter: letter(`m${at}`), stored: null, sinceMs: null })
    let handed = 0
    while (inbox.next(0, []) !== undefined) handed += 1
    expect(handed).toBe(256)
    inbox.acknowledge(10)
    while (inbox.next(0, []) !== undefined) handed += 1
    expect(handed).toBe(266)
  })

  test('what has expired is given back to whoever takes it off the disk, and counts no more', () => {
    const inbox = new Inbox()
    const expiresAt = '2026-11-20T00:00:01.000Z'
    inbox.add({ letter: letter('short', { expiresAt }), stored: 7, sinceMs: null })
    inbox.add({ letter: letter('long'), stored: 8, sinceMs: null })
    const expired: Held[] = []
    expect(inbox.next(Date.parse(expiresAt), expired)?.letter.id).toBe('long')
    expect(expired.map(({ stored }) => stored)).toEqual([7])
    expect([inbox.letters, inbox.bytes]).toEqual([1, letter('long').bytes])
  })

  test('room that is reserved is not given twice', () => {
    const inbox = new Inbox()
    const limits = { letters: 2, bytes: 1_000_000 }
    const one = letter('one')
    const release = inbox.reserve(one)
    inbox.add({ letter: letter('two'), stored: null, sinceMs: null })
    expect(inbox.hasRoom(one, limits)).toBe(false)
    release()
    expect(inbox.hasRoom(one, limits)).toBe(true)
    expect(inbox.hasRoom(one, { letters: 9, bytes: inbox.bytes + one.bytes - 1 })).toBe(false)
  })
})
