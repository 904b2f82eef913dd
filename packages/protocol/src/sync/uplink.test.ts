import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { FailureCode } from '../errors.ts'
import {
  BACKOFF_MS_MAX,
  firstUplink,
  GREET_WAIT_MS,
  IDLED_PING_MS,
  nextTickMs,
  PING_EVERY_MS,
  REFUSED_ASK_MS,
  REFUSED_RETRY_MS,
  SILENCE_MS_MAX,
  stepUplink,
  type Uplink,
} from './uplink.ts'

const dice = fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true })
const failed = (reason: FailureCode, retryAfterMs = 0) => ({ type: 'failed', reason, retryAfterMs }) as const

const live = (nowMs: number): Uplink => {
  const greeting = stepUplink(firstUplink(nowMs), { type: 'tick' }, { nowMs, dice: 0 }).next
  return stepUplink(greeting, { type: 'welcomed' }, { nowMs, dice: 0 }).next
}

test('after any run of failures the node dials again within half a minute', () => {
  fc.assert(
    fc.property(fc.nat(60), dice, (failures, roll) => {
      let uplink = live(0)
      for (let nowMs = 0; nowMs <= failures * 60_000; nowMs += 60_000) {
        uplink = stepUplink(uplink, failed('RELAY_CLOSED'), { nowMs, dice: roll }).next
        const dialled = stepUplink(uplink, { type: 'tick' }, { nowMs: nowMs + BACKOFF_MS_MAX, dice: roll })
        expect(dialled.effects).toEqual([{ type: 'dial' }])
        uplink = dialled.next
      }
    }),
  )
})

test('who may not stay away for long never waits for longer, whatever has failed before', () => {
  fc.assert(
    fc.property(fc.nat(40), dice, fc.integer({ min: 500, max: 60_000 }), (failures, roll, backoffMsMax) => {
      let uplink = live(0)
      for (let count = 0; count <= failures; count++) {
        uplink = stepUplink(uplink, failed('RELAY_UNREACHABLE'), { nowMs: 0, dice: roll, backoffMsMax }).next
        if (uplink.state !== 'waiting') throw new Error('it has to wait')
        expect(uplink.dialAtMs).toBeLessThanOrEqual(Math.min(BACKOFF_MS_MAX, backoffMsMax))
        uplink = stepUplink(uplink, { type: 'tick' }, { nowMs: BACKOFF_MS_MAX, dice: roll }).next
      }
    }),
  )
})

test('a relay that asks for patience gets it, and the wait is bounded', () => {
  fc.assert(
    fc.property(fc.nat(10_000_000), dice, (retryAfterMs, roll) => {
      const { next } = stepUplink(live(0), failed('RELAY_RESTARTING', retryAfterMs), { nowMs: 0, dice: roll })
      expect(next.state).toBe('waiting')
      if (next.state !== 'waiting') return
      expect(next.dialAtMs).toBeGreaterThanOrEqual(Math.min(retryAfterMs, 60 * 60_000))
      expect(next.dialAtMs).toBeLessThanOrEqual(Math.max(BACKOFF_MS_MAX, 60 * 60_000))
    }),
  )
})

test('waits are spread over the whole ceiling, which doubles up to half a minute', () => {
  let uplink: Uplink = live(0)
  const waits: number[] = []
  for (let i = 0; i < 10; i++) {
    uplink = stepUplink(uplink, failed('RELAY_CLOSED'), { nowMs: 0, dice: 0.5 }).next
    if (uplink.state === 'waiting') waits.push(uplink.dialAtMs)
    uplink = stepUplink(uplink, { type: 'tick' }, { nowMs: 1e9, dice: 0 }).next
    if (uplink.state === 'greeting') uplink = { ...uplink, giveUpAtMs: Number.MAX_SAFE_INTEGER }
  }
  expect(waits).toEqual([250, 500, 1000, 2000, 4000, 8000, 15_000, 15_000, 15_000, 15_000])
})

test('a link that is cut as soon as it is live is not dialled without pause', () => {
  let uplink: Uplink = live(0)
  let nowMs = 0
  for (let i = 0; i < 8; i++) {
    uplink = stepUplink(uplink, failed('RELAY_CLOSED'), { nowMs, dice: 0.9 }).next
    nowMs = nextTickMs(uplink)
    uplink = stepUplink(uplink, { type: 'tick' }, { nowMs, dice: 0.9 }).next
    uplink = stepUplink(uplink, { type: 'welcomed' }, { nowMs, dice: 0.9 }).next
  }
  expect(nowMs).toBeGreaterThan(60_000)
})

test('a link that held for a while starts again from a short wait', () => {
  const steady = stepUplink(live(0), failed('RELAY_CLOSED'), { nowMs: 60_000, dice: 0.99 }).next
  expect(nextTickMs(steady)).toBeLessThan(60_000 + 500)
})

test('T-relay-10: a refusal that no retry can mend is asked again after an hour, since nobody signed it, or when somebody nudges', () => {
  for (const reason of ['NODE_REVOKED', 'CLAIM_INVALID', 'TOKEN_EXPIRED', 'LOGIN_SIGNATURE'] as const) {
    const { next } = stepUplink(live(0), failed(reason), { nowMs: 0, dice: 0.5 })
    expect(next).toMatchObject({ state: 'refused', reason })
    expect(stepUplink(next, { type: 'tick' }, { nowMs: REFUSED_ASK_MS - 1, dice: 0.5 }).effects).toEqual([])
    expect(stepUplink(next, { type: 'tick' }, { nowMs: nextTickMs(next), dice: 0.5 }).effects).toEqual([
      { type: 'dial' },
    ])
    const nudged = stepUplink(next, { type: 'nudged' }, { nowMs: 5, dice: 0.5 }).next
    expect(stepUplink(nudged, { type: 'tick' }, { nowMs: 5, dice: 0.5 }).effects).toEqual([{ type: 'dial' }])
  }
})

test('a refusal that its owner may mend is tried again, slowly', () => {
  const { next } = stepUplink(live(0), failed('MESH_NOT_ADMITTED'), { nowMs: 0, dice: 0.5 })
  expect(next).toEqual({ state: 'waiting', attempt: 1, dialAtMs: REFUSED_RETRY_MS, reason: 'MESH_NOT_ADMITTED' })
})

test('a relay that never welcomes is given up and dialled again', () => {
  const greeting = stepUplink(firstUplink(0), { type: 'tick' }, { nowMs: 0, dice: 0 }).next
  const early = stepUplink(greeting, { type: 'tick' }, { nowMs: GREET_WAIT_MS - 1, dice: 0 })
  expect(early).toEqual({ next: greeting, effects: [] })
  const late = stepUplink(greeting, { type: 'tick' }, { nowMs: GREET_WAIT_MS, dice: 0 })
  expect(late.effects).toEqual([{ type: 'hangUp', reason: 'HELLO_TIMEOUT' }])
  expect(late.next.state).toBe('waiting')
})

test('a live link is pinged, and hung up when nothing is heard', () => {
  const first = stepUplink(live(0), { type: 'tick' }, { nowMs: PING_EVERY_MS, dice: 0 })
  expect(first.effects).toEqual([{ type: 'ping' }])
  const heard = stepUplink(first.next, { type: 'heard' }, { nowMs: PING_EVERY_MS + 5, dice: 0 }).next
  expect(stepUplink(heard, { type: 'tick' }, { nowMs: SILENCE_MS_MAX, dice: 0 }).next.state).toBe('live')
  const silent = stepUplink(heard, { type: 'tick' }, { nowMs: PING_EVERY_MS + 5 + SILENCE_MS_MAX, dice: 0 })
  expect(silent.effects).toEqual([{ type: 'hangUp', reason: 'RELAY_UNREACHABLE' }])
})

test('whatever happens, a tick at the announced time does something', () => {
  const event = fc.oneof(
    fc.constant({ type: 'welcomed' } as const),
    fc.constant({ type: 'heard' } as const),
    fc.constant({ type: 'tick' } as const),
    fc.constant(failed('RELAY_CLOSED')),
    fc.constant(failed('VERSION_MISMATCH')),
  )
  fc.assert(
    fc.property(fc.array(fc.tuple(event, fc.nat(50_000), dice)), (steps) => {
      let uplink = firstUplink(0)
      let nowMs = 0
      for (const [next, elapsed, roll] of steps) {
        nowMs += elapsed
        uplink = stepUplink(uplink, next, { nowMs, dice: roll }).next
      }
      const at = nextTickMs(uplink)
      const due = Math.max(nowMs, at)
      expect(stepUplink(uplink, { type: 'tick' }, { nowMs: due, dice: 0.5 }).effects).not.toEqual([])
    }),
  )
})

test('a process that was idled says soon that it lives, and then at the pace of any other', () => {
  for (const idledAtMs of [100, PING_EVERY_MS - 1]) {
    const { next, effects } = stepUplink(live(0), { type: 'idled' }, { nowMs: idledAtMs, dice: 0 })
    expect([nextTickMs(next), effects]).toEqual([idledAtMs + IDLED_PING_MS, []])
    const nowMs = idledAtMs + IDLED_PING_MS
    const heard = stepUplink(next, { type: 'heard' }, { nowMs, dice: 0 }).next
    const pinged = stepUplink(heard, { type: 'tick' }, { nowMs, dice: 0 })
    expect([pinged.effects, nextTickMs(pinged.next)]).toEqual([[{ type: 'ping' }], nowMs + PING_EVERY_MS])
  }
})

test('a link of another pace is pinged and given up at that pace, and dialled again whatever it says', () => {
  const world = { dice: 0.5, pace: { pingEveryMs: 5_000, silenceMsMax: 12_500, isPatient: true } }
  const greeting = stepUplink(firstUplink(0), { type: 'tick' }, { nowMs: 0, ...world }).next
  let uplink = stepUplink(greeting, { type: 'welcomed' }, { nowMs: 0, ...world }).next
  const effects: string[] = []
  for (let nowMs = nextTickMs(uplink, world); uplink.state === 'live'; nowMs = nextTickMs(uplink, world)) {
    const step = stepUplink(uplink, { type: 'tick' }, { nowMs, ...world })
    effects.push(...step.effects.map(({ type }) => `${type} ${nowMs}`))
    uplink = step.next
  }
  expect(effects).toEqual(['ping 5000', 'ping 10000', 'hangUp 12500'])
  for (const reason of ['NODE_REVOKED', 'TOKEN_INVALID', 'RELAY_WRONG_KEY'] as const) {
    const { next } = stepUplink(greeting, failed(reason), { nowMs: 0, ...world })
    expect(next).toMatchObject({ state: 'waiting', reason })
    expect(nextTickMs(next, world)).toBeLessThanOrEqual(BACKOFF_MS_MAX)
  }
})
